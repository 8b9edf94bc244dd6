"""MNIST → USPS with classes taken away: a partial set (target 0 to 4) and an open one (source 0 to 5).

    python benchmarks/label_sets.py DATA --relations partial open --strategies source-only dann pada --seeds 0

DATA as in ``benchmarks/digits.py``, and so are network, budget and rules. Filtered copies, whose label column names no
other class, are written to a temporary folder. One JSON line per run: accuracy and mean recall on the target's test
split, in an open set also those of the known classes (OS*), of unknown, and their harmonic mean. A method without an
output for unknown is measured on the rows of known classes alone: its accuracy is not that of all rows.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from datasets import ClassLabel, load_dataset

import hubtl

CLASSES = {"partial": (range(10), range(5)), "open": (range(6), range(10))}
FIGURES = ("accuracy", "balanced_accuracy", "known_recall", "unknown_recall", "hos")


def without(folder: Path, keep: list[int], out: Path) -> Path:
    """A copy of a dataset with some of its classes. It names only them."""
    files = {path.name.split("-")[0]: str(path) for path in folder.glob("*.parquet")}
    for split, rows in load_dataset("parquet", data_files=files, cache_dir=str(out / "cache")).items():
        kept = rows.select(np.flatnonzero(np.isin(np.array(rows["label"]), keep)))
        labels = [keep.index(value) for value in kept["label"]]
        named = ClassLabel(names=[rows.features["label"].names[k] for k in keep])
        made = kept.remove_columns("label").add_column("label", labels).cast_column("label", named)
        (out / folder.name).mkdir(exist_ok=True)
        made.to_parquet(str(out / folder.name / f"{split}-00000-of-00001.parquet"))
    return out / folder.name


def run(source: Path, target: Path, strategy: str, seed: int, steps: int, batch: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        record = hubtl.adapt(
            model="lenet",
            pretrained=False,
            source_dataset=str(source),
            target_dataset=str(target),
            target_eval_split="test",
            strategy=strategy,
            lr=0.01,
            schedule="inverse-decay",
            weight_decay=1e-3,
            steps=steps,
            batch_size=batch,
            seed=seed,
            baseline=False,
            validator="last",
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False, "run.evaluate_every": steps},
        ).record
    assert record.adapted is not None
    assert not record.selection.oracle
    figures = {name: getattr(record.adapted, name) for name in FIGURES}
    return {
        "benchmark": "label-sets",
        "relation": record.label_sets.setting,
        "strategy": record.strategy,
        "seed": seed,
        "steps": steps,
        "batch_size": batch,
        "rows": record.adapted.n,
        **{name: None if value is None else round(100 * value, 2) for name, value in figures.items()},
        "seconds": round(time.monotonic() - began, 1),
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--relations", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--strategies", nargs="+", default=["source-only", "dann", "pada", "iwan", "shot", "osbp"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "label_sets.jsonl")
    args = parser.parse_args()
    for relation in args.relations:
        with tempfile.TemporaryDirectory() as folder:
            source, target = (
                without(args.data / name, list(keep), Path(folder))
                for name, keep in zip(("mnist", "usps"), CLASSES[relation], strict=True)
            )
            for strategy in args.strategies:
                for seed in args.seeds:
                    line = json.dumps(run(source, target, strategy, seed, args.steps, args.batch_size))
                    print(line, flush=True)
                    with args.output.open("a") as file:
                        file.write(line + "\n")


if __name__ == "__main__":
    main()
