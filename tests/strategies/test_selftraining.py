"""Self-training and normalisation: the target's accuracy rises, teachers follow, statistics are the target's."""

import copy

import pytest
import torch
from torch import nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.modules import fold
from hubtl.strategies.adabn import AdaBN
from hubtl.strategies.adamatch import AdaMatch
from hubtl.strategies.dsbn import DSBN, DomainNorm
from hubtl.strategies.fixmatch import FixMatch
from hubtl.strategies.mean_teacher import MeanTeacher
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress
from tests.tiny import Rows, accuracy, build, domains, train

START = Progress(0, 0, 0, 0.0)


class Viewed(Rows):
    """Rows with noise of two strengths as views."""

    def fetch(self, rows, *, seed=None):
        batch = super().fetch(rows, seed=seed)
        generator = torch.Generator().manual_seed(seed or 0)
        x = batch.inputs["image"]
        views = {
            name: {"image": x + scale * torch.randn(x.shape, generator=generator)}
            for name, scale in (("weak", 0.1), ("strong", 0.8))
        }
        return Batch(batch.inputs, batch.labels, batch.index, views=views)


def world(degrees=50.0):
    source, target = domains(degrees=degrees)
    return source, target, {"source": Viewed(source.x, source.labels), "target": Viewed(target.x, None)}


def shifted():
    """A target that is the source's world, scaled and moved: what BatchNorm's statistics can undo."""
    source, target = domains(degrees=0.0)
    moved = Rows(0.3 * target.x + 2.0, target.labels)
    return source, moved, {"source": source, "target": Rows(moved.x, None)}


@pytest.mark.parametrize("cls", [FixMatch, MeanTeacher, AdaMatch])
def test_the_target_gets_better_than_by_the_source_alone(cls):
    source, target, streams = world()
    plain, taught = build(SourceOnly), build(cls)
    for strategy in (plain, taught):
        train(strategy, streams, steps=300)
    assert accuracy(taught, target) > accuracy(plain, target) + 0.03
    assert accuracy(taught, source) > 0.9


def test_fixmatch_learns_nothing_from_unsure_rows():
    _, _, streams = world()
    batch = {name: rows.fetch(range(32), seed=1) for name, rows in streams.items()}
    strategy = build(FixMatch, threshold=1.0)
    (loss,) = strategy.step(**batch, at=START)
    assert loss.logs["sure"] == 0
    assert loss.logs["pseudo"] == 0
    assert loss.total == loss.logs["task"]


def adamatch_step(fraction=1.0, **options):
    _, _, streams = world()
    batch = {name: rows.fetch(range(32), seed=1) for name, rows in streams.items()}
    (loss,) = build(AdaMatch, **options).step(**batch, at=Progress(0, 0, 0, fraction))
    return loss


def test_adamatch_begins_with_the_source_and_its_pseudo_labels_grow_over_half_of_the_run():
    loss = adamatch_step(0.0)
    assert loss.total.item() == pytest.approx((loss.logs["task"] + loss.logs["strong_task"]).item())
    assert loss.logs["pseudo"] > 0
    rest = {f: adamatch_step(f, threshold=0.01) for f in (0.25, 0.5, 0.75)}
    shares = {
        f: (one.total - one.logs["task"] - one.logs["strong_task"]) / one.logs["pseudo"] for f, one in rest.items()
    }
    assert shares[0.25].item() == pytest.approx(0.5, abs=1e-4)
    assert shares[0.5].item() == pytest.approx(1.0, abs=1e-4)
    assert shares[0.75].item() == pytest.approx(1.0, abs=1e-4)


def test_source_only_beside_adamatch_learns_the_same_losses_of_the_source():
    source, _, streams = world()
    batch = streams["source"].fetch(range(32), seed=1)
    strategy = build(SourceOnly)

    def cross_entropy(rows):
        return strategy.task.loss(strategy.head(strategy.encode(rows).pooled), rows.labels)

    (loss,) = strategy.step(batch, at=START)
    assert torch.equal(loss.total, cross_entropy(batch.view("weak")) + cross_entropy(batch.view("strong")))
    (plain,) = strategy.step(source.fetch(range(32)), at=START)
    assert torch.equal(plain.total, cross_entropy(source.fetch(range(32))))


def test_adamatch_asks_the_target_for_no_more_confidence_than_the_source_shows():
    """A fresh head is sure of nothing: FixMatch learns from no row, AdaMatch from about half."""
    _, _, streams = world()
    batch = {name: rows.fetch(range(32), seed=1) for name, rows in streams.items()}
    (fix,) = build(FixMatch).step(**batch, at=START)
    (ada,) = build(AdaMatch).step(**batch, at=START)
    assert fix.logs["sure"] < 0.1
    assert ada.logs["sure"] > 0.4


def test_the_teacher_moves_once_an_update_and_only_by_averaging():
    _, _, streams = world()
    batch = {name: rows.fetch(range(32), seed=1) for name, rows in streams.items()}
    strategy = build(MeanTeacher)
    assert "teacher" not in strategy.learners()
    assert strategy.deployed() is strategy.teacher
    before = copy.deepcopy(strategy.teacher.head.weight)
    steps = strategy.step(**batch, at=START)
    next(steps).total.backward()
    with torch.no_grad():
        strategy.head.weight.add_(1.0)
    assert torch.equal(strategy.teacher.head.weight, before)
    assert list(steps) == []
    assert torch.allclose(strategy.teacher.head.weight, before + 0.9)  # δ = 1 / 10 at the first update
    assert all(p.grad is None for p in strategy.teacher.parameters())


def test_a_half_done_estimate_of_statistics_is_not_judged():
    _, _, streams = shifted()
    judged = []
    strategy = build(AdaBN, batchnorm=True)
    trace = train(strategy, streams, steps=10, evaluate_every=3, judge=lambda _, step: judged.append(step) or {})
    assert judged == [3, 6, 9, trace.steps]  # nine updates on the source, and a pass over the target
    assert trace.steps > 20


def test_the_teachers_batchnorm_has_the_targets_statistics():
    _, target, _ = shifted()
    source = domains(degrees=0.0)[0]
    strategy = build(MeanTeacher, batchnorm=True)
    train(strategy, {"source": source, "target": Viewed(target.x, None)}, steps=100, optim={"lr": 1e-9})
    linear, norm = strategy.teacher.encoder.backbone.layers[:2]
    with torch.no_grad():
        of_target, of_source = linear(target.x).mean(0), linear(source.x).mean(0)
    gap = (norm.running_mean - of_target).norm()
    assert gap < 0.2 * (of_source - of_target).norm()


def test_adabn_sets_exactly_the_targets_statistics_and_mends_a_shift():
    _, target, streams = shifted()
    plain, adapted = build(SourceOnly, batchnorm=True, bottleneck=8), build(AdaBN, batchnorm=True, bottleneck=8)
    for strategy in (plain, adapted):
        train(strategy, streams, steps=200)
    linear, norm = adapted.encoder.backbone.layers[:2]
    with torch.no_grad():
        seen = linear(target.x)
    assert int(norm.num_batches_tracked) == 16  # 512 rows in batches of 32
    assert torch.allclose(norm.running_mean, seen.mean(0), atol=1e-4)
    assert norm.momentum == 0.1
    assert accuracy(adapted, target) > max(0.95, accuracy(plain, target) + 0.1)


def test_adabn_changes_no_weight_in_its_second_phase():
    _, _, streams = shifted()
    strategy = build(AdaBN, batchnorm=True)
    strategy.setting = "source-free"
    before = {name: p.clone() for name, p in strategy.named_parameters()}
    train(strategy, {"target": streams["target"]}, steps=5)
    assert all(torch.equal(before[name], p) for name, p in strategy.named_parameters())


@pytest.mark.parametrize("cls", [AdaBN, DSBN])
def test_without_batchnorm_there_is_nothing_to_do(cls):
    with pytest.raises(HubtlError, match="this network has n") as caught:
        build(cls).phases()
    assert caught.value.hint


def test_dsbn_keeps_the_domains_statistics_apart_and_mends_a_shift():
    source, target, streams = shifted()
    plain, adapted = build(SourceOnly, batchnorm=True, bottleneck=8), build(DSBN, batchnorm=True, bottleneck=8)
    for strategy in (plain, adapted):
        train(strategy, streams, steps=200)
    assert accuracy(adapted, target) > max(0.95, accuracy(plain, target) + 0.1)
    norm = adapted.encoder.backbone.layers[1]
    assert isinstance(norm, DomainNorm)
    linear = adapted.encoder.backbone.layers[0]
    with torch.no_grad():
        of_source, of_target = linear(source.x).mean(0), linear(target.x).mean(0)
    apart = (of_source - of_target).norm()
    assert (norm.source.running_mean - of_source).norm() < 0.2 * apart
    assert (norm.target.running_mean - of_target).norm() < 0.2 * apart
    assert not torch.equal(norm.source.weight, norm.target.weight)


def test_dsbn_deploys_plain_layers_over_the_same_tensors():
    _, target, streams = shifted()
    strategy = build(DSBN, batchnorm=True, bottleneck=8)
    train(strategy, streams, steps=20)
    strategy.eval()
    deployed = strategy.deployed()
    assert not any(isinstance(m, DomainNorm) for m in deployed.modules())
    assert isinstance(deployed.encoder.backbone.layers[1], nn.BatchNorm1d)
    assert deployed.encoder.backbone.layers[1].weight is strategy.encoder.backbone.layers[1].target.weight
    assert isinstance(strategy.encoder.backbone.layers[1], DomainNorm)
    with torch.no_grad():
        expected = strategy.head(strategy.encoder({"image": target.x}).pooled)
        folded = fold(deployed.encoder.bottleneck, deployed.head)
        assert torch.equal(deployed({"image": target.x}), expected)
        got = folded(deployed.encoder.backbone({"image": target.x}).pooled)
    assert torch.allclose(got, expected, atol=1e-4)
