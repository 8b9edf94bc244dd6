"""Adaptation of a frozen sentence-transformers model between reviews of four goods.

    python benchmarks/text_adapted.py DATA MODEL [--rows 800] [--seeds 0] [--pairs books-kitchen …] [--tokens 128]
        [--strategies source-only auto mcc coral dann]

Data and model are those of benchmarks/text.py; the target's training rows are read without labels. Everything that is not
named here is decided by hubtl; ``--tokens 0`` leaves the length open too, so that reviews are read whole. scikit-learn's
logistic regression learns from the same vectors of the source. One JSON line for each pair and strategy; a line that is there
is not repeated.
"""

import argparse
import json
import os
import tempfile
import time
from itertools import permutations
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression
from text import DOMAINS, drawn, kept

import hubtl
from hubtl._compat import ensure_torchvision

OUTPUT = Path(__file__).parent / "results" / "text_adapted.jsonl"
KEY = ("source", "target", "strategy", "rows", "tokens", "steps", "seed")


def known() -> set[tuple[Any, ...]]:
    lines = OUTPUT.read_text().splitlines() if OUTPUT.exists() else []
    return {tuple(json.loads(line)[key] for key in KEY) for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=800, help="training rows of each domain")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--pairs", nargs="+", default=[f"{a}-{b}" for a, b in permutations(DOMAINS, 2)])
    parser.add_argument("--strategies", nargs="+", default=["source-only", "auto", "mcc", "coral", "dann"])
    parser.add_argument("--cache", type=Path, help="folder of the feature cache, to keep it")
    args = parser.parse_args()
    ensure_torchvision()
    pairs = [pair.split("-") for pair in args.pairs]
    done = known()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["HUBTL_HOME"] = str(args.cache or folder / "cache")
        splits = {d: drawn(args.data, d, args.rows, folder) for d in sorted({d for pair in pairs for d in pair})}
        for seed in args.seeds:
            for strategy in args.strategies:
                for source, target in pairs:
                    facts = dict(
                        zip(KEY, (source, target, strategy, args.rows, args.tokens, args.steps, seed), strict=True)
                    )
                    if tuple(facts.values()) in done:
                        continue
                    began = time.monotonic()
                    record = hubtl.adapt(
                        model=str(args.model),
                        source_dataset=str(folder / "source" / source),
                        target_dataset=str(folder / "source" / target),
                        target_eval_split="test",
                        strategy=strategy,
                        tuner="head",
                        steps=args.steps,
                        seed=seed,
                        output_dir=str(folder / "run"),
                        overwrite=True,
                        options={
                            "run.plots": False,
                            "run.baseline": strategy == "auto",
                            **({"model.max_length": args.tokens} if args.tokens else {}),
                        },
                    ).record
                    line = {
                        "benchmark": "text-adapted",
                        **facts,
                        "logistic_regression": _reference(splits, source, target),
                        "source_only": _percent(record.source_only if strategy != "source-only" else record.adapted),
                        "accuracy": _percent(record.adapted),
                        "shipped": record.strategy,
                        "input": record.model.input,
                        "bottleneck": record.recipe["model"].get("bottleneck"),
                        "n": record.adapted.n,
                        "seconds": round(time.monotonic() - began, 1),
                        "versions": {
                            k: v for k, v in record.versions.items() if k in ("hubtl", "torch", "transformers")
                        },
                    }
                    print(json.dumps(line), flush=True)
                    with OUTPUT.open("a") as file:
                        file.write(json.dumps(line) + "\n")


def _reference(splits: dict[str, Any], source: str, target: str) -> float | None:
    """Logistic regression on the vectors that the run has cached; None where the cache holds several of that name."""
    train, test = splits[source]["train"], splits[target]["test"]
    try:
        rows, others = kept(f"{source}/train", len(train)), kept(f"{target}/eval", len(test))
    except ValueError:
        return None
    fitted = LogisticRegression(max_iter=1000).fit(rows, train["label"])
    return round(100 * float(fitted.score(others, test["label"])), 2)


def _percent(evaluation: Any) -> float | None:
    return None if evaluation is None else round(100 * evaluation.accuracy, 2)


if __name__ == "__main__":
    main()
