"""Provide the embedded sample: digits of two origins, so that first commands and tests need no network.

It is not a benchmark.
"""

from functools import cache
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image
from PIL import Image as PIL

from hubtl.data.values import labelled
from hubtl.errors import unknown

LICENSES = {"builtin:digits/mnist": "cc-by-sa-3.0", "builtin:digits/uci": "cc-by-4.0"}
UCI_TRAIN = 1197  # rows; the other 600 are for evaluation
FEATURES = Features({"image": Image(), "label": labelled([str(digit) for digit in range(10)])})


@cache
def load(name: str) -> DatasetDict:
    """Load the splits ``train`` and ``test`` of a sample.

    Raises:
        HubtlError: for an unknown name.
    """
    if name not in LICENSES:
        raise unknown("built-in dataset", name, LICENSES)
    return _mnist() if name.endswith("mnist") else _uci()


def _mnist() -> DatasetDict:
    """Load MNIST images, 28 × 28. There are 4,000 of the training set and 1,000 of the test set."""
    with np.load(Path(__file__).parent / "mnist.npz") as packed:
        return DatasetDict(
            {split: _dataset(packed[f"{split}_images"], packed[f"{split}_labels"]) for split in ("train", "test")}
        )


def _uci() -> DatasetDict:
    """Load scikit-learn's optical digits, 1,797 images of 8 × 8. Their order mixes classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:UCI_TRAIN], order[UCI_TRAIN:]
    return DatasetDict(
        train=_dataset(images[train], digits.target[train]), test=_dataset(images[test], digits.target[test])
    )


def _dataset(images: np.ndarray, labels: np.ndarray) -> Dataset:
    rows = {"image": [PIL.fromarray(image) for image in images], "label": [int(label) for label in labels]}
    return Dataset.from_dict(rows, features=FEATURES)
