"""Choose what the values of masks mean: options, files beside them, or the other domain's classes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.tasks.segmentation import legend as files
from hubtl.tasks.segmentation.legend import Legend


def chosen(
    names: str | None, palette: str | None, beside: Legend | None, known: Sequence[str], where: str
) -> tuple[Legend, list[str]]:
    """Return the meaning of masks, and notes on its origin.

    Args:
        names: the option ``task.names``.
        palette: the option ``task.palette``.
        beside: the meaning by files beside the data, or by their layout.
        known: the classes of the other domain; they count where nothing else is given.
        where: the data set's name, for errors.

    Raises:
        HubtlError: for files that cannot be read, and where two of them contradict.
    """
    colours = _palette(palette) if palette else None
    given = class_names(names, where)
    notes: list[str] = []
    if colours is not None:
        if given and given != list(colours.names):
            raise HubtlError(
                f"task.names and task.palette name other classes ({where})",
                hint="leave task.names out: a palette has names",
            )
        return colours, notes
    if given:
        if beside is not None and list(beside.names) != given:
            notes.append(f"the classes are those of task.names; {beside.shown} is not read")
            beside = None
        return (Legend(tuple(given), "task.names") if beside is None else beside), notes
    if beside is not None:
        return beside, [f"{len(beside.names)} classes by {beside.shown}"]
    return Legend(tuple(known), "the other domain"), notes


def class_names(given: str | None, where: str) -> list[str]:
    """Return the classes of ``task.names``: a file of names, or names separated by commas.

    Raises:
        HubtlError: for a file that is missing, and for a name that occurs twice.
    """
    if not given:
        return []
    if "," in given:
        listed = [(name.strip(), None) for name in given.split(",") if name.strip()]
        return list(files.legend(listed, f"task.names ({where})").names)
    path = Path(given).expanduser()
    if not path.is_file():
        raise HubtlError(f"task.names: there is no file {given}", hint="names separated by commas, or a file of lines")
    return list(files.read(path).names)


def _palette(given: str) -> Legend:
    path = Path(given).expanduser()
    if not path.is_file():
        raise HubtlError(f"task.palette: there is no file {given}", hint=files.HINT)
    found = files.read(path)
    if not found.colours:
        raise HubtlError(f"task.palette: {path.name} has no colours", hint='lines "r g b name", or {"name": [r, g, b]}')
    return replace(found, shown=path.name)
