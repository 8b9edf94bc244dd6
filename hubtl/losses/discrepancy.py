"""Compute distances between two batches of features.

All compute in float32 from Gram matrices, so nothing of size b² · d is allocated.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

OCTAVES = (-3, -2, -1, 0, 1)  # kernel k has the bandwidth 2^k times the mean squared distance


def squared_distances(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Return ``‖x_i − x_j‖²`` for all pairs of rows.

    It is computed as ``|x_i|² + |x_j|² − 2 x_i·x_j`` on centred rows, which keeps the cancellation small.
    """
    centred = rows - rows.mean(dim=0, keepdim=True).detach()
    square = centred.square().sum(dim=1)
    return (square[:, None] + square[None, :] - 2 * centred @ centred.T).clamp_min(0)


def gaussian_kernels(rows: Float[Tensor, "n d"], octaves: Sequence[int] = OCTAVES) -> Float[Tensor, "n n"]:
    """Return the sum of Gaussian kernels of several widths. It covers all pairs of rows.

    ``Σ_k exp(−‖x_i − x_j‖² / (2 · 2^k · m))``, with ``m`` the detached mean of the squared distances.

    Args:
        rows: features [n, d].
        octaves: the exponents ``k`` of the widths.
    """
    distances = squared_distances(rows)
    mean = distances.detach().mean().clamp_min(1e-12)
    return sum((torch.exp(-distances / (2 * 2.0**k * mean)) for k in octaves), torch.zeros_like(distances))


def quadratic_mmd(kernel: Float[Tensor, "k k"], n: int) -> Float[Tensor, ""]:
    """Return the unbiased squared MMD from a kernel matrix; it may be negative.

    Args:
        kernel: kernel matrix [k, k]: source rows first, then target rows, at least two of each.
        n: the number of source rows.
    """
    m = len(kernel) - n
    ss, tt, st = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    source = (ss.sum() - ss.diagonal().sum()) / (n * (n - 1))
    target = (tt.sum() - tt.diagonal().sum()) / (m * (m - 1))
    return source + target - 2 * st.mean()


def mk_mmd(source: Float[Tensor, "n d"], target: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Return the multi-kernel MMD² of two batches of features (arXiv:1502.02791).

    This is the unbiased quadratic estimate.

    Args:
        source: features [n, d], at least two rows.
        target: features [m, d], at least two rows.
    """
    with torch.autocast(source.device.type, enabled=False):
        return quadratic_mmd(gaussian_kernels(torch.cat([source.float(), target.float()])), len(source))


def joint_mmd(
    features: tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]],
    probabilities: tuple[Float[Tensor, "n c"], Float[Tensor, "m c"]],
    width: float = 0.92,
) -> Float[Tensor, ""]:
    """Return the MMD² of features and predictions together (JAN, arXiv:1605.06636).

    The kernel is the product of the feature kernels and ``exp(−‖p_i − p_j‖² / (2 · width²))``.

    Args:
        features: source features [n, d] and target features [m, d].
        probabilities: source predictions [n, c] and target predictions [m, c].
        width: width of the kernel on the predictions.
    """
    with torch.autocast(features[0].device.type, enabled=False):
        kernel = gaussian_kernels(torch.cat([part.float() for part in features]))
        distances = squared_distances(torch.cat([part.float() for part in probabilities]))
        return quadratic_mmd(kernel * torch.exp(-distances / (2 * width**2)), len(features[0]))


def smallest_singular_values(features: Float[Tensor, "b d"], k: int = 1) -> Float[Tensor, ""]:
    """Return ``Σ σ²`` over the k smallest singular values of a batch.

    This is batch spectral shrinkage (Chen et al., NeurIPS 2019).

    Args:
        features: features [b, d].
        k: the number of singular values.
    """
    with torch.autocast(features.device.type, enabled=False):
        singular: Tensor = torch.linalg.svdvals(features.float())
        return singular[-k:].square().sum()


def leading_singular_value(features: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Return ``σ_1²``, the squared largest singular value of a batch.

    Batch spectral penalisation penalises it (Chen et al., ICML 2019).
    """
    with torch.autocast(features.device.type, enabled=False):
        largest: Tensor = torch.linalg.matrix_norm(features.float(), ord=2)
        return largest.square()


def norm_step(features: Float[Tensor, "b d"], enlargement: float) -> Float[Tensor, ""]:
    """Return the stepwise adaptive feature norm loss (arXiv:1811.07456).

    ``mean (‖z_i‖ − (sg(‖z_i‖) + Δr))²``: its value is always ``Δr²``, and its gradient pulls every norm outwards
    equally.

    Args:
        features: features [b, d].
        enlargement: ``Δr``, by how much each norm should grow.
    """
    norms: Tensor = torch.linalg.vector_norm(features.float(), dim=1)
    return (norms - (norms.detach() + enlargement)).square().mean()
