"""Compute optimal transport between two batches: costs here, plans by POT."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def joint_cost(
    source: Float[Tensor, "n d"],
    target: Float[Tensor, "m d"],
    labels: Int[Tensor, "n"],
    logits: Float[Tensor, "m c"],
    feature_weight: float,
    label_weight: float,
) -> Float[Tensor, "n m"]:
    """Return DeepJDOT's cost matrix [n, m] of features and labels (arXiv:1803.10081).

    ``feature_weight · ‖s_i − t_j‖² / d + label_weight · (−log p_j[y_i])``. Squared distances come from Gram matrices,
    so nothing of size n · m · d is allocated.

    Args:
        source: features [n, d].
        target: features [m, d].
        labels: classes [n] of the source rows.
        logits: logits [m, c] of the target rows.
        feature_weight: weight of the squared distance.
        label_weight: weight of the cross-entropy.
    """
    with torch.autocast(source.device.type, enabled=False):
        s, t = source.float(), target.float()
        middle = torch.cat([s, t]).mean(dim=0, keepdim=True).detach()
        s, t = s - middle, t - middle
        square = (s.square().sum(dim=1)[:, None] + t.square().sum(dim=1)[None, :] - 2 * s @ t.T).clamp_min(0)
        surprise = -logits.float().log_softmax(dim=1).T[labels]
        return feature_weight * square / source.shape[1] + label_weight * surprise


def transport_plan(cost: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Return the exact transport plan [n, m] between uniform weights.

    It minimises ``Σ γ_ij c_ij``; it is detached and on the cost's device.
    """
    from ot import emd, unif

    plan = emd(unif(cost.shape[0]), unif(cost.shape[1]), cost.detach().double().cpu().numpy())
    return torch.from_numpy(plan).to(cost)
