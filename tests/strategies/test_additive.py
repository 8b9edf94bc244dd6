"""Methods that only add a loss: each moves what it is about, and two of them add up."""

import dataclasses
import math
from typing import ClassVar

import pytest
import torch
from pydantic import Field

from hubtl import Judging, plugins
from hubtl.errors import HubtlError
from hubtl.losses import class_confusion, domain_accuracy
from hubtl.losses.discrepancy import joint_mmd, mk_mmd
from hubtl.losses.structure import mean_singular_value, mutual_information
from hubtl.strategies.adabn import AdaBN
from hubtl.strategies.afn import AFN
from hubtl.strategies.bnm import BNM
from hubtl.strategies.cdan import CDAN, CDANE
from hubtl.strategies.combined import combine
from hubtl.strategies.coral import DeepCoral
from hubtl.strategies.dan import DAN
from hubtl.strategies.infomax import InfoMax
from hubtl.strategies.jan import JAN
from hubtl.strategies.mcc import MCC
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions, views_of
from hubtl.tasks.classification import Classification
from tests.tiny import Rows, accuracy, build, domains, sealed, train


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
    """Separate forwards with BatchNorm normalise each domain by itself. Little is left to close."""
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


def test_afn_enlarges_the_norms_of_both_domains():
    """Beside the same training without its steps; the backbone learns without momentum in both."""
    source, target = domains(degrees=40.0)
    norms = []
    for weight in (0.0, 0.5):
        strategy = build(AFN, bottleneck=16, weight=weight)
        train(strategy, {"source": source, "target": sealed(target)}, steps=200)
        norms.append([z.norm(dim=1).mean().item() for z in seen(strategy)[:2]])
        assert (seen(strategy)[2].argmax(1).numpy() == source.labels).mean() > 0.9
    (source_before, target_before), (source_after, target_after) = norms
    assert source_after > 1.5 * source_before
    assert target_after > 1.5 * target_before
    assert strategy.phases()[0].momentum == {"backbone": 0.0}


def test_afn_makes_the_target_better():
    """Without dropout, of which sixteen features bear little."""
    source, target = domains(degrees=55.0)
    plain, strategy = build(SourceOnly, bottleneck=16), build(AFN, bottleneck=16, entropy_weight=0.1, dropout=0.0)
    for each in (plain, strategy):
        train(each, {"source": source, "target": sealed(target)}, steps=300)
    assert accuracy(strategy, target) > accuracy(plain, target) + 0.02


def test_afns_loss_by_hand():
    strategy = build(AFN, weight=2.0, enlargement=3.0, entropy_weight=0.5)
    source, target = domains(8)
    rows = torch.randn(4, 32)
    even = torch.zeros(4, 2)
    batch = source.fetch(range(4)), target.fetch(range(4))
    loss, logs = strategy.added(Pair(*batch, rows, 2 * rows, even, even), at=Progress(0, 0, 0, 0.0))
    assert loss.item() == pytest.approx(2 * (9 + 9) + 0.5 * math.log(2), rel=1e-5)
    assert logs["target_norm"].item() == pytest.approx(2 * logs["source_norm"].item(), rel=1e-5)


class Viewed(Rows):
    """Rows with noise as views."""

    def fetch(self, rows, *, seed=None):
        batch = super().fetch(rows, seed=seed)
        x = batch.inputs["image"]
        return dataclasses.replace(batch, views={"weak": {"image": x + 1.0}, "strong": {"image": x - 1.0}})


def test_what_is_combined_with_fixmatch_is_of_the_weak_views():
    cls = plugins.load("strategies", "mcc+fixmatch")
    assert cls.joint
    source, target = (Viewed(rows.x, rows.labels) for rows in domains(64))
    strategy = build(cls, mcc_weight=2.0, fixmatch_weight=0.5, fixmatch_threshold=0.5)
    (phase,) = strategy.phases()
    assert phase.views == {"source": ("weak",), "target": ("weak", "strong")}
    assert views_of(build(MCC).phases()) == {"source": (), "target": ()}
    batches = source.fetch(range(32)), target.fetch(range(32))
    (loss,) = strategy.step(*batches, at=Progress(0, 0, 0, 0.0))
    ys, yt, strong = (
        strategy.head(strategy.encoder({"image": x}).pooled)
        for x in (batches[0].inputs["image"] + 1, batches[1].inputs["image"] + 1, batches[1].inputs["image"] - 1)
    )
    task = torch.nn.functional.cross_entropy(ys, batches[0].labels)
    pseudo = torch.nn.functional.cross_entropy(strong, yt.argmax(dim=1))  # of two classes one has at least a half
    assert torch.allclose(loss.total, task + 2.0 * class_confusion(yt) + 0.5 * pseudo, atol=1e-5)


def test_a_baseline_sees_the_source_as_the_method_beside_it_does():
    source, _ = domains(64)
    strategy = build(SourceOnly)
    batch = Viewed(source.x, source.labels).fetch(range(32))
    weak = dataclasses.replace(batch, views={"weak": batch.views["weak"]})
    (loss,) = strategy.step(weak, at=Progress(0, 0, 0, 0.0))
    (expected,) = strategy.step(Rows(source.x + 1.0, source.labels).fetch(range(32)), at=Progress(0, 0, 0, 0.0))
    assert torch.equal(loss.total, expected.total)


class Hushed(Additive):
    """Declares all that can be declared."""

    judging = Judging(improves=["snd"], forgets_source=True, calibrated=True)
    suits: ClassVar = {"partial": {"weight": 0.0}, "closed": {}, "open": {"weight": 2.0}}
    needs = ("features",)

    class Options(StrategyOptions):
        weight: float = Field(1.0, description="weight")


class Partial(MCC):
    """MCC for partial sets, too."""

    suits: ClassVar = {"partial": {"temperature": 1.0}, "closed": {}}


def test_a_sum_forgets_nothing_that_its_parts_declare():
    both = combine("hushed+partial", [Hushed, Partial])
    assert both.judging == Judging(improves={"snd", "infomax", "bnm"}, forgets_source=True, calibrated=True)
    assert both.suits == {"partial": {"hushed_weight": 0.0, "partial_temperature": 1.0}, "closed": {}}
    assert both.Options(**both.suits["partial"]) != both.Options()
    assert both.needs == ("features", "probabilities")
    assert combine("hushed+coral", [Hushed, DeepCoral]).needs == ("features",)
    assert combine("hushed+mcc", [Hushed, MCC]).suits == {"closed": {}}


def test_what_judging_knows_of_two_methods_is_known_of_both():
    one, other = Judging(improves=("snd",), calibrated=True), Judging(improves=["bnm"], forgets_source=True)
    assert one | other == other | one == Judging({"bnm", "snd"}, forgets_source=True, calibrated=True)
    assert one | Judging() == one


def test_methods_that_read_features_alone_read_no_probability(monkeypatch):
    """Without probabilities no entropy is taken or logged; an option that wants one is refused."""
    monkeypatch.setattr(Classification, "probabilities", False)
    source, target = domains(64)
    batches = source.fetch(range(32)), target.fetch(range(32))
    (loss,) = build(AFN).step(*batches, at=Progress(0, 0, 0, 0.0))
    assert set(loss.logs) == {"task", "source_norm", "target_norm"}
    (loss,) = build(AdaBN, bottleneck=8).estimate(batches[1], at=Progress(0, 0, 0, 0.0))
    assert (float(loss.total), dict(loss.logs)) == (0.0, {})
    with pytest.raises(HubtlError, match="entropy_weight of afn needs probabilities"):
        build(AFN, entropy_weight=0.1)
