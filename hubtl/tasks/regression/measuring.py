"""Compute the figures of predicted values against true ones."""

from collections.abc import Sequence

import numpy as np

from hubtl.record import Evaluation
from hubtl.record.figures import drawn
from hubtl.tasks.regression.answer import short
from hubtl.tasks.regression.figures import OutputScore, RegressionFigures, Residual

POINTS = 200  # rows of each output that a record keeps for the scatter plot
PLOTTED = 6  # outputs that have a scatter plot
RANGES = 8  # of true values, for the errors by range


def figures_of(
    predicted: np.ndarray,
    truth: np.ndarray | None,
    names: Sequence[str],
    units: Sequence[str] = (),
    margins: Sequence[float] | None = None,
) -> Evaluation:
    """Compute the figures of predicted against true values.

    Rows without any label are counted and not scored.

    Args:
        predicted: predictions [n, k].
        truth: true values [n, k], where NaN is no label; None: no figures.
        names: names of the outputs.
        units: unit of each output.
        margins: half the width of each output's 90 % interval on the source.
    """
    units = list(units) or [""] * len(names)
    unit = units[0] if len(names) == 1 else ""
    known = np.zeros(predicted.shape, dtype=bool) if truth is None else np.isfinite(truth)
    scored = known.any(axis=1)
    if truth is None or not scored.any():
        without = 0 if truth is None else len(predicted)
        return Evaluation(
            n=0 if without else len(predicted), unlabelled_rows=without, figures=RegressionFigures(unit=unit)
        )
    predicted, truth, known = (rows[scored].astype(np.float64) for rows in (predicted, truth, known))
    error = np.abs(np.where(known > 0, predicted - truth, 0.0))
    outputs = []
    for k, (name, of) in enumerate(zip(names, units, strict=True)):
        rows = known[:, k] > 0
        margin = None if margins is None else margins[k]
        outputs.append(_output(name, of, predicted[rows, k], truth[rows, k], margin, plotted=k < PLOTTED))

    def resampled(weights: np.ndarray) -> np.ndarray:
        """Return the MAE [r] of reweighted rows. They are counted ``weights`` [r, n] times."""
        counts = weights @ known
        each = np.divide(weights @ error, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        mean: np.ndarray = np.nanmean(each, axis=1)
        return mean

    n = len(error)
    low, high = np.percentile(drawn(resampled, n), [2.5, 97.5])
    figures = RegressionFigures(
        unit=unit,
        mae=_mean([o.mae for o in outputs]),
        rmse=_mean([o.rmse for o in outputs]),
        r2=_mean([o.r2 for o in outputs]),
        spearman=_mean([o.spearman for o in outputs]),
        interval=(float(low), float(high)),
        covered=_mean([o.covered for o in outputs]),
        per_output=outputs,
    )
    figures._resampled = resampled
    return Evaluation(n=n, unlabelled_rows=int((~scored).sum()), figures=figures)


def _output(
    name: str, unit: str, predicted: np.ndarray, truth: np.ndarray, margin: float | None, *, plotted: bool
) -> OutputScore:
    n = len(truth)
    if not n:
        return OutputScore(name=name, n=0, unit=unit)
    error = predicted - truth
    some = np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int)) if plotted else np.empty(0, dtype=int)
    return OutputScore(
        name=name,
        n=n,
        unit=unit,
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt(np.square(error).mean())),
        r2=explained(predicted, truth),
        spearman=rank_correlation(predicted, truth),
        covered=None if margin is None else float((np.abs(error) <= margin).mean()),
        truth=[short(value) for value in truth[some]],
        predicted=[short(value) for value in predicted[some]],
        residuals=by_range(predicted, truth),
    )


def explained(predicted: np.ndarray, truth: np.ndarray) -> float | None:
    """Return R² of predictions [n]; None where all true values are equal."""
    spread = float(np.square(truth - truth.mean()).sum())
    if len(truth) < 2 or np.ptp(truth) == 0 or spread == 0:
        return None
    return 1 - float(np.square(predicted - truth).sum()) / spread


def rank_correlation(predicted: np.ndarray, truth: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None where either side is constant."""
    from scipy.stats import rankdata

    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return None
    return float(np.corrcoef(rankdata(predicted), rankdata(truth))[0, 1])


def by_range(predicted: np.ndarray, truth: np.ndarray) -> list[Residual]:
    """Return the errors of the rows in each range of true values.

    The ranges have about equally many rows.
    """
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, min(RANGES, max(1, len(truth) // 5)) + 1)))
    place = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for number in range(max(1, len(edges) - 1)):
        rows = place == number
        if rows.any():
            error = predicted[rows] - truth[rows]
            found.append(
                Residual(
                    low=short(edges[number]),
                    high=short(edges[min(number + 1, len(edges) - 1)]),
                    n=int(rows.sum()),
                    mae=float(np.abs(error).mean()),
                    bias=float(error.mean()),
                )
            )
    return found


def margin_of(errors: np.ndarray, level: float) -> float | None:
    """Return half the width of a split-conformal interval.

    It is the ⌈(n + 1) · level⌉-th smallest of the absolute errors [n]; None where there are too few for that level.
    """
    place = int(np.ceil((len(errors) + 1) * level))
    return None if place > len(errors) else float(np.sort(np.abs(errors))[place - 1])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
