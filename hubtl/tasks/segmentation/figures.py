"""Define the figures of a segmenter in a record."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from hubtl.record import Facts, Figures, Group, Metric

PRIMARY = Metric(name="mean_iou", title="mIoU")


class RegionScore(Facts):
    """Hold the figures of one class; shares are 0..1."""

    name: str
    n: int  # images that have a pixel of it
    pixels: int  # labelled pixels of it
    iou: float | None  # None: neither labelled nor predicted anywhere
    recall: float | None  # share of its labelled pixels; None: it has none
    precision: float | None  # share of the pixels that are called so; None: there are none


class SegmentationFigures(Figures):
    """Hold a segmenter's figures; shares are 0..1, and None where not measured."""

    group: ClassVar[str] = "class"

    task: Literal["segmentation"] = "segmentation"
    mean_iou: float | None = None  # over classes that are labelled or predicted somewhere
    interval: tuple[float, float] | None = None  # of mean_iou, 95 %: images are drawn with replacement
    pixel_accuracy: float | None = None
    mean_accuracy: float | None = None  # mean recall over classes with labelled pixels
    pixels: int = 0  # that were scored
    ignored: int = 0  # pixels without a class
    per_class: list[RegionScore] = Field(default_factory=list)

    def primary(self) -> Metric:
        return PRIMARY.model_copy(update={"value": self.mean_iou, "interval": self.interval})

    def rows(self) -> list[Metric]:
        return [
            self.primary(),
            Metric(name="pixel_accuracy", value=self.pixel_accuracy),
            Metric(name="mean_accuracy", title="mean class accuracy", value=self.mean_accuracy),
        ]

    def brief(self) -> list[Metric]:
        return self.rows()[1:2]

    def groups(self) -> list[Group]:
        titles = {"iou": "IoU", "recall": "recall", "precision": "precision"}
        return [Group.of(score, titles) for score in self.per_class]

    def numbers(self) -> dict[str, float | int | None]:
        return {**super().numbers(), "pixels": self.pixels, "ignored": self.ignored}


def measured(confusions: np.ndarray, names: list[str], ignored: int) -> SegmentationFigures:
    """Compute the figures from the confusion matrix of each image.

    Args:
        confusions: counts of pixels [n, c, c], labels by predictions.
        names: the classes.
        ignored: pixels without a class.
    """
    whole = confusions.sum(axis=0).astype(np.float64)
    labelled, called, right = whole.sum(axis=1), whole.sum(axis=0), np.diag(whole)
    union = labelled + called - right
    scores = [
        RegionScore(
            name=name,
            n=int((confusions[:, i].sum(axis=1) > 0).sum()),
            pixels=int(labelled[i]),
            iou=float(right[i] / union[i]) if union[i] else None,
            recall=float(right[i] / labelled[i]) if labelled[i] else None,
            precision=float(right[i] / called[i]) if called[i] else None,
        )
        for i, name in enumerate(names)
    ]
    pixels = int(whole.sum())
    if not pixels:
        return SegmentationFigures(ignored=ignored, per_class=scores)
    recalls = [score.recall for score in scores if score.recall is not None]
    figures = SegmentationFigures(
        mean_iou=float(mean_iou(whole[None])[0]),
        pixel_accuracy=float(right.sum() / pixels),
        mean_accuracy=float(np.mean(recalls)),
        pixels=pixels,
        ignored=ignored,
        per_class=scores,
    )
    flat = confusions.reshape(len(confusions), -1).astype(np.float64)

    def resampled(weights: np.ndarray) -> np.ndarray:
        return mean_iou((weights @ flat).reshape(-1, *whole.shape))

    figures._resampled = resampled
    return figures


def mean_iou(confusions: np.ndarray) -> np.ndarray:
    """Return the mean IoU [r] of confusion matrices [r, c, c].

    Classes that are neither labelled nor predicted do not count.
    """
    right = np.diagonal(confusions, axis1=1, axis2=2)
    union = confusions.sum(axis=1) + confusions.sum(axis=2) - right
    there = union > 0
    each = np.divide(right, union, out=np.zeros_like(right, dtype=np.float64), where=there)
    return np.asarray(each.sum(axis=1) / np.maximum(1, there.sum(axis=1)))
