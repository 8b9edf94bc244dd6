"""Find the columns with numbers to predict."""

import math
from collections.abc import Sequence

from datasets import Dataset

from hubtl.data.columns import existing, header, headers, usual
from hubtl.errors import HubtlError
from hubtl.tasks.regression.reading import kind_of, unfit

NAMES = (
    "target",
    "targets",
    "label",
    "labels",
    "metadata_label",
    "value",
    "values",
    "y",
    "score",
    "rating",
    "regression_target",
)


def label_columns(
    dataset: Dataset,
    asked: str | Sequence[str] | None,
    where: str,
    *,
    aside: str | None = None,
    own: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Return the columns with numbers to predict, and notes. There may be none; notes are on the choice.

    By default these are the columns called as a model's ``own`` outputs. Otherwise it is one column: numbers under a
    usual name, floats before integers, else the only column of floats.

    Args:
        dataset: the data set.
        asked: columns that the recipe names, or None.
        where: the data set's name, for errors.
        aside: a column that holds no labels, such as the one that names domains.
        own: outputs of a saved model.

    Raises:
        HubtlError: where several columns fit, and for columns that were asked for and hold no numbers.
    """
    if asked:
        found = headers(dataset, asked) or [existing(dataset, name, "label", where) for name in _names(asked)]
        for name in found:
            if why := unfit(dataset, name):
                raise HubtlError(f"{where}: column {name!r} holds {why}", hint=_hint(dataset, name))
        return list(dict.fromkeys(found)), []
    aside = None if aside is None else header(dataset, aside)
    called = [there for name in own if (there := header(dataset, name)) and there != aside]
    if called := [name for name in called if unfit(dataset, name) is None]:
        return list(dict.fromkeys(called)), []
    kinds = {name: kind_of(feature) for name, feature in dataset.features.items() if name != aside}
    floats, whole = ([name for name, kind in kinds.items() if kind == of] for of in ("float", "int"))
    for likely in (usual(floats, NAMES), floats, usual(whole, NAMES)):
        if len(likely) > 1:
            raise HubtlError(
                f"{where} has several columns of numbers: {', '.join(likely)}",
                hint=f"--label-column {likely[0]}, or several with commas between",
            )
        if likely:
            told = [] if usual(likely, NAMES) else [f"column {likely[0]!r} is read: the only one with decimal numbers"]
            return likely, told
    strange = [name for name in usual(kinds, NAMES) if unfit(dataset, name)]
    texts = [name for name in usual(kinds, NAMES) if name not in strange]
    if len(texts) == 1:  # numbers as text: a table whose cells are in quotes
        return texts, []
    return [], [f"column {name!r} is passed over: it holds {unfit(dataset, name)}" for name in strange]


def offer(dataset: Dataset) -> list[str]:
    """Return columns that could hold numbers to predict; of several decimal ones all."""
    floats = [name for name, feature in dataset.features.items() if kind_of(feature) == "float"]
    floats = [name for name in floats if any(not float(cell).is_integer() for cell in _known(dataset, name))]
    return usual(floats, NAMES)[:1] or floats or label_columns(dataset, None, "")[0]


def _known(dataset: Dataset, name: str) -> list[float]:
    return [cell for cell in dataset.unique(name) if cell is not None and math.isfinite(cell)]


def _hint(dataset: Dataset, name: str) -> str:
    beside = f"metadata_{name}"  # what a table beside class folders calls so
    fit = beside in dataset.features and unfit(dataset, beside) is None
    return f"--label-column {beside}" if fit else "--label-column for another column"


def _names(asked: str | Sequence[str]) -> list[str]:
    if not isinstance(asked, str):
        return list(asked)
    return [name.strip() for name in asked.split(",") if name.strip()] if "," in asked else [asked]
