"""Measure a self-adjusting run: losses on labelled rows, and predictions on unlabelled ones."""

import numpy as np
import torch

from hubtl.data.rows import Rows
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.judge import some
from hubtl.modules import Classifier
from hubtl.run.prepare import Prepared
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.strategy import Phase, Strategy


class Watch:
    """Measure a strategy while it trains. It reads at most ``assess.EVIDENCE_ROWS`` rows of each stream.

    The validation loss is that of the source's evaluation rows when adapting, and of the held-out training rows where
    the target's labels are learnt from. Target rows without labels are training rows, and only their predictions are
    counted. A phase is measured on streams that it sees, and on no others.
    """

    def __init__(self, prepared: Prepared, accelerator: Accelerator) -> None:
        self.prepared, self.accelerator = prepared, accelerator

    def __call__(self, strategy: Strategy, phase: Phase) -> dict[str, float]:
        streams, model = self.prepared.streams, strategy.deployed()
        found: dict[str, float] = {}
        blind = self.prepared.setting in NO_TARGET_LABELS
        labelled, held_out = ("source", streams.source_eval) if blind else ("target", streams.held_out)
        if labelled in phase.sees and held_out is not None:
            known, _ = self.losses(model, streams.train[labelled].plain)
            new, spread = self.losses(model, held_out)
            found |= {"training_loss": known, "validation_loss": new, "chance_loss": self.prepared.task.chance()}
            if blind and "collapsed" in spread:
                found["source_collapsed"] = spread["collapsed"]
        if blind and "target" in phase.sees:
            found |= self.predictions(model, streams.target_plain)
        return found

    def losses(self, model: Classifier, images: Rows) -> tuple[float, dict[str, float]]:
        """Return the mean supervised loss and the outputs' spread. The loss is over labelled rows."""
        assert images.labels is not None
        task, rows = self.prepared.task, some(len(images))
        logits = outputs(model, images, self.accelerator, rows=rows).logits
        labels = np.asarray(images.labels)[rows]
        known = torch.from_numpy(task.present(labels))
        loss = task.losses(logits[known], torch.from_numpy(labels)[known]).mean()
        return float(loss), task.spread(logits, None)

    def predictions(self, model: Classifier, images: Rows) -> dict[str, float]:
        """Return the spread of the outputs on rows without labels."""
        seen = outputs(model, images, self.accelerator, rows=some(len(images))).logits
        return self.prepared.task.spread(seen, self.prepared.relation)
