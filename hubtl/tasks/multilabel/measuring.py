"""Compute average precision, thresholds, and the figures of a multi-label model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from hubtl.record import Evaluation
from hubtl.record.figures import drawn
from hubtl.tasks.multilabel.figures import LabelScore, MultiLabelFigures

RESAMPLES = 1000
WORK = 10**9  # cells that are resampled at most: of many rows fewer draws are enough


def figures_of(
    probabilities: np.ndarray, labels: np.ndarray | None, classes: Sequence[str], thresholds: np.ndarray
) -> Evaluation:
    """Compute the figures of probabilities against labels.

    Rows without any label are counted and left out.

    Args:
        probabilities: probabilities [n, c].
        labels: labels [n, c]: 1, 0, or NaN where not known; None counts predictions only.
        classes: the names of the classes.
        thresholds: the threshold [c] of each class.
    """
    above = probabilities > thresholds
    known = np.zeros_like(above) if labels is None else ~np.isnan(labels)
    scored = known.any(axis=1)
    if labels is None or not scored.any():
        blind = [
            LabelScore(name=name, n=0, rows=0, ap=None, f1=None, precision=None, recall=None, predicted=int(p), threshold=t)
            for name, p, t in zip(classes, above.sum(axis=0).tolist(), thresholds.tolist(), strict=True)
        ]  # fmt: skip
        without = 0 if labels is None else len(labels)
        return Evaluation(n=len(above), unlabelled_rows=without, figures=MultiLabelFigures(per_class=blind))
    probabilities, labels, above, known = (x[scored] for x in (probabilities, labels, above, known))
    truth = labels == 1
    each = [
        _class(*column) for column in zip(probabilities.T, truth.T, above.T, known.T, classes, thresholds, strict=True)
    ]
    measured = [number for number, score in enumerate(each) if score.ap is not None]
    right, said, there = (int((x & known).sum()) for x in (above & truth, above, truth))
    figures = MultiLabelFigures(
        map=_mean([each[number].ap for number in measured]),
        macro_f1=_mean([each[number].f1 for number in measured]),
        micro_f1=_f1(right, said, there),
        constant_map=_mean([each[number].n / each[number].rows for number in measured]),
        missing_cells=int((~known).sum()),
        per_class=each,
    )
    if measured:
        again = resampled(probabilities[:, measured], labels[:, measured])
        figures._resampled = again
        draws = min(RESAMPLES, max(100, WORK // labels[:, measured].size))
        found = drawn(again, len(labels), draws)
        low, high = np.nanpercentile(found, [2.5, 97.5]) + (figures.map or 0.0) - np.nanmean(found)
        figures.interval = (max(0.0, float(low)), min(1.0, float(high)))  # a row that is drawn twice lifts its own rank
    return Evaluation(n=len(labels), unlabelled_rows=int((~scored).sum()), figures=figures)


def average_precision(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return ``Σ (R_k − R_{k−1}) P_k`` over distinct scores, for each row of weights: [r].

    Rows of equal scores are taken together, so that their order changes nothing. NaN where no weight is on a row that
    has the class.

    Args:
        scores: scores [n].
        truth: 0 or 1 [n].
        weights: weights [r, n] of the rows; None weighs all the same.
    """
    weights = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    sorted_weights = weights[:, order].astype(np.float64)
    every = np.cumsum(sorted_weights, axis=1)[:, ends]
    right = np.cumsum(sorted_weights * truth[order], axis=1)[:, ends]
    precision = np.divide(right, every, out=np.zeros_like(right), where=every > 0)
    gained = np.diff(right, axis=1, prepend=0.0)
    total = right[:, -1]
    mean: np.ndarray = np.divide(
        (gained * precision).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    return mean


def resampled(probabilities: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that gives the mean average precision [r]. Its argument are weights [r, n].

    It averages over the classes that have a row in the draw.
    """
    known = ~np.isnan(labels)

    def metric(weights: np.ndarray) -> np.ndarray:
        total, met = np.zeros(len(weights)), np.zeros(len(weights))
        for number in range(labels.shape[1]):
            rows = known[:, number]
            found = average_precision(probabilities[rows, number], labels[rows, number] == 1, weights[:, rows])
            total += np.nan_to_num(found)
            met += ~np.isnan(found)
        mean: np.ndarray = np.divide(total, met, out=np.full(len(weights), np.nan), where=met > 0)
        return mean

    return metric


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold with the best F1, halfway between two scores.

    It is 0.5 where no row or every row has the class.
    """
    if not truth.any() or truth.all():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
    right = np.cumsum(truth[order])[ends]
    f1 = 2 * right / (ends + 1 + truth.sum())
    best = int(f1.argmax())
    below = ordered[ends[best] + 1] if best + 1 < len(ends) else 0.0
    return float((ordered[ends[best]] + below) / 2)


def _class(
    scores: np.ndarray, truth: np.ndarray, above: np.ndarray, known: np.ndarray, name: str, threshold: float
) -> LabelScore:
    truth, above, scores = truth[known], above[known], scores[known]
    right, said, there = int((truth & above).sum()), int(above.sum()), int(truth.sum())
    both = 0 < there < len(truth)
    return LabelScore(
        name=name,
        n=there,
        rows=len(truth),
        ap=float(average_precision(scores, truth)[0]) if both else None,
        f1=_f1(right, said, there) if there else None,
        precision=right / said if said else None,
        recall=right / there if there else None,
        predicted=said,
        threshold=float(threshold),
    )


def _f1(right: int, said: int, there: int) -> float | None:
    return 2 * right / (said + there) if said + there else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def chances(outputs: torch.Tensor) -> np.ndarray:
    """Return the probability of each class [n, c] as float64.

    Logits that differ stay distinct up to about 36.
    """
    found: np.ndarray = outputs.double().sigmoid().numpy()
    return found
