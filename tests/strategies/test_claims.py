"""Methods learn what they claim: gaps close, critics tell and then fail to tell, frozen parts stay bit-equal."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hubtl.errors import HubtlError
from hubtl.losses import class_confusion, covariance_gap
from hubtl.modules import Classifier
from hubtl.strategies.coral import DeepCoral
from hubtl.strategies.dann import DANN
from hubtl.strategies.finetune import Finetune
from hubtl.strategies.linear_probe import LinearProbe
from hubtl.strategies.mcc import MCC
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from tests.tiny import accuracy, build, domains, pooled, sealed, train

START = Progress(0, 0, 0, 0.0)


def fitted(cls, steps=300, optim=None, **options):
    source, target = domains()
    strategy = build(cls, **options)
    trace = train(strategy, {"source": source, "target": sealed(target)}, steps=steps, optim=optim)
    return strategy, trace, source, target


def test_coral_closes_the_covariance_gap_that_source_only_leaves():
    aligned, _, source, target = fitted(DeepCoral, weight=1000.0)
    plain, *_ = fitted(SourceOnly)

    def gap(strategy):
        a, b = pooled(strategy, source), pooled(strategy, target)
        scale = torch.cat([a, b]).std()
        return float(covariance_gap(a / scale, b / scale))

    assert gap(aligned) < 0.3 * gap(plain)
    assert accuracy(aligned, source) > 0.95


def test_mcc_lowers_the_target_class_confusion_that_source_only_leaves():
    def confusion(strategy, target):
        with torch.no_grad():
            return float(class_confusion(strategy.head(pooled(strategy, target))))

    adapted, _, source, target = fitted(MCC)
    plain, *_ = fitted(SourceOnly)
    assert confusion(adapted, target) < 0.7 * confusion(plain, target)
    assert accuracy(adapted, target) >= accuracy(plain, target)
    assert accuracy(adapted, source) > 0.95


def separability(strategy, source, target):
    """How well a fresh linear critic separates the domains' features; 0.5 is chance."""
    features = torch.cat([pooled(strategy, source), pooled(strategy, target)]).numpy()
    truth = np.array([0] * len(source) + [1] * len(target))
    rows = np.random.default_rng(0).permutation(len(truth))
    fit, held = rows[::2], rows[1::2]
    return LogisticRegression(max_iter=2000).fit(features[fit], truth[fit]).score(features[held], truth[held])


@pytest.mark.slow
def test_dann_makes_domains_harder_to_tell_apart():
    """The target lies elsewhere in directions that say nothing of the class: alignment can give them up."""
    source, target = domains(degrees=0.0, offset=0.6)
    streams = {"source": source, "target": sealed(target)}
    plain = build(SourceOnly, bottleneck=16)
    adapted = build(DANN, bottleneck=16, ramp_steps=50.0, critic_width=64)
    for strategy in (plain, adapted):
        train(strategy, streams, steps=600)
    assert separability(plain, source, target) > 0.85
    assert separability(adapted, source, target) < separability(plain, source, target) - 0.1
    assert accuracy(adapted, source) > 0.95


def test_dann_critic_beats_chance_where_features_are_free_to_differ():
    """With the reversal at (nearly) nothing, the critic must learn:
    a critic with a dead gradient would stay at chance.
    """
    _, trace, *_ = fitted(DANN, steps=300, ramp_steps=1e9, critic_width=64)
    assert trace.curves[-1]["critic_accuracy"] > 0.6
    assert trace.curves[-1]["domain"] < 0.67


def test_dann_reversed_gradient_points_away_from_the_critics_and_grows():
    source, target = domains(64)
    strategy = build(DANN, critic_width=16, critic_batchnorm=False)
    batch = {"source": source.fetch(range(32)), "target": sealed(target).fetch(range(32))}

    def encoder_gradient(at, weight):
        strategy.zero_grad()
        strategy.options = strategy.options.model_copy(update={"weight": weight})
        (loss,) = strategy.step(**batch, at=at)
        loss.total.backward()
        return strategy.encoder.backbone.layers[0].weight.grad.clone()

    def adversarial(step):
        at = Progress(0, 0, step, 0.0)
        return encoder_gradient(at, 1.0) - encoder_gradient(at, 0.0)

    early, late = adversarial(100), adversarial(5000)
    assert adversarial(0).abs().max() == 0
    assert 0 < early.norm() < late.norm()
    assert torch.nn.functional.cosine_similarity(early.flatten(), late.flatten(), dim=0) > 0.999


def test_dann_strength_follows_its_formula():
    strategy = build(DANN)
    for step, expected in ((0, 0.0), (500, 0.2449), (1000, 0.4621), (2000, 0.7616), (5000, 0.9866)):
        assert strategy.strength(Progress(0, 0, step, 0.0)) == pytest.approx(expected, abs=1e-4)


def test_source_only_never_opens_the_target():
    source, target = domains(64)

    class Forbidden(type(target)):
        def fetch(self, rows, *, seed=None):
            raise AssertionError("the target was opened")

    strategy = build(SourceOnly)
    train(strategy, {"source": source, "target": Forbidden(target.x, None)}, steps=3)


def test_linear_probe_leaves_the_backbone_bit_equal_and_learns_the_head():
    _, target = domains()
    strategy = build(LinearProbe, batchnorm=True)
    before = {k: v.clone() for k, v in strategy.encoder.state_dict().items()}
    start = accuracy(strategy, target)
    train(strategy, {"target": target}, steps=200, optim={"lr": 0.1})
    assert all(torch.equal(before[k], v) for k, v in strategy.encoder.state_dict().items())
    assert accuracy(strategy, target) > max(0.9, start)


def test_finetune_trains_the_backbone_at_its_own_rate():
    _, target = domains()
    frozen, moving = build(Finetune), build(Finetune)
    train(frozen, {"target": target}, steps=20, optim={"backbone_lr_scale": 0.0})
    train(moving, {"target": target}, steps=20, optim={"backbone_lr_scale": 1.0})
    start = build(Finetune).encoder.state_dict()
    assert all(torch.equal(start[k], v) for k, v in frozen.encoder.state_dict().items())
    assert any(not torch.equal(start[k], v) for k, v in moving.encoder.state_dict().items())
    assert accuracy(moving, target) > 0.9


def test_a_supervised_loss_on_a_sealed_stream_is_refused():
    class Peeking(MCC):
        def step(self, source, target, *, at):
            yield self.loss_of(target)

        def loss_of(self, target):
            return self.task.loss(self.head(self.encode(target).pooled), target.labels)

    source, target = domains(64)
    with pytest.raises(HubtlError, match="sealed"):
        train(build(Peeking), {"source": source, "target": sealed(target)}, steps=1)


def test_joint_forward_takes_batches_of_different_sizes():
    source, target = domains(64)
    strategy = build(MCC)
    big, small = source.fetch(range(40)), target.fetch(range(10))
    zs, zt = strategy.encode_joint(big, small)
    assert torch.equal(zs.pooled, strategy.encode(big).pooled)
    assert torch.equal(zt.pooled, strategy.encode(small).pooled)


def test_deployed_is_what_trained():
    strategy = build(SourceOnly)
    deployed = strategy.deployed()
    assert isinstance(deployed, Classifier)
    assert deployed.head is strategy.head
