"""PACS, one domain to another, with a frozen pretrained encoder: one JSON line per run, held-out target accuracy.

    python benchmarks/pacs.py DATA MODEL --pairs photo-art_painting art_painting-sketch --strategies dann mcc auto

DATA holds ``photo``, ``art_painting``, ``cartoon`` and ``sketch``, each a folder of parquet files with splits ``train``
and ``validation``; MODEL is whatever ``--model`` takes, with pretrained weights. What learns are an affine bottleneck and
the head, on features from the cache: 2,000 iterations of 32 + 32. The checkpoint is chosen without target labels, by the
default rule; source-only stands beside it with the same backbone and iterations. ``--pairs all`` runs the twelve pairs.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import hubtl

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")


def run(data: Path, model: str, pair: tuple[str, str], strategy: str, seed: int, steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        result = hubtl.adapt(
            model=model,
            source_dataset=str(data / pair[0]),
            target_dataset=str(data / pair[1]),
            strategy=strategy,
            tuner="head",
            steps=steps,
            seed=seed,
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False},
        )
        record = result.record
        adapted, base = record.adapted, record.source_only
        assert adapted is not None
        assert base is not None
        assert not record.selection.oracle
        return {
            "benchmark": "pacs",
            "source": pair[0],
            "target": pair[1],
            "strategy": strategy,
            "picked": (record.verdict.tried if record.verdict else None) or record.strategy,
            "kept": record.strategy,
            "model": record.model.weights or record.model.architecture,
            "seed": seed,
            "steps": steps,
            "rows": adapted.n,
            "source_only": round(100 * (base.accuracy or 0.0), 2),
            "accuracy": round(100 * (adapted.accuracy or 0.0), 2),
            "selection": record.selection.rule,
            "seconds": round(time.monotonic() - began, 1),
            "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--pairs", nargs="+", default=["photo-art_painting", "art_painting-sketch"])
    parser.add_argument("--strategies", nargs="+", default=["dann", "cdan", "mcc", "shot", "auto"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "pacs.jsonl")
    args = parser.parse_args()
    every = list(itertools.permutations(DOMAINS, 2))
    pairs = every if args.pairs == ["all"] else [tuple(pair.split("-")) for pair in args.pairs]
    for pair, strategy, seed in itertools.product(pairs, args.strategies, args.seeds):
        line = json.dumps(run(args.data, args.model, pair, strategy, seed, args.steps))
        print(line, flush=True)
        with args.output.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
