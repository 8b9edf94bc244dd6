"""Do explanations hold? The deletion test of `hubtl explain` over many rows of a dataset. One JSON line.

    python benchmarks/explain.py MODEL DATASET --rows 50

MODEL is a saved model of several modalities, such as ``benchmarks/trirate.py --keep`` leaves, DATASET what it is explained
on. Every row's own prediction is explained. Areas are under the probability of that prediction, over the share of tokens taken
away: smaller is more faithful. ``ahead`` counts the rows on which the most relevant tokens first do more harm than the mean of
random orders, and ``gap`` is the mean difference with its standard error over rows.
"""

import argparse
import json
import statistics
from pathlib import Path

import datasets
import numpy as np

import hubtl
from hubtl.data.inputs import each_row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("dataset", type=Path, help="a parquet file")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "explain.jsonl")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    loaded = hubtl.load(args.model)
    whole = datasets.load_dataset("parquet", data_files=str(args.dataset), split="train")
    numbers = np.unique(np.linspace(0, len(whole) - 1, args.rows).round().astype(int))
    areas = []
    for _, row in each_row(whole.select(numbers), loaded.info.modalities):
        test = loaded.explain(row, samples=args.samples, orders=args.orders).deletion
        areas.append((test["top_area"], test["random_area"]))
    gaps = [random - top for top, random in areas]
    line = {
        "benchmark": "explain",
        "model": args.model.name,
        "dataset": args.dataset.name,
        "rows": len(areas),
        "samples": args.samples,
        "orders": args.orders,
        "top_area": round(statistics.mean(top for top, _ in areas), 4),
        "random_area": round(statistics.mean(random for _, random in areas), 4),
        "gap": round(statistics.mean(gaps), 4),
        "gap_error": round(statistics.stdev(gaps) / len(gaps) ** 0.5, 4),
        "ahead": sum(gap > 0 for gap in gaps),
    }
    print(json.dumps(line))
    with args.output.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
