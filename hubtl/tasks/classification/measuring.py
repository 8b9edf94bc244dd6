"""Compute the figures of a classifier's logits against labels."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import precision_recall_fscore_support

from hubtl.record import Evaluation
from hubtl.tasks.classification.figures import ClassificationFigures, ClassScore, ReliabilityBin
from hubtl.tasks.classification.reading import UNKNOWN, UNLABELLED

PART = 2**22  # logits that are turned into probabilities at a time


def figures_of(
    logits: torch.Tensor, labels: np.ndarray | None, classes: Sequence[str], unknown: int | None = None
) -> Evaluation:
    """Compute the figures of logits against labels.

    Rows labelled −1 belong to classes that the model does not know, and rows labelled −2 have no label: both are
    counted and left out of every figure. In an open-set run rows of other classes are labelled ``unknown``, and the
    open-set figures are added. A model without that output, such as source-only, has one logit less and never predicts
    it.

    Args:
        logits: logits [n, c].
        labels: classes [n]; None counts predictions only.
        classes: the names of the classes.
        unknown: the index of the unknown class in an open-set run.
    """
    without, strange = 0, 0
    if labels is not None:
        scored = labels >= 0
        strange, without = int((labels == UNKNOWN).sum()), int((labels == UNLABELLED).sum())
        if not scored.all():
            logits, labels = logits[torch.from_numpy(scored)], labels[scored]
    predicted = logits.argmax(dim=1).numpy()
    counts = np.bincount(predicted, minlength=len(classes)).tolist()
    if labels is None or not len(labels):
        blind = ClassificationFigures(predicted_counts=counts, unknown_class_rows=strange)
        return Evaluation(n=len(predicted), unlabelled_rows=without, figures=blind)
    every = np.arange(len(classes))
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    met = n > 0
    known = met & (every != unknown)
    sure, right = confidence(logits), predicted == labels
    bins = _bins(sure, right)
    figures = ClassificationFigures(
        unknown_class_rows=strange,
        accuracy=float(right.mean()),
        balanced_accuracy=float(recall[met].mean()),
        macro_f1=float(f1[met].mean()),
        ece=_gap(bins),
        reliability=bins,
        per_class=[
            ClassScore(
                name=name,
                n=int(n[c]),
                recall=float(recall[c]) if n[c] else None,
                precision=float(precision[c]) if counts[c] else None,
                f1=float(f1[c]) if n[c] else None,
            )
            for c, name in enumerate(classes)
        ],
        confusion_cells=confused(labels, predicted, len(classes)),
        predicted_counts=counts,
        **({} if unknown is None else open_set(recall[known], recall[unknown] if met[unknown] else None)),
    )
    figures._right = right.tolist()
    return Evaluation(n=len(labels), unlabelled_rows=without, figures=figures)


def open_set(known: np.ndarray, unknown: float | None) -> dict[str, float | None]:
    """Return OS*, UNK and HOS.

    They are the mean recall of known classes, the recall of unknown, and their harmonic mean.

    None where there are no rows.
    """
    mean = float(known.mean()) if len(known) else None
    both = None
    if mean is not None and unknown is not None:
        both = 2 * mean * unknown / (mean + unknown) if mean + unknown > 0 else 0.0
    rate = None if unknown is None else float(unknown)
    return {"known_recall": mean, "unknown_recall": rate, "hos": None if both is None else float(both)}


def confused(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[tuple[int, int, int]]:
    """Return the rows of each pair (truth, prediction) that occurs: never more pairs than rows."""
    pairs, rows = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    return [(int(pair) // classes, int(pair) % classes, int(n)) for pair, n in zip(pairs, rows, strict=True)]


def confidence(logits: torch.Tensor) -> np.ndarray:
    """Return the probability [n] of the predicted class. It needs no second array of [n, c]."""
    step = max(1, PART // max(1, logits.shape[1]))
    found = [part.softmax(dim=1).amax(dim=1) for part in logits.split(step)]
    return torch.cat(found).numpy() if found else np.empty(0, dtype=np.float32)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width.

    Args:
        probabilities: probabilities [n, c].
        labels: classes [n].
        bins: the number of bins.
    """
    return _gap(reliability(probabilities, labels, bins))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    """Return confidence and accuracy of each bin of equal width; empty bins are left out.

    Args:
        probabilities: probabilities [n, c].
        labels: classes [n].
        bins: the number of bins.
    """
    return _bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def _gap(found: Sequence[ReliabilityBin]) -> float:
    return float(sum(b.n * abs(b.confidence - b.accuracy) for b in found) / sum(b.n for b in found))


def _bins(sure: np.ndarray, right: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            confidence=float(sure[place == b].mean()),
            accuracy=float(right[place == b].mean()),
            n=int((place == b).sum()),
        )
        for b in range(bins)
        if (place == b).any()
    ]


def collapse(predicted_counts: np.ndarray, classes: int) -> str | None:
    """Return why predictions look collapsed, or None.

    Collapsed are one class alone, fewer than half of the classes, or one class with most rows. One class is right where
    the rows can be of one class alone, or there is one row.

    Args:
        predicted_counts: predicted rows [c] of each class.
        classes: the number of classes that the rows may have.
    """
    total = predicted_counts.sum()
    if min(classes, total) < 2:
        return None
    used, largest = int((predicted_counts > 0).sum()), int(predicted_counts.argmax())
    if used < min(classes, total) / 2 or used == 1:
        return f"only {used} of {classes} classes {'is' if used == 1 else 'are'} ever predicted"
    share = predicted_counts[largest] / max(1, total)
    if share > max(0.5, 4 / classes) and classes > 2:
        return f"{share:.0%} of the predictions are one class"
    return None
