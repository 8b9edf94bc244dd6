"""Define semantic segmentation: one class for each pixel, learnt on the sites of a grid."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydantic import Field

from hubtl.data.sites import IGNORE, at_sites
from hubtl.errors import HubtlError
from hubtl.record import Bound, Estimate, Evaluation, Metric, Outputs, RunRecord
from hubtl.tasks.base import Answer, Meter, Task
from hubtl.tasks.classification.task import Classification, ClassificationOptions
from hubtl.tasks.segmentation import words
from hubtl.tasks.segmentation.figures import PRIMARY, SegmentationFigures

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from hubtl.data.cells import Wanted
    from hubtl.data.labels import Labels
    from hubtl.tasks.segmentation.legend import Legend


class SegmentationOptions(ClassificationOptions):
    names: str | None = Field(
        None, max_length=20_000, description="names of the classes by number: a file with a name a line, or a,b,c"
    )
    palette: str | None = Field(
        None,
        max_length=4_000,
        description='file with the colours of RGB masks: lines "r g b name", or JSON {name: [r, g, b]}',
    )
    ignore: int = Field(IGNORE, ge=0, le=65_535, description="value of a mask's pixels that have no class")


class Segmentation(Classification):
    """Learn the class of each pixel by cross-entropy on a grid.

    Labels are masks, uint8 [n, h, w], 255 where a pixel has no class. A model answers on a square grid: outputs are
    [n, sites, c] for whole rows, and [m, c] for single sites. While training, ``Batch.labels`` has one class a site, −100
    for none; masks are sampled at the sites' centres. Figures count every labelled pixel, with upsampled outputs.
    """

    name = "segmentation"
    dense = True
    Options = SegmentationOptions
    Figures = SegmentationFigures
    kind = "segmentation"
    pipeline = "segmentation"
    metrics = {"mean_iou": "mean_iou", "pixel_accuracy": "accuracy", "mean_accuracy": "mean_accuracy"}
    scores = ("source-score", "infomax", "entropy")
    guard = "source-score"
    voters = ("infomax",)
    oracle = "target-score"
    picks = words.PICKS
    viewed = None
    members = ()
    captions = words.CAPTIONS
    rankers = ()
    bars = False
    augments = True
    asks = False
    instead = "hubtl evaluate RUN --dataset DATASET, with masks of some rows"
    draws = ("masks", "overlays")
    unlabelled_hint = "--label-column NAME of masks"

    # labels

    _beside: "Legend | None" = None  # what files beside the masks, or their layout, say

    def folder(self, path: "Path", wanted: "Wanted") -> Any:
        from hubtl.tasks.segmentation.layouts import whole

        return whole(path, wanted)

    def beside(self, dataset: str) -> "Segmentation":
        from hubtl.tasks.segmentation.layouts import legend_of

        read = copy(self)
        read._beside = legend_of(dataset)
        return read

    def find(self, dataset: Any, asked: Any, where: str, aside: str | None = None) -> tuple[list[str], list[str]]:
        from hubtl.tasks.segmentation.masks import column

        if isinstance(asked, list):
            if len(asked) > 1:
                raise HubtlError(f"{where}: masks are in one column, and {len(asked)} are asked for")
            asked = asked[0] if asked else None
        found = column(dataset, asked, where)
        return ([] if found is None else [found]), []

    def read(
        self, parts: Sequence[Any], columns: Sequence[str], where: str, called: Sequence[str], known: Outputs | None
    ) -> "Labels":
        from hubtl.tasks.segmentation.masks import read
        from hubtl.tasks.segmentation.meaning import chosen

        options = cast(SegmentationOptions, self.options)
        legend, notes = chosen(
            options.names, options.palette, self._beside, () if known is None else known.names, where
        )
        labels = read(parts, columns[0], where, called, legend, options.ignore)
        return replace(labels, notes=[*notes, *labels.notes])

    def typed(self, text: str) -> np.ndarray:
        raise HubtlError("the label of a row is a mask here, and no text", hint="a data set with masks of these rows")

    def present(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray((labels != IGNORE).reshape(len(labels), -1).any(axis=1))

    def unlabelled(self, labels: np.ndarray) -> np.ndarray:
        return ~self.present(labels)

    def strata(self, dataset: Any, columns: Sequence[str]) -> np.ndarray | None:
        return None

    def check_source(self, labels: np.ndarray, outputs: Outputs, where: str) -> dict[str, int]:
        counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)[: len(outputs.names)].tolist()
        if sum(1 for count in counts if count) < 2:
            raise HubtlError(
                f"{where}: the masks have one class alone, and there is nothing to learn", hint="other masks"
            )
        return dict(zip(outputs.names, counts, strict=True))

    def targets(self, labels: np.ndarray, own: Outputs, outputs: Outputs, other: int | None = None) -> np.ndarray:
        table = np.full(IGNORE + 1, IGNORE, dtype=np.uint8)
        place = super().targets(np.arange(len(own.names)), own, outputs, other)
        table[: len(own.names)] = np.where(place < 0, IGNORE, place)
        return np.asarray(table[labels])

    def few(self, labels: np.ndarray | None, k: int, rng: np.random.Generator) -> np.ndarray:
        return Task.few(self, labels, k, rng)

    def unmet(self, labels: np.ndarray) -> list[str]:
        met = set(np.unique(labels).tolist())
        return [name for number, name in enumerate(self.classes) if number not in met]

    def at_sites(self, labels: np.ndarray, sites: int) -> np.ndarray:
        return _codes(at_sites(labels, sites)) if labels.ndim == 3 else labels

    # model

    def losses(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return the cross-entropy of each site, 0 where it has no class.

        Args:
            outputs: outputs of sites [m, c], or of whole rows [n, sites, c].
            labels: classes [m] of the sites, or masks [n, h, w].
        """
        import torch
        import torch.nn.functional as F

        if labels.ndim == 3:
            labels = (
                torch.from_numpy(self.at_sites(labels.cpu().numpy(), outputs.shape[1])).flatten().to(outputs.device)
            )
        return F.cross_entropy(_flat(outputs), labels, reduction="none")

    def loss(self, outputs: "Tensor", labels: "Tensor | None", weight: "Tensor | None" = None) -> "Tensor":
        import torch.nn.functional as F

        if labels is None:
            return super().loss(outputs, labels, weight)
        smoothing = cast(SegmentationOptions, self.options).label_smoothing
        each = F.cross_entropy(_flat(outputs).float(), labels, label_smoothing=smoothing, reduction="none")
        each = each if weight is None else each * weight
        return each.sum() / (labels >= 0).sum().clamp_min(1)

    def distil(self, outputs: "Tensor", teacher: "Tensor") -> "Tensor":
        return super().distil(_flat(outputs), _flat(teacher))

    def prints(self, library: str | None = None) -> str:
        return "print(answer.shares)"

    def check_explains(self, label: str | None = None) -> None:
        raise HubtlError(
            "segmentation explains no answer: a mask says of each pixel what it is",
            hint="hubtl predict RUN images/ --masks DIR --overlays DIR",
        )

    def decode(self, names: Sequence[str], outputs: "Tensor") -> list[Answer]:
        from hubtl.tasks.segmentation.answer import Regions

        found: list[Answer] = []
        for name, row in zip(names, outputs.float().numpy(), strict=True):
            counts = np.bincount(row.argmax(axis=1), minlength=len(self.classes)) / len(row)
            found.append(Regions(name, tuple(self.classes), row, dict(zip(self.classes, counts.tolist(), strict=True))))
        return found

    # judging

    def meter(self) -> Meter:
        from hubtl.tasks.segmentation.measuring import SegmentationMeter

        return SegmentationMeter(self.classes)

    def score(self, outputs: "Tensor", labels: np.ndarray) -> float:
        """Return the mean IoU over sites."""
        from hubtl.tasks.segmentation.figures import mean_iou

        found, labels = _flat(outputs).argmax(dim=1).numpy(), labels.reshape(-1)
        c, known = len(self.classes), labels >= 0
        pairs = labels[known] * c + found[known]
        return float(mean_iou(np.bincount(pairs, minlength=c * c).reshape(1, c, c).astype(np.float64))[0])

    def gauge(self, outputs: "Tensor", labels: np.ndarray) -> dict[str, Any] | None:
        return None

    def estimate(
        self, models: Sequence[tuple["Tensor", Mapping[str, Any]]], *, adapted: bool = True
    ) -> Estimate | None:
        return None

    def bound(self, *evidence: Any) -> Bound | None:
        return None

    def spread(self, outputs: "Tensor", relation: Any) -> dict[str, float]:
        return super().spread(_flat(outputs), relation)

    def collapse(self, outputs: "Tensor", relation: Any) -> str | None:
        """Judge collapse: one class alone. Most pixels of one class, or classes that do not occur, are usual."""
        used = len(_flat(outputs).argmax(dim=1).unique())
        return f"only 1 of {len(self.classes)} classes is ever predicted" if used < 2 else None

    def certainty(self, outputs: "Tensor") -> float:
        return super().certainty(_flat(outputs))

    def prior_shift(self, labels: np.ndarray, outputs: "Tensor") -> float | None:
        return super().prior_shift(labels.reshape(-1), _flat(outputs))

    def unlearned(self, before: Evaluation) -> str | None:
        return None

    def answered(self, outputs: "Tensor") -> np.ndarray:
        return np.asarray(outputs.argmax(dim=-1).numpy())

    def disagree(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(one != other)

    # saying

    def warnings(self, relation: Any, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
        return super().warnings(relation, None, method, unknown)

    def limits(self, record: RunRecord, does: str) -> list[str]:
        return words.limits(record)

    def doubts(self, record: RunRecord) -> list[str]:
        return words.doubts(record)

    def notes(self, record: RunRecord, *, adapting: bool) -> str:
        return words.notes(adapting=adapting)

    def groups(self, labels: np.ndarray) -> np.ndarray:
        return labels.reshape(-1)

    def predicted(self, outputs: "Tensor") -> np.ndarray:
        return np.asarray(_flat(outputs).argmax(dim=1).numpy())

    def primary(self) -> Metric:
        return PRIMARY


def _flat(outputs: "Tensor") -> "Tensor":
    """Return outputs of whole rows [n, sites, c] as sites [m, c]."""
    return outputs.flatten(0, 1) if outputs.ndim == 3 else outputs


NONE = -100  # torch's code of a target that a cross-entropy leaves out


def _codes(sites: np.ndarray) -> np.ndarray:
    """Return classes as int64, with torch's code where a site has none."""
    codes = sites.astype(np.int64)
    codes[codes == IGNORE] = NONE
    return codes
