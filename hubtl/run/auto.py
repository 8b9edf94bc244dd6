"""What ``--strategy auto`` takes: by what a run is given, and by how the labels of its domains relate."""

from collections.abc import Sequence

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.tasks import Task

SEVERAL = ("mm-da", "a model of several modalities, which can label the target for each other")


def names(task: Task, setting: str) -> bool:
    """Whether a task names a strategy for a setting, whatever the relation of the labels."""
    return any(of == setting for of, _ in task.picks)


def pick(task: Task, setting: str, relation: str, modalities: Sequence[str] = ("image",)) -> tuple[str, str]:
    """The name of a strategy and why, for a setting and a relation of the labels (``record.LabelSets.setting``).

    A relation that asks for nothing of its own, such as ``unknown``, gets what a closed set gets. Of several modalities
    it is the method made for them, where a package brings it and the task has probabilities. Raises HubtlError where
    the task names none.
    """
    picks = task.picks
    closed = setting == "adaptation" and (setting, relation) not in picks
    if closed and task.probabilities and len(modalities) > 1 and SEVERAL[0] in plugins.entries("strategies"):
        return SEVERAL
    found = picks.get((setting, relation)) or picks.get((setting, None))
    if found is None:
        raise HubtlError(f"{task.name} names no strategy for the setting {setting}", hint="--strategy NAME")
    return found
