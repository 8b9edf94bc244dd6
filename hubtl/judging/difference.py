"""Whether two models differ on the same rows by more than the choice of rows explains."""

import numpy as np

from hubtl.record import Difference, Evaluation
from hubtl.record.figures import drawn


def difference(before: Evaluation | None, after: Evaluation | None, resamples: int = 2000) -> Difference | None:
    """The 95 % interval of the second primary metric less the first, from resampling the rows of both.

    Where each row is right or wrong, resampling rows is drawing how many of them only the one model, only the other,
    and both or neither get right. Any other metric is computed again of the same drawn rows under both models
    (``Figures.resampled``). None where one was not measured, or they were measured on other rows.
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
