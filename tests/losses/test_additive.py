"""Losses that methods add, each against a case worked by hand."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hubtl.losses.conditional import certainty, outer, weighted_domain_loss
from hubtl.losses.discrepancy import joint_mmd, leading_singular_value, mk_mmd, norm_step, quadratic_mmd
from hubtl.losses.structure import diversity, mean_singular_value, mutual_information
from hubtl.losses.transport import joint_cost

SURE = torch.tensor([[50.0, 0.0], [0.0, 50.0]])


def test_mean_singular_value_of_two_sure_rows():
    """softmax is the identity matrix: singular values 1, 1; of two equal rows √2, 0."""
    assert mean_singular_value(SURE) == pytest.approx(1.0, abs=1e-5)
    assert mean_singular_value(SURE[[0, 0]]) == pytest.approx(math.sqrt(2) / 2, abs=1e-5)


def test_mutual_information_is_ln_2_for_two_sure_and_different_rows_and_0_for_equal_ones():
    assert diversity(SURE) == pytest.approx(math.log(2), abs=1e-5)
    assert mutual_information(SURE) == pytest.approx(math.log(2), abs=1e-5)
    assert mutual_information(torch.zeros(4, 2)) == pytest.approx(0.0, abs=1e-6)
    assert mutual_information(SURE[[0, 0]]) == pytest.approx(0.0, abs=1e-5)


def test_quadratic_mmd_of_a_kernel_written_out():
    """Within the source 0.5, within the target 0.3, across 0.1: 0.5 + 0.3 − 0.2."""
    kernel = torch.full((4, 4), 0.1)
    kernel[:2, :2], kernel[2:, 2:] = 0.5, 0.3
    kernel.fill_diagonal_(1.0)
    assert quadratic_mmd(kernel, 2) == pytest.approx(0.6)


def test_mk_mmd_of_two_pairs_of_points():
    """Source at 0, target at 2: squared distances 0 and 4, their mean over the 4 × 4 matrix 2.

    Within the domains each kernel is 1, across it is exp(−4 / (2 · 2^k · 2)) = exp(−2^−k).
    """
    source, target = torch.zeros(2, 1), torch.full((2, 1), 2.0)
    across = sum(math.exp(-(2.0**-k)) for k in (-3, -2, -1, 0, 1))
    assert mk_mmd(source, target) == pytest.approx(2 * 5 - 2 * across, rel=1e-5)


def test_joint_mmd_sees_a_shift_that_is_in_the_predictions_alone():
    """Equal features: the kernel product is 5 · exp(−2 / (2 · 0.92²)) across, 5 within."""
    z = torch.zeros(2, 1)
    ps, pt = torch.tensor([[1.0, 0.0]]).repeat(2, 1), torch.tensor([[0.0, 1.0]]).repeat(2, 1)
    assert joint_mmd((z, z), (ps, pt)) == pytest.approx(10 - 10 * math.exp(-1 / 0.92**2), rel=1e-5)
    assert joint_mmd((z, z), (ps, ps)) == pytest.approx(0.0, abs=1e-6)


def test_leading_singular_value_of_a_diagonal():
    assert leading_singular_value(torch.diag(torch.tensor([3.0, 2.0]))) == pytest.approx(9.0, rel=1e-5)


def test_outer_product_and_certainty_weights():
    assert outer(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.25, 0.75]])).tolist() == [[0.5, 0.75, 1.5, 2.25]]
    logits = torch.tensor([[60.0, 0.0], [0.0, 0.0]])  # entropies 0 and ln 2: weights 2 and 1.5, their mean 1.75
    assert certainty(logits).tolist() == pytest.approx([2 / 1.75, 1.5 / 1.75], rel=1e-5)


def test_weighted_domain_loss_gives_both_domains_the_same_weight():
    """Undecided verdicts cost ln 2 each; of three target rows the second weighs 2, the others 0.5."""
    verdict, weight = torch.zeros(4), torch.tensor([1.0, 0.5, 2.0, 0.5])
    assert weighted_domain_loss(verdict, 1, weight) == pytest.approx(math.log(2), rel=1e-5)
    assert weighted_domain_loss(torch.tensor([30.0, -30.0]), 1) == pytest.approx(0.0, abs=1e-6)
    assert weighted_domain_loss(torch.tensor([-3.0, 3.0]), 1) == pytest.approx(math.log1p(math.exp(3)), rel=1e-5)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that was made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for value in made if isinstance(made, list | tuple) else [made]:
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return made


@pytest.mark.parametrize("name", ["mk_mmd", "joint_mmd", "joint_cost"])
def test_no_tensor_of_batch_squared_times_width(name):
    b, d = 128, 256
    zs, zt = (torch.randn(b, d, requires_grad=True) for _ in range(2))
    p = torch.full((b, 10), 0.1)
    with Largest() as seen:
        if name == "mk_mmd":
            loss = mk_mmd(zs, zt)
        elif name == "joint_mmd":
            loss = joint_mmd((zs, zt), (p, p))
        else:
            loss = joint_cost(zs, zt, torch.zeros(b, dtype=torch.long), p, 1.0, 0.1).mean()
        loss.backward()
    assert zs.grad.abs().sum() > 0
    assert seen.elements <= (2 * b) ** 2


def test_a_norms_step_costs_its_square_and_pulls_outwards():
    """Rows (3, 4) and (0, 2): −2 Δr / n along (0.6, 0.8) and (0, 1)."""
    features = torch.tensor([[3.0, 4.0], [0.0, 2.0]], requires_grad=True)
    loss = norm_step(features, 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert torch.allclose(features.grad, -0.5 * torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_a_norms_step_of_nothing_is_finite():
    features = torch.zeros(2, 3, requires_grad=True)
    norm_step(features, 1.0).backward()
    assert torch.isfinite(features.grad).all()
