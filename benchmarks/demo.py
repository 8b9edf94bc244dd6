"""Run ``make demo`` over seeds: one JSON line for each run of examples/digits.yaml.

    python benchmarks/demo.py --seeds 0 1 2 3 4

Each run is the recipe with another seed: same rows, updates and views. Seconds are those that the process worked, from the
start of the run to its card, on one thread unless ``OMP_NUM_THREADS`` says otherwise. Lines are appended to the results file;
``benchmarks/tables.py`` makes the table of them.
"""

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path

import torch

import hubtl

RECIPE = Path(__file__).parent.parent / "examples" / "digits.yaml"


def run(seed: int, threads: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        record = hubtl.adapt(str(RECIPE), seed=seed, output_dir=f"{folder}/run").record
    before, after = record.source_only, record.adapted
    assert before is not None
    assert after is not None
    assert record.verdict is not None
    return {
        "benchmark": "demo",
        "recipe": hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12],
        "strategy": record.strategy,
        "seed": seed,
        "threads": threads,
        "rows": after.n,
        "source_only": round(100 * (before.accuracy or 0.0), 2),
        "adapted": round(100 * (after.accuracy or 0.0), 2),
        "estimates": [None if x.estimate is None else round(100 * x.estimate.value, 1) for x in (before, after)],
        "verdict": record.verdict.brief,
        "cpu_seconds": round(time.process_time() - began, 1),
        "versions": {"hubtl": hubtl.__version__, "torch": torch.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "demo.jsonl")
    args = parser.parse_args()
    for seed in args.seeds:
        line = json.dumps(run(seed, args.threads))
        print(line, flush=True)
        with args.output.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
