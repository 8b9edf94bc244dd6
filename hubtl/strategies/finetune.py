"""Fine-tuning: transfer to a labelled target."""

from collections.abc import Iterator

from hubtl.batch import Batch
from hubtl.strategy import Loss, Progress, Strategy


class Finetune(Strategy):
    """Train a new head and the pretrained backbone together on the labelled target.

    ``L = CE(h(f(x)), y)``; the backbone learns at a tenth of the head's rate (``optim.backbone_lr_scale``).
    What of the backbone learns is the tuner's business: ``--tuner first-n --set tuner.n=3`` freezes the first blocks.
    """

    settings = ("transfer",)
    defaults = {"optim.lr": 1e-2, "optim.schedule": "cosine"}

    def step(self, target: Batch, *, at: Progress) -> Iterator[Loss]:  # type: ignore[override]
        task = self.task.loss(self.head(self.encode(target).pooled), target.labels)
        yield Loss(task, logs={"task": task})
