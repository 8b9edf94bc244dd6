"""How far two domains lie apart under a model: by its features, and by what it predicts of the target."""

import contextlib

from hubtl.judging.transferability import proxy_a_distance
from hubtl.judging.validators import Evidence
from hubtl.losses.discrepancy import mk_mmd
from hubtl.record import Shift


def shift(evidence: Evidence) -> Shift | None:
    """What the evidence tells of the shift, no target label read; None without a source.

    A distance between features is small where a method has made it small, be it for good or not: it says how alike the
    domains look to the model, not how right it is.
    """
    source, target = evidence.source_features, evidence.target_features
    if source is None or target is None or min(len(source), len(target)) < 2:
        return None
    found = Shift(rows=[len(source), len(target)], mmd=float(mk_mmd(source, target)))
    with contextlib.suppress(ValueError):  # features that are not finite, or too few rows
        found.a_distance = proxy_a_distance(source.numpy(), target.numpy())
    labels, logits, task = evidence.source_labels, evidence.target_logits, evidence.task
    if labels is not None and logits is not None and task is not None:
        found.class_prior = task.prior_shift(labels, logits)
    return found
