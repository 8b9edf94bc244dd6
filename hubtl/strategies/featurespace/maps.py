"""Compute affine maps between the features of two domains in closed form.

Everything is float64 on the CPU.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 1e-4  # of the mean variance: what varies less is noise, and would be blown up by dividing by it


class Scale(NamedTuple):
    """Hold the map ``(x − mean) / std``, feature by feature."""

    mean: Tensor  # [d]
    std: Tensor  # [d], positive

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def standardisation(x: Tensor) -> Scale:
    """Return the scale that standardises the rows of ``x`` [n, d]. They get zero mean and unit variance.

    A variance below ``SMALLEST`` of the mean one counts as that much. Where nothing varies, nothing is divided.
    """
    variance = x.var(dim=0, correction=0)
    floor = SMALLEST * variance.mean()
    std = variance.clamp_min(floor.item()).sqrt()
    return Scale(x.mean(dim=0), torch.where(std > 0, std, torch.ones_like(std)))


def covariance(x: Tensor) -> Tensor:
    """Return the rows' covariance [d, d], divided by n. The rows are ``x`` [n, d]."""
    centred = x - x.mean(dim=0)
    return centred.T @ centred / len(x)


def recolouring(source: Tensor, target: Tensor, ridge: float) -> Tensor:
    """Return the matrix [d, d] that gives source rows the target's covariance.

    It is ``(C_s + ridge·I)^(−1/2) (C_t + ridge·I)^(1/2)``, to multiply rows by from the right. It maps ``C_s +
    ridge·I`` exactly to ``C_t + ridge·I``.

    Args:
        source: source features [n, d].
        target: target features [m, d].
        ridge: added to the variances; 0 takes the pseudo-inverse.
    """
    identity = ridge * torch.eye(source.shape[1], dtype=source.dtype)
    return _power(covariance(source) + identity, -0.5) @ _power(covariance(target) + identity, 0.5)


def principal(x: Tensor, k: int) -> Tensor:
    """Return the first ``k`` principal directions of ``x`` [n, d]. They are columns [d, k], strongest first."""
    vectors: Tensor = torch.linalg.eigh(covariance(x))[1]
    return vectors[:, -k:].flip(1)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric matrix without negative eigenvalues.

    Eigenvalues of zero stay zero, whatever the exponent.
    """
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp_min(0)
    alive = values > values.max() * len(values) * torch.finfo(values.dtype).eps
    powers = torch.where(alive, values, torch.ones_like(values)) ** exponent * alive
    raised: Tensor = (vectors * powers) @ vectors.T
    return raised
