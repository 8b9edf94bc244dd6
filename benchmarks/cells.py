"""Write figures over seeds as a cell of a table."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the mean ± standard deviation; the mean alone of one value, a dash of none."""
    if not values:
        return "–"
    apart = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{apart}"
