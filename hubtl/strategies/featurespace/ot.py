"""Propagate labels by optimal transport."""

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hubtl.losses.transport import transport_plan
from hubtl.strategies.featurespace.frame import Propagation, PropagationOptions

ITERATIONS = 200
TOLERANCE = 1e-2  # relative, of the plan's marginals: shares are divided by them


class OTOptions(PropagationOptions):
    regularisation: float = Field(
        0.1,
        ge=0,
        description="weight of the plan's entropy, relative to the cost's spread; 0: the exact plan, slow for thousands of rows",
    )
    rows: int = Field(2000, ge=2, description="most rows of each domain to transport; more rows are sampled")


class OTPropagation(Propagation):
    """Transport labelled source rows onto the target, then fit a classifier.

    ``γ = argmin Σ_ij γ_ij c_ij − ε · H(γ)`` between uniform weights, ``c_ij = ‖z_s,i − z_t,j‖²`` and ``ε =
    regularisation · σ(c)``: the standard deviation of the costs after the means of rows and columns, which do not
    change the plan, are subtracted. The share of class ``k`` in target row ``j`` is ``Σ_{i: y_i = k} γ_ij / Σ_i γ_ij``;
    ``L = CE(W z_t + b, shares) + λ/2 · ‖W‖²`` is solved to its optimum.

    The encoder is never trained, target labels are never read. The plan gives the target the source's class
    proportions: where they differ, rows are labelled wrongly. Deviations: the linear classifier makes the method
    inductive, and the plan is not regularised by class. A domain of more than ``rows`` rows is sampled, always alike,
    and the classifier predicts the others.
    """

    Options = OTOptions
    paper = "arXiv:1507.00504"

    def propagate(self, source: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        some, rows = self._drawn(source), target[self._drawn(target)]
        plan = self._plan(source[some], rows)
        return rows, shares(plan, F.one_hot(labels[some], self.classifier.out_features))

    def _drawn(self, x: Tensor) -> Tensor:
        """Return all rows, or as many as are transported."""
        if len(x) <= self.options.rows:
            return torch.arange(len(x))
        return torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(x))[: self.options.rows]))

    def _plan(self, source: Tensor, target: Tensor) -> Tensor:
        cost = torch.cdist(source, target).square()
        unit = spread(cost)
        weight = self.options.regularisation
        return entropic_plan(cost / unit, weight) if weight > 0 and unit > 0 else transport_plan(cost)


def spread(cost: Tensor) -> float:
    """Return the costs' standard deviation, less the means of rows and columns.

    The mean of the costs is no unit: with many features all distances become similar, and an entropy weight that is a
    share of the mean gives a nearly uniform plan.
    """
    own = cost - cost.mean(dim=1, keepdim=True) - cost.mean(dim=0, keepdim=True) + cost.mean()
    return float(own.std(correction=0))


def entropic_plan(cost: Tensor, weight: float) -> Tensor:
    """Return the transport plan with entropic regularisation, by Sinkhorn's iterations.

    It minimises ``Σ γ_ij c_ij − weight · H(γ)`` between uniform weights.

    Args:
        cost: cost matrix [n, m].
        weight: weight of the entropy; 0 gives the exact plan.
    """
    from ot import sinkhorn, unif

    # what all entries of a row or of a column have in common decides nothing, and would underflow in the exponent
    cost = cost - cost.min(dim=1, keepdim=True).values
    cost = cost - cost.min(dim=0, keepdim=True).values
    n, m = cost.shape
    slack = TOLERANCE / m**0.5  # of the norm of the marginal, 1 / √m
    options = {"method": "sinkhorn_stabilized", "numItermax": ITERATIONS, "stopThr": slack, "warn": False}
    plan = sinkhorn(unif(n), unif(m), cost.numpy(), weight, **options)
    return torch.from_numpy(plan)


def shares(plan: Tensor, onehot: Tensor) -> Tensor:
    """Return each class's share in each column of the plan, [m, c]. Shares sum to one.

    A column without mass takes the mean.

    Args:
        plan: transport plan [n, m].
        onehot: one-hot labels [n, c] of the source rows.
    """
    mass = plan.T @ onehot.to(plan)
    total = mass.sum(dim=1, keepdim=True)
    mean = onehot.to(plan).mean(dim=0).expand_as(mass)
    return torch.where(total > 0, mass / total.clamp_min(torch.finfo(plan.dtype).tiny), mean)
