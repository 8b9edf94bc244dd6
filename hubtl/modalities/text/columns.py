"""Which column holds the texts: by a usual name, by its prose, or as the user says."""

from datasets import Dataset

from hubtl.data.columns import existing, first_cells, is_string, only, usual
from hubtl.data.values import LABEL_NAMES

NAMES = ("text", "sentence", "review", "content", "caption", "title", "description")


def column(dataset: Dataset, asked: str | None, where: str) -> str:
    """Return the column with texts: the one of a usual name, else the only one with more than a few words to a cell.

    Raises HubtlError where there is none, or more than one.
    """
    if asked is not None:
        return existing(dataset, asked, "text", where, flag="--column text=")
    strings = [name for name, feature in dataset.features.items() if is_string(feature)]
    if found := usual(strings, NAMES):
        return found[0]
    aside = usual(strings, (*LABEL_NAMES, "id", "file_name", "path"))
    found = [name for name in strings if name not in aside and _prose(dataset, name)]
    return only(found, NAMES, "text", dataset, where)


def _prose(dataset: Dataset, name: str) -> bool:
    """Return whether cells hold more than three words. The median of the first ones decides."""
    words = sorted(len(cell.split()) for cell in first_cells(dataset, name))
    return bool(words) and words[len(words) // 2] > 3
