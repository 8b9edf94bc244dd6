"""Find the column with classes."""

from datasets import ClassLabel, Dataset

from hubtl.data.columns import existing, header, usual
from hubtl.data.values import LABEL_NAMES
from hubtl.errors import HubtlError
from hubtl.tasks.classification.reading import unfit


def label_column(
    dataset: Dataset, asked: str | None, where: str, *, aside: str | None = None
) -> tuple[str | None, list[str]]:
    """Return the column with classes, or None. Notes say why other candidates were passed over.

    Args:
        dataset: the data set.
        asked: the column that the recipe names, or None.
        where: the data set's name, for errors.
        aside: a column that holds no classes, such as the one that names domains.

    Raises:
        HubtlError: for several columns, and for one that was asked for and does not hold one class per row.
    """
    if asked is not None:
        found = existing(dataset, asked, "label", where)
        if why := unfit(dataset, found):
            raise HubtlError(f"{where}: column {found!r} holds {why}", hint="--label-column for another column")
        return found, []
    aside = None if aside is None else header(dataset, aside)
    typed = [n for n, feature in dataset.features.items() if isinstance(feature, ClassLabel) and n != aside]
    named = [name for name in usual(dataset.features, LABEL_NAMES) if name != aside]
    strange = {name: f"it holds {why}" for name in named if name not in typed and (why := unfit(dataset, name))}
    likely = [name for name in named if name in typed] or (typed if len(typed) == 1 else [])
    if typed and not likely:
        raise HubtlError(f"{where} has several label columns: {', '.join(typed)}", hint=f"--label-column {typed[0]}")
    fit = [*likely, *(name for name in named if name not in strange and name not in likely)]
    passed = (
        strange | {name: f"{fit[0]!r} is read" for name in [*fit[1:], *typed] if name != fit[0]} if fit else strange
    )
    return (fit[0] if fit else None), [f"column {name!r} is passed over: {why}" for name, why in passed.items()]
