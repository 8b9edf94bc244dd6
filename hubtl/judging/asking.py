"""Decide by labels which of two models is better. The models disagree on the labelled rows.

Rows on which source-only and adapted agree say nothing about which is better. A row on which they disagree is a win
(adapted right, source-only wrong), a loss (the reverse), or neither. Labels are asked for one at a time, in a uniform
random order, until it is clear whether wins or losses are more probable.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy.special import betainc, betaln

Decided = Literal["adapted", "source-only", "undecided"]

SURE = 0.95
MOST = 50  # labels that are asked for at most
PRIORS = {"helps": (2.0, 1.0), "flat": (1.0, 1.0)}  # wins and losses seen before any label: adapting usually helps
LEVEL = 0.90  # that the interval of the gain holds the truth, at least, whenever asking stops
RATIO = 17.0  # of likelihoods: what is this many times less likely than the likeliest gain is outside of the interval
GRID = 401  # gains that are tried for the interval


@dataclass(frozen=True)
class Tally:
    """Count the wins and losses of the labels so far."""

    wins: int = 0
    losses: int = 0
    neither: int = 0

    @property
    def asked(self) -> int:
        return self.wins + self.losses + self.neither

    def better(self, prior: str = "helps") -> float:
        """Return the probability that a win is more probable than a loss.

        ``P = 1 − I_½(a + W, b + L)`` under Beta(a, b).
        """
        a, b = PRIORS[prior]
        return float(1 - betainc(a + self.wins, b + self.losses, 0.5))

    def evidence(self) -> float:
        """Return the e-value against "no better than source-only"; it is valid at any stopping time.

        ``E = 2^(N+1) · B(W+½, L+½) / B(½, ½) · I_½(L+½, W+½)`` with ``N = W + L``.
        """
        w, n = self.wins, self.wins + self.losses
        log = (n + 1) * math.log(2) + betaln(w + 0.5, n - w + 0.5) - betaln(0.5, 0.5)
        return math.exp(log) * float(betainc(n - w + 0.5, w + 0.5, 0.5))

    def swapped(self) -> "Tally":
        """Return the tally as seen from source-only."""
        return Tally(self.losses, self.wins, self.neither)

    def gain(self, share: float) -> tuple[float, float, float]:
        """Return the gain of adapted over all rows: low, middle and high, as shares.

        The middle is ``q (W − L) / n`` with ``q`` the ``share`` of rows that disagree. The interval holds values at
        least 1 / ``RATIO`` as likely as that. A posterior's quantiles would be narrower, and cover too seldom after a
        stopping rule: 67 % where a win is as likely as a loss.
        """
        low, high = _interval(self.wins, self.losses, self.neither)
        middle = (self.wins - self.losses) / self.asked if self.asked else 0.0
        return share * low, share * middle, share * high


@cache
def _interval(wins: int, losses: int, neither: int) -> tuple[float, float]:
    """Return the profile-likelihood interval of ``d = p(win) − p(loss)``.

    For each d the likeliest ``t = p(loss)`` solves ``2n t² − (W(1−d) + L(1−3d) − 2Zd) t − L d (1−d) = 0``.
    """
    counts = (wins, losses, neither)
    n = sum(counts)
    if n == 0:
        return -1.0, 1.0
    d = np.linspace(-1, 1, GRID)
    b = wins * (1 - d) + losses * (1 - 3 * d) - 2 * neither * d
    root = (b + np.sqrt(np.maximum(b**2 + 8 * n * losses * d * (1 - d), 0))) / (4 * n)
    t = np.clip(root, np.maximum(0, -d), (1 - d) / 2)
    with np.errstate(divide="ignore"):
        terms = [k * np.log(np.maximum(p, 0)) for k, p in zip(counts, (t + d, t, 1 - d - 2 * t), strict=True) if k]
    likeliest = sum(k * math.log(k / n) for k in counts if k)
    inside = d[sum(terms) >= likeliest - math.log(RATIO)]
    return float(inside.min()), float(inside.max())


def decided(tally: Tally, *, prior: str = "helps", certain: float | None = None, most: int = MOST) -> Decided | None:
    """Return which model is better; "undecided" once asking ends, None before.

    Args:
        tally: the labels so far.
        prior: ``helps`` (adapting usually does) or ``flat``.
        certain: the error rate to allow, such as 0.05. An e-value then decides in place of the posterior's 95 %, and
            the rate holds for each model separately, at any stopping time.
        most: labels after which asking ends.
    """
    if certain is not None:
        for answer, seen in (("adapted", tally), ("source-only", tally.swapped())):
            if seen.evidence() >= 1 / certain:
                return answer  # type: ignore[return-value]
    else:
        p = tally.better(prior)
        if p > SURE:
            return "adapted"
        if p < 1 - SURE:
            return "source-only"
    return "undecided" if tally.asked >= most else None


def still(tally: Tally, *, prior: str = "helps", certain: float | None = None, most: int = 500) -> int | None:
    """Return how many more labels would decide at the present rate; None: more than ``most``.

    Args:
        tally: the labels so far.
        prior: as in ``decided``.
        certain: as in ``decided``.
        most: the limit.
    """
    if not tally.asked:
        return None
    for more in range(1, most + 1):
        grown = 1 + more / tally.asked
        seen = Tally(*(math.floor(k * grown) for k in (tally.wins, tally.losses, tally.neither)))
        if decided(seen, prior=prior, certain=certain, most=10 * most) is not None:
            return more
    return None
