"""Format metrics: a value with its unit, a difference with its sign, an interval."""

from hubtl.card.wording import NOT_MEASURED, between, percent, points, signed, signed_significant, significant
from hubtl.record import Estimate, Metric
from hubtl.record.figures import SHARE


def called(metric: Metric | None) -> str:
    """Return the name of a metric, by default "score"."""
    return "score" if metric is None else metric.shown


def value(metric: Metric | None, number: float | None = None) -> str:
    """Format ``87.3%``, ``0.412`` or ``3.2 kg``; "not measured" without a value.

    ``number`` replaces the metric's own.
    """
    found = number if number is not None or metric is None else metric.value
    if metric is None or found is None or metric.unit == SHARE:
        return percent(found)
    return f"{significant(found)}{f' {metric.unit}' if metric.unit else ''}"


def change(metric: Metric | None, before: float | None, after: float | None) -> str:
    """Format ``+9.2`` percentage points, or ``−0.13`` in the metric's unit."""
    if metric is None or metric.unit == SHARE:
        return points(before, after)
    if before is None or after is None:
        return NOT_MEASURED
    return signed_significant(after - before, of=max(abs(before), abs(after)))


def amount(metric: Metric, number: float) -> str:
    """Format a difference in words: ``9.2 points``, ``0.13 kg``."""
    if metric.unit == SHARE:
        return f"{100 * number:.1f} points"
    return f"{significant(number)}{f' {metric.unit}' if metric.unit else ''}"


def bounds(metric: Metric | None, found: tuple[float, float] | None) -> str:
    """Format ``58.1–64.2%``, or ``0.39–0.44 kg``."""
    if metric is None or metric.unit == SHARE or found is None:
        return between(found)
    low, high = (significant(number) for number in found)
    return f"{low}–{high}{f' {metric.unit}' if metric.unit else ''}"


def gain(metric: Metric | None, low: float, high: float) -> str:
    """Format the interval of a difference: ``+1.2 to +3.4 points``."""
    if metric is None or metric.unit == SHARE:
        return f"{signed(100 * low)} to {signed(100 * high)} points"
    of = max(abs(low), abs(high))
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{signed_significant(low, of)} to {signed_significant(high, of)}{unit}"


def cell(metric: Metric | None, number: float | None) -> str:
    """Format another model's value of a metric; "not measured" for None."""
    return NOT_MEASURED if number is None else value(metric, number)


def rounded(metric: Metric | None, number: float) -> str:
    """Format a value without spurious decimals: ``71%``."""
    if metric is None or metric.unit == SHARE:
        return f"{100 * number:.0f}%"
    return f"{significant(number)}{f' {metric.unit}' if metric.unit else ''}"


def about(metric: Metric | None, found: Estimate) -> str:
    """Format an estimate with its mean error: ``≈ 71 ± 8%``.

    It never looks like a measured value.
    """
    if metric is None or metric.unit == SHARE:
        return f"≈ {100 * found.value:.0f} ± {100 * found.error:.0f}%"
    unit = f" {metric.unit}" if metric.unit else ""
    return f"≈ {significant(found.value)} ± {significant(found.error, 1)}{unit}"
