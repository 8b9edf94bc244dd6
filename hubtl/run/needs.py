"""Refuse methods whose needs a task does not meet."""

from hubtl.errors import HubtlError
from hubtl.strategy import Strategy
from hubtl.tasks import Task


def refusal(cls: type[Strategy], name: str, task: Task) -> HubtlError | None:
    """Return the error for a method unfit for a task, or None.

    Args:
        cls: the method.
        name: its name, as the recipe has it.
        task: the task.
    """
    listed = f"hubtl list strategies --task {task.name}"
    if not task.probabilities and "probabilities" in cls.needs:
        return HubtlError(
            f"{name} needs probabilities that sum to one, and {task.name} {task.no_probabilities}: "
            "it would train on numbers that mean nothing",
            hint=f"a --strategy that works on features, such as dann, coral or dare-gram: {listed}",
        )
    if task.dense and "rows" in cls.needs:
        return HubtlError(
            f"{name} needs one row for each input, and {task.name} has one for each place of an image",
            hint=f"a --strategy that works on places, such as mcc, self-training or coral: {listed}",
        )
    if not task.dense and "sites" in cls.needs:
        return HubtlError(
            f"{name} works on a grid of predictions, and {task.name} has one for each input",
            hint=f"--task segmentation, or another --strategy: {listed}",
        )
    return None


def check_needs(cls: type[Strategy], name: str, task: Task) -> None:
    """Raise HubtlError for a method that cannot train on a task."""
    if (error := refusal(cls, name, task)) is not None:
        raise error
