"""Test whether two models differ on the same rows. The choice of rows must not explain the difference."""

import numpy as np

from hubtl.record import Difference, Evaluation
from hubtl.record.figures import drawn


def difference(before: Evaluation | None, after: Evaluation | None, resamples: int = 2000) -> Difference | None:
    """Return the 95 % interval of the second primary metric less the first.

    It resamples the rows of both. For metrics of right and wrong rows, it resamples the counts of rows that only one
    model, only the other, or both or neither get right. Any other metric is computed again on the same drawn rows under
    both models (``Figures.resampled``).

    Args:
        before: evaluation of the first model.
        after: evaluation of the second model.
        resamples: the number of draws.

    Returns:
        None where one was not measured, or they were measured on different rows.
    """
    if before is None or after is None or before.figures is None or after.figures is None:
        return None
    one, other = (getattr(figures, "_right", None) for figures in (before.figures, after.figures))
    if one is not None and other is not None:
        return _of_shares(one, other, resamples)
    metrics = before.figures.resampled, after.figures.resampled
    if metrics[0] is None or metrics[1] is None or before.n != after.n:
        return None
    first, second = drawn(metrics[0], before.n, resamples), drawn(metrics[1], before.n, resamples)
    low, high = np.percentile(second - first, [2.5, 97.5])
    return Difference(low=float(low), high=float(high), resamples=resamples)


def _of_shares(before: list[bool], after: list[bool], resamples: int) -> Difference | None:
    if not before or len(before) != len(after):
        return None
    old, new = np.array(before), np.array(after)
    n = len(old)
    won, lost = int((new & ~old).sum()), int((old & ~new).sum())
    counts = np.random.default_rng(0).multinomial(n, [won / n, lost / n, (n - won - lost) / n], size=resamples)
    low, high = np.percentile((counts[:, 0] - counts[:, 1]) / n, [2.5, 97.5])
    return Difference(low=float(low), high=float(high), resamples=resamples)
