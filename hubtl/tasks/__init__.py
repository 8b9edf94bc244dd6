"""What a model is for: labels, head, loss, figures, and what a card says of them."""

from hubtl.tasks.base import Answer, Meter, Related, Task, TaskOptions

__all__ = ["Answer", "Meter", "Related", "Task", "TaskOptions"]
