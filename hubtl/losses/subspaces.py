"""Compute distances between the subspaces that two batches of features span.

All compute in float64, for stable gradients.
"""

import torch
from jaxtyping import Float
from torch import Tensor

TIE = 1e-4  # singular values that lie no further apart, as a share, are dropped together


def basis(features: Float[Tensor, "b d"], k: int) -> Float[Tensor, "d k"]:
    """Return the ``k`` leading left singular vectors of the features, as columns.

    They are an orthonormal basis, in the order of the singular values.

    Args:
        features: features [b, d].
        k: the number of vectors.
    """
    vectors: Tensor = torch.linalg.svd(features.double().T, full_matrices=False)[0]
    return vectors[:, :k]


def subspace_distance(
    source: Float[Tensor, "n d"], target: Float[Tensor, "m d"], mismatch: float = 0.1
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return RSD's distance ``‖sin θ‖₁`` of two subspaces. The mismatch of their bases comes with it.

    θ are the principal angles between the spaces of two batches. The distance already includes ``mismatch · ‖|P_s| −
    |P_t|‖_F``, where ``U_sᵀ U_t = P_s cos θ P_tᵀ`` for the bases of ``basis``. A batch of more than d / 2 rows
    contributes its d / 2 leading directions only, because all rows together would span the whole space.

    Args:
        source: features [n, d].
        target: features [m, d].
        mismatch: weight of the mismatch in the distance.
    """
    k = max(1, min(len(source), len(target), source.shape[1] // 2))
    with torch.autocast(source.device.type, enabled=False):
        u_s, u_t = basis(source, k), basis(target, k)
        across = u_s.T @ u_t
        p_s, _, p_t = torch.linalg.svd(across)
        # the singular values of the part of one space that the other lacks: no root of 1 − cos², no infinite gradient
        sines = torch.linalg.svdvals(u_t - u_s @ across)
        apart = torch.linalg.matrix_norm(p_s.abs() - p_t.T.abs())
        return (sines.sum() + mismatch * apart).float(), apart.detach().float()


def inverse_gram_gap(
    source: Float[Tensor, "n d"], target: Float[Tensor, "m d"], threshold: float = 0.9
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return DARE-GRAM's gaps in angle and scale of two batches. They are eqs. 5 to 8 of arXiv:2303.13325.

    With a column of ones before the features and ``G = ZᵀZ``, the gaps are the mean over columns of
    ``1 − cos(G_s⁺, G_t⁺)``, and ``‖λ_s − λ_t‖ / k`` of the k leading eigenvalues. The pseudo-inverses have rank k.

    Args:
        source: features [n, d].
        target: features [m, d].
        threshold: k is the fewest leading eigenvalues that make up this share of the sum, in one of the domains; at
            least one.
    """
    with torch.autocast(source.device.type, enabled=False):
        rows = [_with_ones(features.double()) for features in (source, target)]
        singular = [torch.linalg.svdvals(z) for z in rows]
        k = max(_rank(s.detach().square(), threshold) for s in singular)
        k = min(k, *(len(s) for s in singular))
        one, other = (_inverse_gram(z, s.detach(), k) for z, s in zip(rows, singular, strict=True))
        cosines = torch.nn.functional.cosine_similarity(one, other, dim=0, eps=1e-6)
        gap = singular[0][:k].square() - singular[1][:k].square()
        return (1 - cosines).abs().mean().float(), (torch.linalg.vector_norm(gap) / k).float()


def _with_ones(features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
    return torch.cat([features.new_ones(len(features), 1), features], dim=1)


def _rank(eigenvalues: Float[Tensor, "r"], threshold: float) -> int:
    """Return how many leading eigenvalues stay below the threshold of their sum; at least one."""
    share = eigenvalues.cumsum(0) / eigenvalues.sum().clamp_min(1e-30)
    return max(1, int((share <= threshold).sum()))


def _inverse_gram(rows: Float[Tensor, "b e"], singular: Float[Tensor, "r"], k: int) -> Float[Tensor, "e e"]:
    """Return ``(ZᵀZ)⁺`` of rank k, computed as ``Z⁺ Z⁺ᵀ``.

    For b rows this costs far less than inverting [e, e].
    """
    cut = 0.0 if k >= len(singular) else float(singular[k] / singular[0].clamp_min(1e-30)) * (1 + TIE)
    inverse: Tensor = torch.linalg.pinv(rows, rtol=max(cut, 1e-10))
    return inverse @ inverse.T
