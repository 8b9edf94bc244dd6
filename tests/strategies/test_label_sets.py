"""PADA and OSBP on domains whose classes differ: what they are for, and what they are made of."""

import math

import pytest
import torch
import torch.nn.functional as F

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses.openset import unknown_boundary
from hubtl.modules import Bottleneck, Encoder
from hubtl.strategies.combined import combine
from hubtl.strategies.dann import DANN
from hubtl.strategies.iwan import IWAN
from hubtl.strategies.mcc import MCC
from hubtl.strategies.osbp import OSBP
from hubtl.strategies.pada import PADA
from hubtl.strategies.shot import SHOT
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.measuring import figures_of as evaluation
from tests.tiny import Flat, Rows, accuracy, sealed, train

LATE = Progress(0, 0, 100_000, 0.5)  # the reversal's ramp is at its end


def clusters(at, degrees=0.0, *, n=600, seed=0, labels=None):
    """Rows of one class at each angle on a circle. It lies in a plane of 8-d space, all turned by some degrees."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % len(at)
    angle = torch.deg2rad(torch.tensor(at) + degrees)[y]
    plane = 4.0 * torch.stack([angle.cos(), angle.sin()], 1) + 0.7 * torch.randn(n, 2, generator=generator)
    noise = 0.1 * torch.randn(n, 6, generator=generator)
    own = y if labels is None else torch.tensor(labels)[y]
    return Rows(torch.cat([plane, noise], 1), own.numpy())


def build(cls, classes, *, seed=0, **options):
    torch.manual_seed(seed)
    encoder = Encoder(Flat(), Bottleneck(32, 16))
    names = [str(i) for i in range(classes)]
    task = Classification([*names, "unknown"] if cls.unknown else names)
    task.unknown = classes if cls.unknown else None
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def test_pada_and_iwan_survive_a_target_of_two_classes_out_of_six_better_than_dann():
    """DANN spreads the target over all the source's classes. It must, to make the domains look alike."""
    places = [0.0, 45.0, 90.0, 180.0, 225.0, 270.0]
    found = {DANN: [], PADA: [], IWAN: []}
    for seed in range(2):
        source = clusters(places, seed=10 + seed)
        target = clusters([0.0, 90.0], 15.0, n=400, seed=20 + seed, labels=[0, 2])
        for cls, scores in found.items():
            strategy = build(cls, 6, seed=seed, ramp_steps=50.0, critic_width=64)
            train(strategy, {"source": source, "target": sealed(target)}, steps=300)
            scores.append(accuracy(strategy, target))
            if cls is PADA:
                shares = strategy.predicted / strategy.predicted.max()
    assert sum(found[PADA]) / 2 > sum(found[DANN]) / 2 + 0.1
    assert sum(found[IWAN]) / 2 > sum(found[DANN]) / 2 + 0.05
    assert min(found[PADA]) > 0.8
    assert min(shares[0], shares[2]) > 4 * max(shares[3], shares[4], shares[5])


def test_pada_weighs_the_sources_rows_by_their_class():
    strategy = build(PADA, 3, weight=0.0).eval()
    strategy.predicted.copy_(torch.tensor([0.6, 0.3, 0.1]))
    source, target = clusters([0.0, 120.0, 240.0]).fetch(range(9)), clusters([0.0]).fetch(range(6)).sealed()
    (loss,) = strategy.step(source, target, at=LATE)
    logits = strategy.head(strategy.encode(source).pooled)
    each = F.cross_entropy(logits, source.labels, reduction="none")
    weight = torch.tensor([1.0, 0.5, 1 / 6])[source.labels]
    assert loss.total.item() == pytest.approx((weight * each).mean().item(), rel=1e-5)
    now = strategy.head(strategy.encode(target).pooled).softmax(dim=1).mean(dim=0)
    expected = 0.99 * torch.tensor([0.6, 0.3, 0.1]) + 0.01 * now
    assert torch.allclose(strategy.predicted, expected, atol=1e-6)


def test_a_class_that_the_target_lacks_does_not_move_padas_critic():
    strategy = build(PADA, 2, critic_batchnorm=False).eval()
    strategy.predicted.copy_(torch.tensor([1.0, 0.0]))
    rows = clusters([0.0, 180.0])
    zeroth, both = rows.fetch(range(0, 8, 2)), rows.fetch(range(8))
    target = clusters([0.0]).fetch(range(4)).sealed()

    def critic_gradient(source: Batch) -> torch.Tensor:
        strategy.zero_grad()
        (loss,) = strategy.step(source, target, at=LATE)
        strategy.predicted.copy_(torch.tensor([1.0, 0.0]))
        loss.total.backward()
        return next(strategy.critic.parameters()).grad.clone()

    alone, with_other = critic_gradient(zeroth), critic_gradient(both)
    target_alone = critic_gradient(Batch(zeroth.inputs, torch.ones_like(zeroth.labels)))
    # the mean is over all rows: half of them weigh nothing
    assert torch.allclose(with_other - target_alone, (alone - target_alone) / 2, atol=1e-6)
    assert (alone - target_alone).abs().sum() > 0


def test_iwans_weigher_tells_the_domains_and_leaves_the_features_alone():
    strategy = build(IWAN, 2, weight=0.0, entropy_weight=0.0, critic_batchnorm=False)
    pair = strategy.pair(clusters([0.0, 180.0]).fetch(range(8)), clusters([0.0]).fetch(range(8)).sealed())
    strategy.added(pair, at=LATE)[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in strategy.weigher.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in strategy.encoder.parameters())


def open_figures(strategy, rows):
    strategy.eval()
    with torch.no_grad():
        logits = strategy.deployed()({"image": rows.x})
    return evaluation(logits, rows.labels, ["0", "1", "unknown"], 2)


def test_osbp_finds_the_class_that_the_source_lacks():
    source, target = clusters([0.0, 90.0], seed=11), clusters([0.0, 90.0, 225.0], 20.0, seed=21)
    streams = {"source": source, "target": sealed(target)}
    plain, strategy = build(SourceOnly, 2, seed=1), build(OSBP, 2, seed=1, ramp_steps=50.0)
    for one in (plain, strategy):
        train(one, streams, steps=400, optim={"lr": 0.005})
    before, after = open_figures(plain, target), open_figures(strategy, target)
    assert (before.unknown_recall, before.hos) == (0.0, 0.0)
    assert after.hos > 0.8
    assert after.unknown_recall > 0.8
    assert after.known_recall > before.known_recall - 0.15
    assert after.accuracy > before.accuracy + 0.15


def test_osbps_head_and_features_pull_in_opposite_directions():
    """On the target alone: a step of the head brings p_u nearer to t, a step of the features takes it away."""
    strategy = build(OSBP, 2, level=0.5).eval()
    source, target = clusters([0.0, 90.0]).fetch(range(16)), clusters([30.0]).fetch(range(16)).sealed()

    def boundary():
        return unknown_boundary(strategy.head(strategy.encode(target).pooled), 2)

    def after_a_step(module):
        strategy.zero_grad()
        strategy.added(strategy.pair(source, target), at=LATE)[0].backward()
        kept = {name: p.detach().clone() for name, p in module.named_parameters()}
        with torch.no_grad():
            for p in module.parameters():
                p -= 1e-3 * p.grad
            found = boundary().item()
            for name, p in module.named_parameters():
                p.copy_(kept[name])
        return found

    now = boundary().item()
    assert after_a_step(strategy.head) < now < after_a_step(strategy.encoder)
    assert now > math.log(2)


def test_osbp_without_a_class_for_the_unknown_is_refused():
    encoder, task = Encoder(Flat()), Classification(["a", "b"])
    with pytest.raises(HubtlError, match="class for what is unknown"):
        OSBP(encoder, task.head(encoder.width), task)


def test_what_osbp_is_combined_with_gets_its_output_too():
    both = combine("osbp+mcc", [OSBP, MCC])
    assert both.unknown
    assert not combine("dann+mcc", [DANN, MCC]).unknown


def test_shots_defaults_of_partial_sets_are_options_that_it_has():
    assert list(SHOT.suits) == ["closed", "partial"]
    assert SHOT.Options(**SHOT.suits["closed"]) == SHOT.Options()
    assert SHOT.Options(**SHOT.suits["partial"]).model_dump() != SHOT.Options().model_dump()
