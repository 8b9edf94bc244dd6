"""Distances between two batches of features. All compute in float32 from Gram matrices: nothing of size b² · d."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

OCTAVES = (-3, -2, -1, 0, 1)  # kernel k has the bandwidth 2^k times the mean squared distance


def squared_distances(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """``‖x_i − x_j‖²`` by ``|x_i|² + |x_j|² − 2 x_i·x_j``, on centred rows to keep the cancellation small."""
    centred = rows - rows.mean(dim=0, keepdim=True).detach()
    square = centred.square().sum(dim=1)
    return (square[:, None] + square[None, :] - 2 * centred @ centred.T).clamp_min(0)


def gaussian_kernels(rows: Float[Tensor, "n d"], octaves: Sequence[int] = OCTAVES) -> Float[Tensor, "n n"]:
    """``Σ_k exp(−‖x_i − x_j‖² / (2 · 2^k · m))``, with ``m`` the detached mean of the squared distances."""
    distances = squared_distances(rows)
    mean = distances.detach().mean().clamp_min(1e-12)
    return sum((torch.exp(-distances / (2 * 2.0**k * mean)) for k in octaves), torch.zeros_like(distances))


def quadratic_mmd(kernel: Float[Tensor, "k k"], n: int) -> Float[Tensor, ""]:
    """Unbiased squared maximum mean discrepancy from the kernel matrix of ``n`` source rows and then the target's.

    It may be negative. Each batch needs at least two rows.
    """
    m = len(kernel) - n
    ss, tt, st = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    source = (ss.sum() - ss.diagonal().sum()) / (n * (n - 1))
    target = (tt.sum() - tt.diagonal().sum()) / (m * (m - 1))
    return source + target - 2 * st.mean()


def mk_mmd(source: Float[Tensor, "n d"], target: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Multi-kernel MMD² of two batches of features, the unbiased quadratic estimate (arXiv:1502.02791)."""
    with torch.autocast(source.device.type, enabled=False):
        return quadratic_mmd(gaussian_kernels(torch.cat([source.float(), target.float()])), len(source))


def joint_mmd(
    features: tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]],
    probabilities: tuple[Float[Tensor, "n c"], Float[Tensor, "m c"]],
    width: float = 0.92,
) -> Float[Tensor, ""]:
    """MMD² under the product of the feature kernels and ``exp(−‖p_i − p_j‖² / (2 · width²))`` (arXiv:1605.06636)."""
    with torch.autocast(features[0].device.type, enabled=False):
        kernel = gaussian_kernels(torch.cat([part.float() for part in features]))
        distances = squared_distances(torch.cat([part.float() for part in probabilities]))
        return quadratic_mmd(kernel * torch.exp(-distances / (2 * width**2)), len(features[0]))


def smallest_singular_values(features: Float[Tensor, "b d"], k: int = 1) -> Float[Tensor, ""]:
    """``Σ σ²`` over the k smallest singular values of a batch: batch spectral shrinkage (Chen et al., NeurIPS 2019)."""
    with torch.autocast(features.device.type, enabled=False):
        return torch.linalg.svdvals(features.float())[-k:].square().sum()


def leading_singular_value(features: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """``σ_1²`` of a batch, what batch spectral penalisation penalises (Chen et al., ICML 2019)."""
    with torch.autocast(features.device.type, enabled=False):
        largest: Tensor = torch.linalg.matrix_norm(features.float(), ord=2)
        return largest.square()


def norm_step(features: Float[Tensor, "b d"], enlargement: float) -> Float[Tensor, ""]:
    """``mean (‖z_i‖ − (sg(‖z_i‖) + Δr))²``: its value is ``Δr²``, its gradient pulls every norm outwards by as much
    (stepwise adaptive feature norm, arXiv:1811.07456)."""
    norms = torch.linalg.vector_norm(features.float(), dim=1)
    return (norms - (norms.detach() + enlargement)).square().mean()
