"""CamVid, day to dusk, segmented with a pretrained encoder: one JSON line per run, mean IoU of held-out target pixels.

    python benchmarks/segmentation.py DATA MODEL --strategies adabn entropy advent fda self-training mic mcc auto

DATA holds ``day`` and ``dusk``, each a folder of parquet files with columns ``image`` and ``mask`` and splits ``train`` and
``test``, and ``classes.txt`` with a name a line. MODEL is whatever ``--model`` takes, with pretrained weights. Runs are
short, and the last weights count: nothing is chosen by target labels. Source-only is trained once a seed, with as many
updates of the same batches. ``auto`` ships source-only where its guard rail says so.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import hubtl
from hubtl.record import Evaluation

METHODS = ("mcc", "self-training", "entropy", "mic", "adabn", "fda", "advent", "auto")


def run(args: argparse.Namespace, strategy: str, seed: int, *, baseline: bool) -> list[dict[str, Any]]:
    """Train one method; with ``baseline`` the first line is source-only's."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        result = hubtl.adapt(
            model=args.model,
            source_dataset=str(args.data / "day"),
            target_dataset=str(args.data / "dusk"),
            task="segmentation",
            strategy=strategy,
            steps=args.steps,
            batch_size=args.batch_size,
            image_size=args.size,
            lr=args.lr,
            seed=seed,
            baseline=baseline,
            output_dir=str(Path(folder) / "run"),
            options={
                "task.names": str(args.data / "classes.txt"),
                "model.stride": args.stride,
                "run.plots": False,
                **({} if strategy == "auto" else {"run.validator": "last"}),
            },
        )
    record = result.record
    adapted, alone, said = record.adapted, record.source_only, record.verdict
    assert adapted is not None
    assert not record.selection.oracle
    shared = {
        "benchmark": "segmentation",
        "source": "day",
        "target": "dusk",
        "model": record.model.architecture,
        "size": args.size,
        "stride": args.stride,
        "steps": args.steps,
        "batch_size": args.batch_size,
        "lr": args.lr,
        "seed": seed,
        "rows": adapted.n,
        "seconds": round(time.monotonic() - began, 1),
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }
    found = []
    if alone is not None:
        found.append({**shared, "strategy": "source-only", "mean_iou": percent(alone)})
    line = {**shared, "strategy": strategy, "kept": record.strategy, "verdict": said.reason if said else None}
    return [*found, {**line, "mean_iou": percent(adapted)}]


def percent(evaluation: Evaluation) -> float:
    value = evaluation.primary.value
    assert value is not None
    return round(100 * value, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--strategies", nargs="+", default=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--without-baseline", action="store_true", help="source-only is in the file already")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "segmentation.jsonl")
    args = parser.parse_args()
    for seed, (place, strategy) in itertools.product(args.seeds, enumerate(args.strategies)):
        for line in run(
            args, strategy, seed, baseline=strategy == "auto" or (place == 0 and not args.without_baseline)
        ):
            if line["strategy"] == "source-only" and place > 0:
                continue  # auto trains its own, which is the same
            print(json.dumps(line), flush=True)
            with args.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
