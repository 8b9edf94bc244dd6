"""Which column holds the images: by feature type, by names of files, or as the user says."""

from pathlib import Path
from typing import Any

from datasets import Dataset, Image, Value

from hubtl.data.columns import existing, is_string, of_files, only
from hubtl.modalities.image.files import IMAGES
from hubtl.modalities.image.names import NAMES


def column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with images. Raises HubtlError where there is none, or more than one."""
    if asked is not None:
        return of_files(dataset, existing(dataset, asked, "image", where, flag="--column image="), "image", where)
    found = [name for name, feature in dataset.features.items() if isinstance(feature, Image)]
    if not found:
        found = [name for name, feature in dataset.features.items() if _holds_images(dataset, name, feature)]
    return only(found, NAMES, "image", dataset, where)


def _holds_images(dataset: Dataset, name: str, feature: Any) -> bool:
    """Return whether cells hold encoded images or names of image files. Encoded images have a ``bytes`` field."""
    if isinstance(feature, dict):
        return "bytes" in feature
    if not isinstance(feature, Value) or not len(dataset):
        return False
    if feature.dtype in ("binary", "large_binary"):
        return True
    if not is_string(feature):
        return False
    first = dataset.select_columns([name])[0][name]
    return isinstance(first, str) and Path(first).suffix.lower() in IMAGES
