"""Find the label columns: one of lists, one of separated text, or one of 0 and 1 per class."""

from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset, Value

from hubtl.data.columns import existing, header, headers, usual
from hubtl.data.names import listed
from hubtl.data.values import LABEL_NAMES
from hubtl.errors import HubtlError

NAMES = (*LABEL_NAMES, "metadata_label", "tags", "classes", "categories", "objects", "attributes", "topics")
SIGNS = {"comma": ",", "semicolon": ";", "pipe": "|"}
LISTS = ("List", "LargeList", "Sequence")
WHOLE = ("int", "uint")
TEXTS = ("string", "large_string")


def label_columns(
    dataset: Dataset,
    asked: Any,
    where: str,
    *,
    separator: str | None,
    aside: str | None = None,
    own: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Return the columns with labels, and notes on other candidates.

    There may be none; notes say why some were passed over.

    Columns of 0 and 1, and of text, are read only where they are asked for, or are called as a model's ``own`` classes.

    Args:
        dataset: the data set.
        asked: columns that the recipe names, or None.
        where: the data set's name, for errors.
        separator: the text between classes, where a column holds text.
        aside: a column that holds no labels, such as the one that names domains.
        own: classes of a saved model.

    Raises:
        HubtlError: for several columns of lists, and for columns that were asked for and hold no sets of classes.
    """
    if asked:
        return _asked(dataset, asked, where, separator), []
    aside = None if aside is None else header(dataset, aside)
    names = [name for name in dataset.features if name != aside]
    called = [
        found for name in own if (found := header(dataset, name)) and found in names and _may_flag(dataset, found)
    ]
    if 1 < len(called) == len(own):
        return called, []
    known = usual(names, NAMES)
    lists = [name for name in names if _has_lists(dataset, name) and unfit(dataset, name, separator) is None]
    empty = [name for name in known if getattr(dataset.features[name], "dtype", None) == "null"]
    fit = [name for name in known if name in lists] or lists or empty
    if separator and not fit:
        fit = [name for name in known if unfit(dataset, name, separator) is None]
    if len(fit) > 1 and not usual(fit, NAMES):
        raise HubtlError(f"{where} has several columns of lists: {', '.join(fit)}", hint=f"--label-column {fit[0]}")
    if not fit and len(called) > 1:
        return called, []
    passed = [
        f"column {name!r} is passed over: it holds {unfit(dataset, name, separator)}"
        for name in known
        if unfit(dataset, name, separator) is not None
    ]
    return fit[:1], [] if fit else passed


def offer(dataset: Dataset, separator: str | None) -> tuple[list[str], dict[str, str]]:
    """Return columns that could hold sets of classes. The options to add come with them."""
    found, _ = label_columns(dataset, None, "", separator=separator)
    if found:
        return found, {}
    flags = [name for name in dataset.features if _may_flag(dataset, name) and _are_flags(dataset, name)]
    if len(flags) > 1:
        return flags, {}
    texts = [name for name in dataset.features if _is_text(dataset.features[name])]
    for name in dict.fromkeys([*usual(texts, NAMES), *texts]):
        cells = [cell for cell in dataset.with_format(None)[name][:] if cell and cell.strip()]
        for word, sign in [("", separator)] if separator else SIGNS.items():
            if any(sign in cell for cell in cells) and _are_sets([cell.split(sign) for cell in cells]):
                return [name], {"separator": word} if word else {}
    return [], {}


def _are_flags(dataset: Dataset, name: str) -> bool:
    cells = {str(cell).strip().casefold() for cell in dataset.unique(name) if cell is not None}
    return bool(cells) and cells <= {"0", "1", "0.0", "1.0", "false", "true"}


def _may_flag(dataset: Dataset, name: str) -> bool:
    return unfit_of_several(dataset, name) is None


def _are_sets(sets: Sequence[list[str]]) -> bool:
    """Return whether pieces of texts could be names of classes. They have to be few and short enough."""
    pieces = {piece.strip() for pieces in sets for piece in pieces}
    return len(pieces) <= len(sets) and max(len(piece.split()) for piece in pieces) <= 3


def _asked(dataset: Dataset, asked: Any, where: str, separator: str | None) -> list[str]:
    found = headers(dataset, asked)
    if not found:
        names = [asked] if isinstance(asked, str) and "," not in asked else asked
        names = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else names
        found = [existing(dataset, str(name), "label", where) for name in names]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise HubtlError(f"{where}: label column {twice[0]!r} is asked for twice", hint="name each class once")
    for name in found:
        why = unfit(dataset, name, separator) if len(found) == 1 else unfit_of_several(dataset, name)
        if why:
            raise HubtlError(f"{where}: column {name!r} holds {why}", hint=_hint(dataset, name, len(found)))
    return found


def _hint(dataset: Dataset, name: str, asked: int) -> str:
    if asked > 1:
        return "several label columns hold 0 or 1 each, one column for each class"
    beside = f"metadata_{name}"  # what a table beside class folders calls so
    if beside in dataset.features and _has_lists(dataset, beside):
        return f"--label-column {beside}"
    if isinstance(dataset.features[name], ClassLabel):
        return "another --label-column"
    if _is_text(dataset.features[name]):
        return "--set task.separator=comma where they are lists of classes"
    return "--label-column NAME of lists, or NAME,NAME,… of 0 and 1 for each class"


def item_of(dataset: Dataset, column: str) -> Any:
    """Return the feature of a list's items; None where a column holds no lists."""
    feature: Any = dataset.features[column]
    if isinstance(feature, list):
        return feature[0]
    return feature.feature if type(feature).__name__ in LISTS else None


def _has_lists(dataset: Dataset, column: str) -> bool:
    if type(dataset.features[column]).__name__ != "Json":
        return item_of(dataset, column) is not None
    return any(isinstance(cell, list) for cell in dataset.with_format(None)[column][:])


def unfit(dataset: Dataset, column: str, separator: str | None) -> str | None:
    """Return why a single column cannot hold sets of classes, or None. The words follow "it holds"."""
    feature: Any = dataset.features[column]
    item = item_of(dataset, column)
    if item is not None:
        if isinstance(item, ClassLabel) or (
            isinstance(item, Value) and item.dtype.startswith((*WHOLE, *TEXTS, "null"))
        ):
            return None
        if isinstance(item, Value) and item.dtype.startswith("float") and _are_whole(dataset, column):
            return None
        return f"lists of {item.dtype if isinstance(item, Value) else type(item).__name__} values, not of names"
    if type(feature).__name__ == "Json":
        return None  # read cell by cell
    if _is_text(feature):
        return None if separator else "texts, which are taken apart only where task.separator says at what"
    if isinstance(feature, ClassLabel):
        return "one class to a row (--task classification)"
    if not isinstance(feature, Value):
        what = (
            f"structs of {listed(feature)}" if isinstance(feature, dict) else f"values of type {type(feature).__name__}"
        )
        return f"{what}, not a list of classes"
    if feature.dtype == "null" or (separator and feature.dtype.startswith(WHOLE)):
        return None
    return f"{feature.dtype} values: one value to a row, not a list of classes"


def _are_whole(dataset: Dataset, column: str) -> bool:
    """Return whether all decimals of a column of lists are whole numbers.

    Some programs write integers like that.
    """
    cells = dataset.with_format(None)[column][:]
    return all(item is None or float(item).is_integer() for cell in cells for item in cell or [])


def unfit_of_several(dataset: Dataset, column: str) -> str | None:
    """Return the same for one class's column of 0 and 1."""
    feature: Any = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return None
    if not isinstance(feature, Value):
        return f"values of type {type(feature).__name__}, not 0 and 1"
    fit = feature.dtype.startswith((*WHOLE, *TEXTS, "float", "bool", "null"))
    return None if fit else f"{feature.dtype} values, not 0 and 1"


def _is_text(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype in TEXTS
