"""TriRate-4: a star rating as a written digit, a spoken digit and a review. One JSON line a row of the table.

    python benchmarks/trirate.py DATA --text MINILM --seeds 0 1 2

DATA has a folder for each seed (0, 1, 2) with source_train, source_validation, target_adapt and target_test in parquet:
a written digit (MNIST to USPS, occluded and noisy), a spoken one (US speakers to non-native ones, noise at 3 dB) and a
review (books, dvd to electronics, kitchen, number words masked), labelled 1, 2, 4 or 5. MINILM is a folder with
all-MiniLM-L6-v2.

Every row: the same encoders (timm's test_resnet from scratch on 28 px digits and on log-mel spectrograms; MiniLM, frozen),
the same number of updates and rows, the last iterate, held-out target rows, target labels in neither training nor
selection. ``oracle`` rows train on the target's labels and are there to tell what is possible. Rows that the results file
has are not run again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import hubtl
from hubtl.studies.evaluate import measure

MODALITIES = ("image", "audio", "text")
NO_PAIRS: dict[str, Any] = {"correspondence": 0.0, "mimicry_target": 0.0, "pseudo": 0.0, "prototype": 0.0}
NO_CRITICS: dict[str, Any] = {"adversary": 0.0, "local": 0.0, "conditional": 0.0}
# name -> modalities, strategy, options; the gates' rows first
ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "image, source-only": ("image", "source-only", {}),
    "audio, source-only": ("audio", "source-only", {}),
    "text, source-only": ("text", "source-only", {}),
    "fused, source-only": ("image+audio+text", "source-only", {}),
    "image, mm-da": ("image", "mm-da", {}),
    "audio, mm-da": ("audio", "mm-da", {}),
    "text, mm-da": ("text", "mm-da", {}),
    "image + audio, mm-da": ("image+audio", "mm-da", {}),
    "image + text, mm-da": ("image+text", "mm-da", {}),
    "audio + text, mm-da": ("audio+text", "mm-da", {}),
    "full, mm-da": ("image+audio+text", "mm-da", {}),
    "control: no loss on pairs": ("image+audio+text", "mm-da", NO_PAIRS),
    "control: target pairs shuffled": ("image+audio+text", "mm-da", {}),
    "text, oracle": ("text", "finetune", {}),
    "text, oracle with the source": ("text", "source-only", {"target.labels_per_class": 100}),  # all that there are
    "without correspondence": ("image+audio+text", "mm-da", {"correspondence": 0.0}),
    "without critics": ("image+audio+text", "mm-da", NO_CRITICS),
    "without agreement": ("image+audio+text", "mm-da", {"agreement": False}),
    "without pseudo-labels": ("image+audio+text", "mm-da", {"pseudo": 0.0, "prototype": 0.0}),
    "without per-domain statistics": ("image+audio+text", "mm-da", {"standardise": False}),
    "full, mm-da, calibrated": ("image+audio+text", "mm-da", {"run.calibrate": True}),
    "without modality dropout": ("image+audio+text", "mm-da", {"modality_dropout": 0.0}),
    "late fusion, source-only": ("image+audio+text", "source-only", {"model.fusion": "late"}),
    "concat-mlp, source-only": ("image+audio+text", "source-only", {"model.fusion": "concat-mlp"}),
    "concat-transformer, source-only": ("image+audio+text", "source-only", {"model.fusion": "concat-transformer"}),
    "late fusion, mm-da": ("image+audio+text", "mm-da", {"model.fusion": "late"}),
    "fused, mcc": ("image+audio+text", "mcc", {}),
    "fused, dann": ("image+audio+text", "dann", {}),
}
SHUFFLED = "control: target pairs shuffled"


def arranged(data: Path, folder: Path, *, shuffled: bool, seed: int) -> None:
    """The four files as two datasets. Each has a split to train on and one to evaluate on."""
    for name, place in (
        ("source_train", "source/train"),
        ("source_validation", "source/validation"),
        ("target_adapt", "target/train"),
        ("target_test", "target/test"),
    ):
        path = folder / f"{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if shuffled and name == "target_adapt":
            _shuffle(data / f"{name}.parquet", path, seed)
        else:
            path.write_bytes((data / f"{name}.parquet").read_bytes())


def _shuffle(path: Path, to: Path, seed: int) -> None:
    """Equal images, recordings and reviews in unrelated rows."""
    import pyarrow.parquet as pq

    table, rng = pq.read_table(path), np.random.default_rng(seed)
    for column in ("image", "audio", "text"):
        number = table.column_names.index(column)
        table = table.set_column(number, table.schema.field(column), table[column].take(rng.permutation(len(table))))
    pq.write_table(table, to)


def run(args: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """One row of the table."""
    modalities, strategy, own = ROWS[name]
    takes = modalities.split("+")
    names = {"image": "timm:test_resnet", "audio": "timm:test_resnet", "text": str(args.text)}
    oracle = "oracle" in name
    options = {
        "model.text_tune": "freeze",
        "model.image_pretrained": False,
        "model.audio_pretrained": False,
        "model.channels": 1,
        "model.image_stage": -2,
        "model.audio_stage": -2,
        "model.seconds": 0.7,
        "model.max_length": 64,
        "model.width": 96,
        "model.layers": 1,
        "model.bottleneck": 0,
        "model.corruption": [1, 3, 5],
        "optim.name": "adamw",
        "optim.weight_decay": 0.05,
        "optim.clip_norm": 1.0,
        "run.plots": False,
        "run.calibrate": False,  # a row of its own
        "run.evaluate_every": args.steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        kept = args.keep / f"{name} {seed}".replace(" ", "-") if args.keep else None
        arranged(args.data / str(seed), place, shuffled=name == SHUFFLED, seed=seed)
        began = time.monotonic()
        result = hubtl.adapt(
            model=",".join(f"{m}={names[m]}" for m in MODALITIES if m in takes),
            image_size=32 if "image" in takes else None,
            source_dataset=None if strategy == "finetune" else str(place / "source"),
            target_dataset=str(place / "target"),
            target_eval_split="test",
            strategy=strategy,
            lr=1e-3,
            schedule="cosine",
            steps=args.steps,
            batch_size=args.batch_size,
            seed=seed,
            baseline=False,
            validator="last",
            output_dir=str(kept or place / "run"),
            options=options | own,
        )
        seconds = time.monotonic() - began
        record, transductive = result.record, None
        assert record.adapted is not None
        assert oracle or record.target_labels == "none"
        if name == "full, mm-da":  # on the rows whose inputs training saw: what was learnt by heart
            seen = measure(str(result.output_dir), str(place / "target"), split="train")
            transductive = {"all": seen.accuracy} | {s.name: s.accuracy for s in seen.subsets}
    adapted = record.adapted
    return {
        "benchmark": "trirate",
        "row": name,
        "seed": seed,
        "strategy": strategy,
        "modalities": takes,
        "options": own,
        "accuracy": round(100 * (adapted.accuracy or 0.0), 2),
        "ece": adapted.ece,
        "rows": adapted.n,
        "source_accuracy": adapted.source_accuracy,
        "subsets": {s.name: round(100 * (s.accuracy or 0.0), 2) for s in adapted.subsets},
        "transductive": transductive,
        "steps": args.steps,
        "batch_size": args.batch_size,
        "oracle": oracle,
        "train_seconds": round(record.training.seconds, 1),
        "seconds": round(seconds, 1),
        "parameters": record.model.parameters,
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="folder of a BERT-like text encoder: all-MiniLM-L6-v2")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="folder to keep the models in")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "trirate.jsonl")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    for name in args.rows:
        for seed in args.seeds:
            known = args.output.read_text().splitlines() if args.output.exists() else []
            if any((line := json.loads(text))["row"] == name and line["seed"] == seed for text in known):
                continue
            text = json.dumps(run(args, name, seed))
            print(text, flush=True)
            with args.output.open("a") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
