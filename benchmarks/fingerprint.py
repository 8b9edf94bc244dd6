"""Measure the cost of hashing images by content. Decoding and preparing them once stands beside it.

    python benchmarks/fingerprint.py [--images 1000] [--width 500] [--height 375]

JPEG files of photographs' size and noise, read from the page cache, by one process. One JSON line: seconds for the key of the
feature cache (every byte), for a record's fingerprint (both ends), for looking for more than eight bits (the first bytes), and
for the evaluation view of the same images at 224 pixels; the best of three.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
from PIL import Image, ImageFilter

from hubtl.backbones.base import ImageInput
from hubtl.data import content
from hubtl.modalities.image.ranges import wide_rows
from hubtl.modalities.image.rows import ImageSet


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The best of some times."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=375)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{i}.jpg") for i in range(args.images)]
        for path in paths:
            noise = Image.fromarray(rng.integers(0, 255, (args.height, args.width, 3), dtype=np.uint8))
            noise.filter(ImageFilter.GaussianBlur(1)).save(path, quality=90)
        table = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image(decode=False))
        size = sum(Path(path).stat().st_size for path in paths)
        images = ImageSet(table, "image", labels=None, spec=ImageInput(), augment=False, name="made up", cache_bytes=0)
        found = {
            "benchmark": "fingerprint",
            "images": args.images,
            "kilobytes": round(size / args.images / 1000, 1),
            "key": round(seconds(lambda: content.digest(table, ["image"])), 3),
            "mark": round(seconds(lambda: content.mark([table], ["image"])), 3),
            "heads": round(seconds(lambda: wide_rows(table, "image")), 3),
            "decode": round(seconds(lambda: [images.fetch([row]) for row in range(args.images)]), 3),
        }
        print(json.dumps(found | {"key_of_decode": round(found["key"] / found["decode"], 3)}))


if __name__ == "__main__":
    main()
