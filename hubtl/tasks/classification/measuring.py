"""The figures that the logits of a classifier make against labels."""

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
    """The figures of ``logits`` [n, c] against ``labels`` [n]; without labels only what was predicted is counted.

    Rows labelled −1 belong to classes that the model does not know, and rows labelled −2 have no label: both are counted
    and left out of every figure. In an open-set run rows of other classes are labelled ``unknown``, the index of a class
    like the others, and there are the figures of the field besides. A model without that output, such as source-only,
    has one logit less and never predicts it.
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
    """The mean of the known classes' recalls (OS*), the recall of unknown (UNK) and their harmonic mean (HOS).

    None where there are no rows.
    """
    mean = float(known.mean()) if len(known) else None
    both = None
    if mean is not None and unknown is not None:
        both = 2 * mean * unknown / (mean + unknown) if mean + unknown > 0 else 0.0
    rate = None if unknown is None else float(unknown)
    return {"known_recall": mean, "unknown_recall": rate, "hos": None if both is None else float(both)}


def confused(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[tuple[int, int, int]]:
    """How many rows [truth, prediction] has, for each pair that occurs: never more pairs than rows."""
    pairs, rows = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    return [(int(pair) // classes, int(pair) % classes, int(n)) for pair, n in zip(pairs, rows, strict=True)]


def confidence(logits: torch.Tensor) -> np.ndarray:
    """The probability of the predicted class of each row [n], without a second array of [n, c]."""
    step = max(1, PART // max(1, logits.shape[1]))
    found = [part.softmax(dim=1).amax(dim=1) for part in logits.split(step)]
    return torch.cat(found).numpy() if found else np.empty(0, dtype=np.float32)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over bins of equal width, by their rows."""
    return _gap(reliability(probabilities, labels, bins))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    """Confidence and accuracy of the rows of each bin of confidence, of equal width; bins without rows are left out."""
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
    """Why the predictions look collapsed, or None: one class, fewer than half of them, or one with most of the rows.

    Where the rows can be of one class alone, or there is one row, one class is what is right.
    """
    total = predicted_counts.sum()
    if min(classes, total) < 2:
        return None
    used, largest = int((predicted_counts > 0).sum()), int(predicted_counts.argmax())
    if used < min(classes, total) / 2 or used == 1:
        return f"only {used} of {classes} classes are ever predicted"
    share = predicted_counts[largest] / max(1, total)
    if share > max(0.5, 4 / classes) and classes > 2:
        return f"{share:.0%} of the predictions are one class"
    return None
