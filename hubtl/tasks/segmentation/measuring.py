"""Measure a segmenter image by image: one confusion matrix each, never all maps at once."""

import numpy as np
import torch

from hubtl.data.sites import upsampled
from hubtl.record import Evaluation
from hubtl.tasks.parts import Meter
from hubtl.tasks.segmentation.figures import SegmentationFigures, measured

PART = 16  # images that are upsampled at a time


class SegmentationMeter(Meter):
    """Count pixels, labels by predictions, image by image.

    Outputs [b, sites, c] are upsampled to the size of the masks [b, h, w]: each labelled pixel counts once.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.confusions: list[np.ndarray] = []
        self.ignored = 0
        self.seen = 0
        self.bare = 0

    def update(self, outputs: torch.Tensor, targets: np.ndarray | None) -> None:
        self.seen += len(outputs)
        if targets is None:
            return
        for start in range(0, len(outputs), PART):
            part = targets[start : start + PART]
            found = predicted(outputs[start : start + PART], *part.shape[1:])
            for mask, classes in zip(part, found, strict=True):
                self._count(mask, classes)

    def _count(self, mask: np.ndarray, found: np.ndarray) -> None:
        c, known = len(self.names), mask < len(self.names)
        self.ignored += int((~known).sum())
        if not known.any():
            self.bare += 1
            return
        pairs = mask[known].astype(np.int64) * c + found[known]
        self.confusions.append(np.bincount(pairs, minlength=c * c).reshape(c, c))

    def result(self) -> Evaluation:
        if not self.confusions:
            return Evaluation(n=0 if self.bare else self.seen, unlabelled_rows=self.bare, figures=SegmentationFigures())
        figures = measured(np.stack(self.confusions), self.names, self.ignored)
        if len(self.confusions) > 1 and figures.resampled is not None:
            from hubtl.record.figures import drawn

            low, high = np.quantile(drawn(figures.resampled, len(self.confusions)), [0.025, 0.975])
            figures.interval = (float(low), float(high))
        return Evaluation(n=len(self.confusions), unlabelled_rows=self.bare, figures=figures)


def predicted(outputs: torch.Tensor, height: int, width: int) -> np.ndarray:
    """Return the predicted class, uint8 [n, height, width], of each pixel.

    Args:
        outputs: outputs [n, sites, c].
        height: rows of pixels.
        width: columns of pixels.
    """
    return np.asarray(upsampled(outputs, height, width).argmax(dim=1).to(torch.uint8).numpy())
