"""What a model is for: labels, head, loss, figures, and what a card says of them."""

from hubtl.tasks.base import Answer, Bar, Meter, Related, Said, Task, TaskOptions

__all__ = ["Answer", "Bar", "Meter", "Related", "Said", "Task", "TaskOptions"]
