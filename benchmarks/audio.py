"""Spoken digits of a speaker whom nobody labelled: four speakers are the source, the fifth is the target.

    python benchmarks/audio.py DATA MODEL [--speakers george …] [--seeds 0 1 2] [--strategies source-only coral dann mcc auto]

DATA holds a folder for each speaker of the Free Spoken Digit Dataset: parquet files with the columns audio and label. MODEL is
a folder of timm's format with YAMNet's weights: AudioSet, one channel. The encoder is frozen, and a fusion of one modality learns
to pool its map (``--model audio=MODEL``). Of each of the target's digits every other recording is read without its label, the rest
is predicted. One JSON line for each speaker, strategy and seed; a line that is there is not repeated. ``--tune full`` trains the
encoder too, ``--seconds 0.975`` hears what YAMNet declares; by default the length follows from the recordings.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Audio, Dataset, concatenate_datasets, load_dataset

import hubtl

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo")
OUTPUT = Path(__file__).parent / "results" / "audio.jsonl"
KEY = ("target", "strategy", "tune", "seconds", "steps", "seed")


def recordings(data: Path, speaker: str, split: str | None = None) -> Dataset:
    files = sorted(map(str, (data / speaker).glob(f"{split or ''}*.parquet")))
    whole = load_dataset("parquet", data_files=files, split="train").select_columns(["audio", "label"])
    return whole.cast_column("audio", Audio(decode=False))


def halves(table: Dataset) -> tuple[Dataset, Dataset]:
    """Return every other recording of each digit, and the rest."""
    labels, first = np.array(table["label"]), np.zeros(len(table), bool)
    for label in np.unique(labels):
        first[np.flatnonzero(labels == label)[::2]] = True
    return table.select(np.flatnonzero(first)), table.select(np.flatnonzero(~first))


def arranged(data: Path, target: str, folder: Path) -> None:
    """Write the source of four speakers, and the target."""
    others = [speaker for speaker in SPEAKERS if speaker != target]
    parts = {f"source/{s}": concatenate_datasets([recordings(data, o, s) for o in others]) for s in ("train", "test")}
    parts["target/train"], parts["target/test"] = halves(recordings(data, target))
    for name, table in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(folder / f"{name}.parquet")


def known() -> set[tuple[Any, ...]]:
    lines = OUTPUT.read_text().splitlines() if OUTPUT.exists() else []
    return {tuple(json.loads(line)[key] for key in KEY) for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--speakers", nargs="+", default=list(SPEAKERS))
    parser.add_argument("--strategies", nargs="+", default=["source-only", "coral", "dann", "mcc", "auto"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--tune", default="freeze", help="freeze or full")
    parser.add_argument("--seconds", type=float, help="instead of what follows from the recordings")
    parser.add_argument("--cache", type=Path, help="folder of the feature cache, to keep it")
    args = parser.parse_args()
    done = known()
    with tempfile.TemporaryDirectory() as made:
        os.environ["HUBTL_HOME"] = str(args.cache or Path(made) / "cache")
        for speaker in args.speakers:
            arranged(args.data, speaker, Path(made) / speaker)
        for seed in args.seeds:
            for speaker in args.speakers:
                for strategy in args.strategies:
                    values = (speaker, strategy, args.tune, args.seconds, args.steps, seed)
                    if values in done:
                        continue
                    folder, began = Path(made) / speaker, time.monotonic()
                    length = {"model.seconds": args.seconds} if args.seconds else {}
                    record = hubtl.adapt(
                        model=f"audio={args.model}",
                        source_dataset=str(folder / "source"),
                        target_dataset=str(folder / "target"),
                        target_eval_split="test",
                        strategy=strategy,
                        steps=args.steps,
                        seed=seed,
                        output_dir=str(Path(made) / "run"),
                        overwrite=True,
                        options={
                            "run.plots": False,
                            "run.baseline": strategy == "auto",
                            "model.audio_tune": args.tune,
                            **length,
                        },
                    ).record
                    line = {
                        "benchmark": "audio",
                        "model": "YAMNet",
                        **dict(zip(KEY, values, strict=True)),
                        "source_only": _percent(record.adapted if strategy == "source-only" else record.source_only),
                        "accuracy": _percent(record.adapted),
                        "shipped": record.strategy,
                        "notes": [note for note in record.model.notes if note.startswith("recordings")],
                        "n": record.adapted.n,
                        "training_seconds": round(record.training.seconds, 1),
                        "total_seconds": round(time.monotonic() - began, 1),
                        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch", "timm")},
                    }
                    print(json.dumps(line), flush=True)
                    with OUTPUT.open("a") as file:
                        file.write(json.dumps(line) + "\n")


def _percent(evaluation: Any) -> float | None:
    return None if evaluation is None else round(100 * evaluation.accuracy, 2)


if __name__ == "__main__":
    main()
