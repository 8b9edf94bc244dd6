"""The affine bottleneck folds away exactly. Gradients reverse, and critics give one logit a row."""

import copy

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from hubtl.batch import Features
from hubtl.modules import Bottleneck, Classifier, Critic, Encoder, fold, norm_preserving_dropout, reverse_gradient


def trained_bottleneck(width_in: int = 12, width: int = 6) -> Bottleneck:
    """With running statistics and an affine map that are nobody's defaults."""
    torch.manual_seed(0)
    bottleneck = Bottleneck(width_in, width)
    norm = bottleneck[1]
    with torch.no_grad():
        norm.running_mean.normal_(std=3.0)
        norm.running_var.uniform_(0.1, 5.0)
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.normal_()
    return bottleneck.eval()


class Doubling(nn.Module):
    """A backbone whose pooled features are twice the image. Its map is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.info = type("Info", (), {"width": 12})()

    def forward(self, inputs, present=None):
        return Features(2 * inputs["image"], maps=(inputs["image"],))


@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_layer_computes_what_bottleneck_and_head_compute(bias):
    bottleneck, head = trained_bottleneck(), nn.Linear(6, 4, bias=bias)
    x = 5 * torch.randn(64, 12)
    with torch.no_grad():
        assert torch.allclose(fold(bottleneck, head)(x), head(bottleneck(x)), atol=1e-5)
        assert torch.equal(
            fold(None, head)(x[:, :6]), nn.functional.linear(x[:, :6], head.weight, fold(None, head).bias)
        )


def test_folding_leaves_the_live_modules_as_they_were():
    bottleneck, head = trained_bottleneck().train(), nn.Linear(6, 4)
    before = copy.deepcopy(bottleneck.state_dict())
    fold(bottleneck, head)
    assert all(module.training for module in bottleneck.modules())
    assert all(torch.equal(before[k], v) and before[k].dtype == v.dtype for k, v in bottleneck.state_dict().items())


def test_what_is_not_affine_does_not_fold():
    curved = nn.Sequential(nn.Linear(12, 6), nn.BatchNorm1d(6), nn.ReLU())
    with pytest.raises(TypeError, match=r"Sequential of .*'ReLU'.* does not fold"):
        fold(curved, nn.Linear(6, 4))
    with pytest.raises(TypeError, match="Sequential head is not linear"):
        fold(None, nn.Sequential(nn.Linear(6, 4)))


def test_an_encoder_replaces_the_pooled_features_and_keeps_the_rest():
    x = torch.randn(5, 12)
    bare, narrowed = Encoder(Doubling()), Encoder(Doubling(), trained_bottleneck())
    assert (bare.width, narrowed.width) == (12, 6)
    assert torch.equal(bare({"image": x}).pooled, 2 * x)
    seen = narrowed({"image": x})
    assert torch.equal(seen.pooled, narrowed.bottleneck(2 * x))
    assert torch.equal(seen.maps[0], x)
    head = nn.Linear(6, 4)
    assert torch.equal(Classifier(narrowed, head)({"image": x}), head(seen.pooled))


def test_a_reversed_gradient_is_the_gradient_times_minus_the_scale():
    x = torch.randn(3, 4, requires_grad=True)
    weights = torch.randn(3, 4)
    assert torch.equal(reverse_gradient(x, 0.25), x)
    for _ in range(3):  # it counts nothing: the third time is as the first
        (gradient,) = torch.autograd.grad((reverse_gradient(x, 0.25) * weights).sum(), x)
        assert torch.allclose(gradient, -0.25 * weights)


@pytest.mark.parametrize("batchnorm", [True, False])
def test_a_critic_learns_to_tell_domains_apart_by_its_logits(batchnorm):
    torch.manual_seed(0)
    critic = Critic(4, 16, batchnorm=batchnorm)
    x, domain = torch.randn(128, 4), torch.arange(128) % 2
    x[:, 0] += 3.0 * domain
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(critic(x), domain.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    logits = critic(x)
    assert ((logits > 0) == domain.bool()).float().mean() > 0.9
    assert logits.abs().max() > 1, "logits, not probabilities"


def test_shapes_are_checked_in_tests():
    with pytest.raises(TypeCheckError):
        Critic(4, 8)(torch.randn(2, 3, 4))


def test_a_dropout_keeps_the_expected_squared_norm():
    torch.manual_seed(0)
    z = torch.randn(64, 4000)
    dropped = norm_preserving_dropout(z, 0.5, training=True)
    assert (dropped == 0).float().mean() == pytest.approx(0.5, abs=0.01)
    assert (dropped.norm(dim=1) / z.norm(dim=1)).mean() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(norm_preserving_dropout(z, 0.5, training=False), z)
