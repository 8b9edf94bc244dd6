"""Pick the strategy of ``--strategy auto``. The data and the relation of their labels decide."""

from collections.abc import Sequence

from hubtl import plugins
from hubtl.backbones.loader import loader, several
from hubtl.errors import HubtlError
from hubtl.plugins.modalities import USUAL
from hubtl.tasks import Task


def names(task: Task, setting: str) -> bool:
    """Return whether a task names a strategy for a setting. One relation of the labels is enough."""
    return any(of == setting for of, _ in task.picks)


def pick(
    task: Task, setting: str, relation: str, modalities: Sequence[str] = (USUAL,), *, frozen: bool = False
) -> tuple[str, str]:
    """Return the name of a strategy and the reason.

    A relation without a pick of its own, such as ``unknown``, gets that of a closed set. With several modalities it is
    the method made for them, if a package provides it and the task has probabilities. A backbone that learns from images
    gets the task's pick with strong views, if it names one.

    Args:
        task: the task.
        setting: the setting of the run.
        relation: the relation of the labels (``record.LabelSets.setting``).
        modalities: the modalities of the model.
        frozen: whether the recipe says that the backbone does not learn.

    Raises:
        HubtlError: where the task names none.
    """
    picks = task.picks
    closed = setting == "adaptation" and (setting, relation) not in picks
    if closed and task.probabilities and len(modalities) > 1 and (fuses := several()) is not None:
        name, reason = loader(fuses).picks.get(setting, ("", ""))
        if name in plugins.entries("strategies"):
            return name, reason
    if closed and task.viewed is not None and tuple(modalities) == (USUAL,) and not frozen:
        return task.viewed
    found = picks.get((setting, relation)) or picks.get((setting, None))
    if found is None:
        raise HubtlError(f"{task.name} names no strategy for the setting {setting}", hint="--strategy NAME")
    return found
