"""MNIST ↔ USPS with the digits recipe's LeNet: one JSON line per run, held-out target accuracy of the last iterate.

    python benchmarks/digits.py DATA --strategies source-only dann mcc --seeds 0

DATA holds ``mnist`` and ``usps``, each a folder of parquet files with train and test splits of images and labels.
Short budget: 2,000 iterations of 64 + 64, from scratch, lr 0.01 (MNIST → USPS) or 0.1 (USPS → MNIST), last iterate,
no target label in training or selection. Options are the defaults, except where a method's published digits recipe
names others (``RECIPE``). Lines are appended to the results file; ``benchmarks/tables.py`` makes the tables of them.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import hubtl
from hubtl.recipe import parse_set

LR = {("mnist", "usps"): 0.01, ("usps", "mnist"): 0.1}
# What the published digits recipes set besides: SHOT's own repository, and the Transfer Learning Library.
RECIPE: dict[str, dict[str, float]] = {
    "shot": {"pseudo_weight": 0.1},
    "mcd": {"weight": 0.3, "balance": 0.03},
    "afn": {"entropy_weight": 0.03},
    "afn mnist-usps": {"enlargement": 0.3},
    "afn usps-mnist": {"enlargement": 0.1},
}


def run(
    data: Path, source: str, target: str, strategy: str, seed: int, steps: int, batch: int, tried: dict[str, object]
) -> dict[str, object]:
    own = RECIPE.get(strategy, {}) | RECIPE.get(f"{strategy} {source}-{target}", {}) | tried
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        result = hubtl.adapt(
            model="lenet",
            pretrained=False,
            source_dataset=str(data / source),
            target_dataset=str(data / target),
            target_eval_split="test",
            strategy=strategy,
            lr=LR[source, target],
            schedule="inverse-decay",
            weight_decay=1e-3,
            steps=steps,
            batch_size=batch,
            seed=seed,
            baseline=False,
            validator="last",
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False, "run.evaluate_every": steps, "optim.gamma": 1e-3, **own},
        )
        adapted = result.record.adapted
        assert adapted is not None
        assert not result.record.selection.oracle
        return {
            "benchmark": "digits",
            "source": source,
            "target": target,
            "strategy": strategy,
            "seed": seed,
            "steps": steps,
            "batch_size": batch,
            "rows": adapted.n,
            "accuracy": round(100 * (adapted.accuracy or 0.0), 2),
            "selection": result.record.selection.rule,
            "options": own,
            "infomax": round(adapted.scores["infomax"], 4),
            "train_seconds": round(result.record.training.seconds, 1),
            "seconds": round(time.monotonic() - began, 1),
            "versions": {k: v for k, v in result.record.versions.items() if k in ("hubtl", "torch")},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--strategies", nargs="+", default=["source-only", "coral", "dann", "mcc"])
    parser.add_argument("--directions", nargs="+", default=["mnist-usps"], choices=["mnist-usps", "usps-mnist"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "digits.jsonl")
    parser.add_argument("--set", nargs="+", default=[], help="options to try, key=value; give another --output with it")
    args = parser.parse_args()
    for direction in args.directions:
        source, target = direction.split("-")
        for strategy in args.strategies:
            for seed in args.seeds:
                line = json.dumps(
                    run(args.data, source, target, strategy, seed, args.steps, args.batch_size, parse_set(args.set))
                )
                print(line, flush=True)
                with args.output.open("a") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
