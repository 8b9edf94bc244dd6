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
from hubtl import plugins
from hubtl.recipe.reading import parse_set
from hubtl.strategy import views_of
from hubtl.testing import toy_strategy

LR = {("mnist", "usps"): 0.01, ("usps", "mnist"): 0.1}
# What the published digits recipes set besides: SHOT's own repository, MCD's paper, and the Transfer Learning Library.
RECIPE: dict[str, dict[str, float | str]] = {
    "shot": {"pseudo_weight": 0.1},
    "mcd": {
        "balance": 0.0,
        "optim.name": "adam",
        "optim.lr": 2e-4,
        "optim.schedule": "constant",
        "optim.weight_decay": 5e-4,
    },
    "mdd usps-mnist": {"optim.lr": 0.01},
    "aad usps-mnist": {"optim.lr": 0.01},  # at 0.1, ten times what its authors use anywhere, it collapses
    "afn": {"entropy_weight": 0.03, "backbone_momentum": 0.9},  # the momentum is the protocol's
    "afn mnist-usps": {"enlargement": 0.3},
    "afn usps-mnist": {"enlargement": 0.1},
}


def run(
    args: argparse.Namespace, source: str, target: str, strategy: str, seed: int, tried: dict[str, object]
) -> list[dict[str, object]]:
    """The lines of one run: of the method and, if asked for, of source-only under its views and with its optimiser."""
    own = RECIPE.get(strategy, {}) | RECIPE.get(f"{strategy} {source}-{target}", {}) | tried
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        result = hubtl.adapt(
            model="lenet",
            pretrained=False,
            source_dataset=str(args.data / source),
            target_dataset=str(args.data / target),
            target_eval_split="test",
            strategy=strategy,
            lr=own.get("optim.lr", LR[source, target]),
            schedule="inverse-decay",
            weight_decay=1e-3,
            steps=args.steps,
            batch_size=args.batch_size,
            seed=seed,
            baseline=args.baseline,
            validator="last",
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False, "run.evaluate_every": args.steps, "optim.gamma": 1e-3, **own},
        )
        seconds = round(time.monotonic() - began, 1)
    record = result.record
    assert not record.selection.oracle
    shared = {
        "seed": seed,
        "steps": args.steps,
        "batch_size": args.batch_size,
        "selection": record.selection.rule,
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }
    averaged = ", averaged weights" if own.get("optim.averaging") else ""
    found = [(strategy + averaged, own, record.adapted, record.training)]
    if args.baseline:
        views = views_of(toy_strategy(plugins.load("strategies", strategy)).phases())["source"]
        shared_options = {key: value for key, value in own.items() if key.startswith("optim.")}
        alike = f"{' and '.join(views)} views" if views else f"{strategy}'s optimiser"
        base = f"source-only, {alike}{averaged}"
        found.append((base, shared_options, record.source_only, record.baseline_training))
    lines = []
    for name, options, figures, training in found:
        assert figures is not None
        assert training is not None
        lines.append(
            {
                "benchmark": "digits",
                "source": source,
                "target": target,
                "strategy": name,
                "rows": figures.n,
                "accuracy": round(100 * (figures.accuracy or 0.0), 2),
                "options": options,
                "infomax": round(figures.scores["infomax"], 4),
                "train_seconds": round(training.seconds, 1),
                "seconds": seconds,
                **shared,
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--strategies", nargs="+", default=["source-only", "coral", "dann", "mcc"])
    parser.add_argument("--directions", nargs="+", default=["mnist-usps"], choices=["mnist-usps", "usps-mnist"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "digits.jsonl")
    parser.add_argument("--baseline", action="store_true", help="source-only under the same views and optimiser, too")
    parser.add_argument("--set", nargs="+", default=[], help="options to try, key=value; give another --output with it")
    args = parser.parse_args()
    for direction in args.directions:
        source, target = direction.split("-")
        for strategy in args.strategies:
            for seed in args.seeds:
                for line in run(args, source, target, strategy, seed, parse_set(args.set)):
                    text = json.dumps(line)
                    print(text, flush=True)
                    with args.output.open("a") as file:
                        file.write(text + "\n")


if __name__ == "__main__":
    main()
