"""Estimate the accuracy on rows without labels, by confidence optimal transport.

COT (Lu et al., "Characterizing Out-of-Distribution Error via Optimal Transport", 2023): the estimated error is the cost
of moving the target's predictions onto one-hot answers with the source's class shares, less the overconfidence on the
source:

    error = OT(p_t, onehot ~ π) − (mean confidence_s − accuracy_s),   cost ½‖p − e_c‖₁ = 1 − p_c

Deviations: the logits are first scaled by the source's temperature. p_t is the mean of the adapted model's and
source-only's predictions where both exist, because adapting makes a model confident whether it helped or not. π stay
the source's shares: those of black box shift estimation assume pure label shift, and on PACS made errors three times as
large.

The benchmarks measured such estimates on ``FEWEST`` rows and more. Among n rows the class shares differ from π by a total
variation of ``Σ √(π_c (1 − π_c) / n) / √(2π)`` on average. Transport and gauge of fewer rows may be wrong by as much: the
squares of both errors are added. Written from the formula. The transport is exact (``ot.emd2``), with one column for each class.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from hubtl.record.figures import Estimate

METHOD = "COT"
ERRORS = Path(__file__).parent / "measured.json"  # how far such estimates were off: written by benchmarks/tables.py
CELLS = 40_000  # of the transport: rows times classes, which it takes a second for
FEWEST = 500  # rows of a target in the benchmarks
NINE_OF_TEN = 2.06  # of a normal error: what nine of ten are below, over the mean of its absolute values
DIGITS = 5


@cache
def measured() -> dict[str, dict[str, float]]:
    """Return each estimate's mean absolute ``error`` and 90 % ``reach``."""
    found: dict[str, dict[str, float]] = json.loads(ERRORS.read_text(encoding="utf-8"))
    return found


def gauge(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    """Return what an estimate needs from source rows outside training.

    These are the temperature as a factor on the logits, the overconfidence under it, and each class's share of the
    rows. None without a labelled row.

    Args:
        logits: logits [n, c].
        labels: classes [n].
    """
    import torch

    from hubtl.tasks.classification.temperature import temperature

    known = labels >= 0
    if not known.any():
        return None
    logits, labels = logits[known].astype(np.float64), labels[known]
    factor = temperature(torch.from_numpy(logits), torch.from_numpy(labels))
    p, classes = softmax(factor * logits, axis=1), logits.shape[1]
    return {
        "rows": len(labels),
        "factor": round(factor, DIGITS),
        "overstated": round(float(p.max(axis=1).mean() - (p.argmax(axis=1) == labels).mean()), DIGITS),
        "shares": (np.bincount(labels, minlength=classes) / len(labels)).round(DIGITS).tolist(),
    }


def estimate(models: Sequence[tuple[np.ndarray, Mapping[str, Any]]], *, adapted: bool = True) -> Estimate | None:
    """Estimate the first model's accuracy on rows without labels.

    The probabilities of several models are averaged: where they contradict each other, the mean is less certain.

    Args:
        models: for each model its logits [m, c] and the result of ``gauge``.
        adapted: whether the first one learnt on the target.
    """
    import ot

    logits, kept = models[0]
    shares = np.array(kept["shares"])
    fit = [(z, own) for z, own in models if z.shape == logits.shape and len(own["shares"]) == z.shape[1]]
    if not len(logits) or not fit or logits.shape[1] != len(shares):
        return None
    p = np.mean([softmax(own["factor"] * z.astype(np.float64), axis=1) for z, own in fit], axis=0)
    overstated = float(np.mean([own["overstated"] for _, own in fit]))
    most = max(200, CELLS // len(shares))
    few = p if len(p) <= most else p[np.unique(np.linspace(0, len(p) - 1, most).round().astype(int))]
    moved = float(ot.emd2(np.full(len(few), 1 / len(few)), shares / shares.sum(), 1 - few))
    value = float(np.clip(1 - (moved + overstated), 0.0, 1.0))
    beside = ", beside source-only" if len(fit) > 1 else ""
    off = measured()[f"adapted{beside}" if adapted else "source-only"]
    fewer = sum(_drawn(shares, n) ** 2 - _drawn(shares, FEWEST) ** 2 for n in (len(logits), kept["rows"]) if n < FEWEST)
    error = math.hypot(off["error"], math.sqrt(fewer))
    reach = math.hypot(off["reach"], NINE_OF_TEN * math.sqrt(fewer))
    return Estimate(value=value, error=error, reach=min(reach, 1.0), method=METHOD, rows=len(logits), widened=fewer > 0)


def _drawn(shares: np.ndarray, n: int) -> float:
    """Return the mean total variation between shares and drawn shares. The n rows are drawn by the class shares."""
    return float(np.sqrt(shares * (1 - shares) / n).sum() / math.sqrt(2 * math.pi))
