"""``hubtl compare`` of eight strategies on cached features.

It stands against one end-to-end fine-tuning of the same backbone.

    python benchmarks/compare.py DATA --source photo --target art_painting

DATA holds folders of parquet files with images and labels, such as the domains of PACS. Both train as many updates of as
many rows; the comparison begins with an empty cache, so that its one pass over the images is in its time, and runs once
more from the cache. The backbone's weights are random: speed does not depend on them. One JSON line, seconds as measured
in this run on this machine; the ratios are what counts.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import hubtl
from hubtl.studies.compare import DEFAULT


def seconds(call: Any) -> float:
    began = time.monotonic()
    call()
    return round(time.monotonic() - began, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", default="photo")
    parser.add_argument("--target", default="art_painting")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "compare.jsonl")
    args = parser.parse_args()
    common = {
        "model": args.model,
        "pretrained": False,
        "image_size": args.image_size,
        "source_dataset": str(args.data / args.source),
        "target_dataset": str(args.data / args.target),
        "steps": args.steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HUBTL_HOME"] = f"{folder}/home"
        first = seconds(lambda: hubtl.compare(DEFAULT, **common, output_dir=f"{folder}/first"))
        again = seconds(lambda: hubtl.compare(DEFAULT, **common, output_dir=f"{folder}/again"))
        options = {"run.plots": False}
        full = seconds(
            lambda: hubtl.adapt(**common, strategy="source-only", output_dir=f"{folder}/full", options=options)
        )
    line = {
        "benchmark": "compare",
        "what": f"{len(DEFAULT)} strategies and source-only, {args.model} at {args.image_size} px, {args.steps} updates",
        "data": f"{args.source} → {args.target}",
        "compare_seconds": first,
        "cached_seconds": again,
        "finetune_seconds": full,
        "ratio": round(first / full, 3),
        "ratio_cached": round(again / full, 3),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(line), flush=True)
    with args.output.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
