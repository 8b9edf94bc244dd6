"""Cuts the embedded MNIST sample: ``python benchmarks/make_sample.py MNIST_FOLDER``.

MNIST_FOLDER holds parquet files with train and test splits. Of each class the first 400 training and 100 test images
are taken.
"""

import sys
from pathlib import Path

import numpy as np

from hubtl.data.opening import opened

OUT = Path(__file__).parent.parent / "hubtl" / "data" / "builtin" / "mnist.npz"


def main() -> None:
    arrays = {}
    for split, each in (("train", 400), ("test", 100)):
        dataset = opened(sys.argv[1]).splits[split]
        labels = np.array(dataset["label"][:])
        rows = np.sort(np.concatenate([np.flatnonzero(labels == digit)[:each] for digit in range(10)]))
        arrays[f"{split}_images"] = np.stack([np.asarray(image) for image in dataset.select(rows)["image"]])
        arrays[f"{split}_labels"] = labels[rows].astype(np.uint8)
    np.savez_compressed(OUT, **arrays)
    print(f"{OUT.name}: {OUT.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
