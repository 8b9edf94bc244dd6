"""Define tasks: labels, head, loss, figures, and their words on a card."""

from hubtl.tasks.base import Answer, Bar, Meter, Related, Said, Task, TaskOptions

__all__ = ["Answer", "Bar", "Meter", "Related", "Said", "Task", "TaskOptions"]
