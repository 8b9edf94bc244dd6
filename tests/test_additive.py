"""Methods that only add a loss: each moves what it is about, and two of them add up."""

import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.losses import class_confusion, domain_accuracy
from hubtl.losses.discrepancy import joint_mmd, mk_mmd
from hubtl.losses.structure import mean_singular_value, mutual_information
from hubtl.strategies.bnm import BNM
from hubtl.strategies.cdan import CDAN, CDANE
from hubtl.strategies.dan import DAN
from hubtl.strategies.infomax import InfoMax
from hubtl.strategies.jan import JAN
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from tests.tiny import build, domains, sealed, train


@torch.no_grad()
def seen(strategy):
    """Features and logits of both domains in eval mode."""
    source, target = domains()
    model = strategy.eval()
    zs, zt = (model.encoder({"image": rows.x}).pooled for rows in (source, target))
    return zs, zt, model.head(zs), model.head(zt)


def trained(cls, bottleneck=16):
    source, target = domains()
    strategy = build(cls, bottleneck=bottleneck)
    train(strategy, {"source": source, "target": sealed(target)}, steps=150)
    return seen(strategy)


@pytest.fixture(scope="module")
def baseline():
    return trained(SourceOnly)


def gap_of_features(zs, zt, ys, yt):
    return -mk_mmd(zs, zt)


def gap_of_joint(zs, zt, ys, yt):
    return -joint_mmd((zs, zt), (ys.softmax(1), yt.softmax(1)))


def nuclear(zs, zt, ys, yt):
    return mean_singular_value(yt)


def information(zs, zt, ys, yt):
    return mutual_information(yt)


@pytest.mark.parametrize(
    ("cls", "quality"),
    [(JAN, gap_of_joint), (BNM, nuclear), (InfoMax, information)],
)
def test_what_a_method_adds_moves_the_way_it_should(cls, quality, baseline):
    adapted = trained(cls)
    assert quality(*adapted) > quality(*baseline)
    source, _ = domains()
    accuracy = (adapted[2].argmax(1).numpy() == source.labels).mean()
    assert accuracy > 0.9


def test_dan_closes_the_gap_where_no_batchnorm_closes_it_first():
    """With BatchNorm in separate forwards each domain is normalised by itself, and little is left to close."""
    assert gap_of_features(*trained(DAN, bottleneck=0)) > 0.5 * gap_of_features(*trained(SourceOnly, bottleneck=0))


@pytest.mark.parametrize("cls", [CDAN, CDANE])
def test_the_critic_of_cdan_tells_domains_that_nothing_hides(cls):
    source, target = domains(degrees=60.0)
    strategy = build(cls, bottleneck=16, weight=1.0, ramp_steps=1e9)  # the features are not reversed: they do not hide
    train(strategy, {"source": source, "target": sealed(target)}, steps=150)
    zs, zt, ys, yt = seen(strategy)
    from hubtl.losses.conditional import outer

    with torch.no_grad():
        vs, vt = (strategy.critic(outer(z, y.softmax(1))) for z, y in ((zs, ys), (zt, yt)))
    assert domain_accuracy(vs, vt) > 0.7


def test_the_gradient_of_cdan_does_not_flow_through_the_predictions():
    source, target = domains(64)
    strategy = build(CDAN, bottleneck=16).train()
    pair = strategy.pair(source.fetch(range(64)), target.fetch(range(64)))
    loss, _ = strategy.added(pair, at=Progress(0, 0, 1000, 0.5))
    loss.backward()
    assert strategy.head.weight.grad is None
    assert strategy.encoder.backbone.layers[0].weight.grad.abs().sum() > 0


def test_two_methods_add_up_and_both_learn():
    cls = plugins.load("strategies", "cdan+mcc")
    source, target = domains(64)
    strategy = build(cls, bottleneck=16, cdan_weight=0.5, mcc_weight=2.0)
    at = Progress(0, 0, 500, 0.5)
    pair = strategy.pair(source.fetch(range(64)), target.fetch(range(64)))
    total, logs = strategy.added(pair, at=at)
    expected = 0.5 * logs["cdan/domain"] + 2.0 * class_confusion(pair.yt)
    assert torch.allclose(total, expected)
    assert set(strategy.learners()) == {"backbone", "bottleneck", "head", "cdan_critic"}
    assert len(strategy.state_dict()) == len({n.replace("cdan_critic", "critic") for n in strategy.state_dict()})
    before = strategy.cdan_critic.layers[0].weight.detach().clone()
    train(strategy, {"source": source, "target": sealed(target)}, steps=5)
    assert not torch.equal(before, strategy.cdan_critic.layers[0].weight)


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(HubtlError, match="does more than add a loss"):
        plugins.load("strategies", "mcc+source-only")
    with pytest.raises(HubtlError, match="twice"):
        plugins.load("strategies", "mcc+mcc")
    with pytest.raises(HubtlError, match="dan2") as refused:
        plugins.load("strategies", "mcc+dan2")
    assert refused.value.hint
