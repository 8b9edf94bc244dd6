"""What a run that adjusts itself is shown: losses on labelled rows, and what is predicted on a target without labels."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from hubtl.data.images import ImageSet
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.judge import some
from hubtl.judging.validators import collapse
from hubtl.modules import Classifier
from hubtl.run.prepare import Prepared
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.strategy import Phase, Strategy


class Watch:
    """Measures a strategy while it trains, on at most ``assess.EVIDENCE_ROWS`` rows of each stream.

    The validation loss is that of the source's evaluation rows when adapting, and of the rows that are held out of the
    training rows where the target's labels are learnt from. Target rows without labels are training rows, and only
    counted by their predictions. A phase is measured on streams that it sees, and on no others.
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
            new, counts = self.losses(model, held_out)
            chance = math.log(len(counts))
            found |= {"training_loss": known, "validation_loss": new, "chance_loss": chance}
            if blind:
                found["source_collapsed"] = float(collapse(counts, len(counts)) is not None)
        if blind and "target" in phase.sees:
            found |= self.predictions(model, streams.target_plain)
        return found

    def losses(self, model: Classifier, images: ImageSet) -> tuple[float, np.ndarray]:
        """Mean cross-entropy in nats over rows of a known class, and how often each class was predicted."""
        assert images.labels is not None
        rows = some(len(images))
        logits = outputs(model, images, self.accelerator, rows=rows).logits
        labels = torch.from_numpy(np.asarray(images.labels)[rows])
        known = labels >= 0
        return float(F.cross_entropy(logits[known], labels[known])), _counts(logits)

    def predictions(self, model: Classifier, images: ImageSet) -> dict[str, float]:
        """How the predictions of rows without labels spread over the classes that the target may have."""
        counts = _counts(outputs(model, images, self.accelerator, rows=some(len(images))).logits)
        relation = self.prepared.relation
        lacks = relation.setting in ("partial", "open-partial")
        classes = len(relation.shared) if lacks else len(self.prepared.classes)
        return {
            "collapsed": float(collapse(counts, classes) is not None),
            "predicted_classes": float((counts > 0).sum()),
            "largest_share": float(counts.max() / counts.sum()),
            "classes": float(classes),
        }


def _counts(logits: torch.Tensor) -> np.ndarray:
    return np.bincount(logits.argmax(dim=1).numpy(), minlength=logits.shape[1])
