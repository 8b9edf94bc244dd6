"""PACS, one domain to another, with a frozen pretrained encoder: one JSON line per run, held-out target accuracy.

    python benchmarks/pacs.py DATA MODEL --pairs photo-art_painting art_painting-sketch --strategies auto dann shot

DATA holds ``photo``, ``art_painting``, ``cartoon`` and ``sketch``, each a folder of parquet files with splits ``train``
and ``validation``; MODEL is whatever ``--model`` takes, with pretrained weights. What learns are an affine bottleneck and
the head, on features from the cache: 2,000 iterations of 32 + 32. The checkpoint is chosen without target labels, by the
default rule; source-only is trained once a pair, with the same backbone and iterations. ``auto`` also gives the line of the
method that it picked, before it chose between that and source-only. ``--pairs all`` runs the twelve pairs.
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


def run(
    data: Path, model: str, pair: tuple[str, str], strategy: str, seed: int, steps: int, base: float | None
) -> list[dict[str, Any]]:
    """One run; of ``auto`` also the line of the method that it picked. ``base`` is source-only's figure, where known."""
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
            baseline=base is None,
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False},
        )
    record = result.record
    adapted, alone, said = record.adapted, record.source_only, record.verdict
    assert adapted is not None
    assert not record.selection.oracle
    picked = said.dropped if said and said.dropped else adapted
    line = {
        "benchmark": "pacs",
        "source": pair[0],
        "target": pair[1],
        "strategy": strategy,
        "kept": record.strategy,
        "verdict": said.reason if said else None,
        "model": record.model.weights or record.model.architecture,
        "seed": seed,
        "steps": steps,
        "rows": adapted.n,
        "source_only": base if alone is None else round(100 * (alone.accuracy or 0.0), 2),
        "accuracy": round(100 * (adapted.accuracy or 0.0), 2),
        "selection": record.selection.rule if said is None or said.tried is None else "ensemble",
        "seconds": round(time.monotonic() - began, 1),
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }
    if strategy != "auto":
        return [line]
    name = (said.tried if said else None) or record.strategy
    return [line, {**line, "strategy": name, "kept": name, "accuracy": round(100 * (picked.accuracy or 0.0), 2)}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--pairs", nargs="+", default=["photo-art_painting", "art_painting-sketch"])
    parser.add_argument("--strategies", nargs="+", default=["auto", "dann", "cdan", "shot"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "pacs.jsonl")
    args = parser.parse_args()
    every = list(itertools.permutations(DOMAINS, 2))
    pairs = every if args.pairs == ["all"] else [tuple(pair.split("-")) for pair in args.pairs]
    for pair, seed in itertools.product(pairs, args.seeds):
        base = None  # trained once, beside the first
        for strategy in args.strategies:
            for line in run(args.data, args.model, pair, strategy, seed, args.steps, base):
                base = line["source_only"]
                print(json.dumps(line), flush=True)
                with args.output.open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
