"""mm-da: the gap closes, because modalities correspond; every term can be left out; nothing fails where one is missing."""

import pytest
import torch
from conform import check
from hubtl_multimodal.fusion import KINDS
from hubtl_multimodal.pseudo import pseudo_labels
from hubtl_multimodal.strategies.heads import apart, backbone_of, say, say_of_pooled
from hubtl_multimodal.strategies.mm_da import MultimodalDA
from hubtl_multimodal.strategies.upkeep import follow, unseen
from toy import MODALITIES, accuracy, domain, make, train

from hubtl import HubtlError
from hubtl.modules import Bottleneck, Encoder
from hubtl.strategies.source_only import SourceOnly
from hubtl.tasks.classification import Classification
from hubtl.testing import ToyBackbone

SHORT = {"decay": 0.9, "refreshes": 8}  # a teacher for runs of a few hundred updates
UNTAUGHT = {"pseudo": 0.0, "prototype": 0.0}


def fit(cls, target, *, steps=120, **options):
    strategy = make(cls, **options)
    streams = {"source": domain(seed=10)} | ({} if cls is SourceOnly else {"target": target})
    trace = train(strategy, streams, steps=steps)
    return strategy, trace


@pytest.fixture(scope="module")
def target():
    return domain(target=True, seed=20)


@pytest.fixture(scope="module")
def held_out():
    return domain(target=True, seed=30)


@pytest.fixture(scope="module")
def source_only(target, held_out):
    return accuracy(fit(SourceOnly, target)[0], held_out)


@pytest.fixture(scope="module")
def adapted(target):
    return fit(MultimodalDA, target, **SHORT)


@pytest.fixture(scope="module")
def untaught(target):
    return fit(MultimodalDA, target, **UNTAUGHT, **SHORT)[0]


def test_conformance():
    check(MultimodalDA, {"standardise": False, "adversary": 1.0, "conditional": 1.0})


def test_strong_views_are_made_for_the_labels_alone():
    weak = {"source": ("weak",), "target": ("weak",)}
    of = {phase.name: phase.views for phase in make(MultimodalDA).phases()}
    assert of == {"warm": weak, "align": weak, "self-train": weak | {"target": ("weak", "strong")}}
    assert [phase.views for phase in make(MultimodalDA, **UNTAUGHT).phases()] == [weak] * 3


def test_the_gap_closes(adapted, source_only, held_out):
    assert accuracy(adapted[0], held_out) > max(0.85, source_only + 0.15)


def test_fused_is_better_than_what_it_is_made_of(adapted, held_out):
    alone = {n: accuracy(adapted[0], held_out.without(*(m for m in MODALITIES if m != n))) for n in MODALITIES}
    assert accuracy(adapted[0], held_out) > max(alone.values()) + 0.02
    assert min(alone["image"], alone["audio"]) > 0.6
    assert alone["text"] < 0.4  # it says nothing, and must not seem to


def test_what_modalities_teach_each_other_comes_from_their_correspondence(adapted, untaught, target, held_out):
    """With modalities of different rows, equal labels gain nothing."""
    gain = accuracy(adapted[0], held_out) - accuracy(untaught, held_out)
    mixed = target.shuffled()
    after = accuracy(fit(MultimodalDA, mixed, **SHORT)[0], held_out)
    before = accuracy(fit(MultimodalDA, mixed, **UNTAUGHT, **SHORT)[0], held_out)
    assert gain > 0.02
    assert after - before < gain / 2


def test_labels_are_right_where_modalities_agree(adapted, target):
    strategy, truth = adapted[0], torch.from_numpy(target.hidden)
    kept = strategy.weights > 0
    assert 0.4 < kept.float().mean() < 0.85
    assert (strategy.labels == truth)[kept].float().mean() > 0.95
    assert (strategy.labels == truth)[~kept].float().mean() < (strategy.labels == truth)[kept].float().mean() - 0.1


def test_more_is_labelled_as_the_phase_goes_on(adapted):
    course = [point["labelled"] for point in adapted[1].curves if "labelled" in point]
    assert course[-1] > course[0] + 0.2


def test_without_agreement_wrong_labels_get_through(untaught, target):
    pooled = untaught.teacher.eval().encoder(target.inputs, target.present).pooled.detach()
    joint, own, present = say_of_pooled(pooled, untaught.head, untaught.encoder.backbone.fusion)
    truth, wrong = torch.from_numpy(target.hidden), {}
    for agreement in (True, False):
        found = pseudo_labels(joint, own, present, 1.0, agreement=agreement)
        wrong[agreement] = (found.labels != truth)[found.weight > 0].float().mean().item()
    assert wrong[True] < 0.6 * wrong[False]


@pytest.mark.parametrize("kind", KINDS)
def test_one_head_taken_apart(kind):
    strategy = make(MultimodalDA, kind).eval()
    rows = domain(n=16, missing=0.5)
    features = strategy.encoder(rows.inputs, rows.present)
    said = say(features, strategy.head, strategy.encoder.backbone.fusion)
    assert torch.equal(said.joint, strategy.head(features.pooled))
    joint, own, present = say_of_pooled(features.pooled, strategy.head, strategy.encoder.backbone.fusion)
    assert torch.allclose(joint, said.joint)
    for name in MODALITIES:
        there = rows.present[name]
        assert torch.equal(present[name], there)
        assert torch.allclose(own[name][there], said.own[name][there], atol=1e-5)
    # the joint logits are the sum of the heads' (late: their mean), the bias counted once
    bias = strategy.head.bias
    r = torch.stack([rows.present[n].float() for n in MODALITIES])[..., None]
    each = torch.stack([said.own[n] - bias for n in MODALITIES]) * r
    total = each.sum(0) / r.sum(0) + bias if kind == "late" else each.sum(0) + said.fused
    assert torch.allclose(total, said.joint, atol=1e-5)


def test_an_absent_modality_has_an_empty_block():
    strategy = make(MultimodalDA, "late").eval()
    rows = domain(n=8).without("text")
    blocks, present = apart(strategy.encoder(rows.inputs, rows.present).pooled, strategy.encoder.backbone.fusion)
    assert not present["text"].any()
    assert not blocks["text"][:, :-1].any()
    assert (blocks["image"][:, -1] == 1).all()


def test_what_ships_has_the_statistics_of_the_target(adapted):
    """BatchNorm's running means are those of the target's weak view. They are not the source's."""
    strategy, seen = adapted[0], {}
    encoder = strategy.teacher.eval().encoder
    for name, rows in (("source", domain(seed=10)), ("target", domain(target=True, seed=20))):
        norm = encoder.backbone.fusion.norms["image"]
        handle = norm.register_forward_hook(
            lambda m, a, out, key=name: seen.update({key: out.mean(0).abs().mean().item()})
        )
        encoder(rows.inputs, rows.present)
        handle.remove()
    own = norm.bias.abs().mean().item()
    assert seen["target"] < own + 0.15
    assert seen["source"] > seen["target"] + 0.2


def test_forwards_that_leave_no_trace():
    norm = torch.nn.BatchNorm1d(2)
    x = torch.randn(8, 2) + 5
    with unseen(norm):
        y = norm(x)
        norm.eval()
        assert torch.allclose(norm(x), x, atol=1e-3)  # a frozen one goes on with what it knows
        norm.train()
    assert not norm.running_mean.any()
    assert y.mean().abs() < 1e-5
    norm(x)
    assert norm.running_mean.any()


def test_the_teacher_follows_weights_and_statistics():
    slow, fast = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    fast.weight.data.fill_(3.0)
    fast.running_mean.fill_(10.0)
    fast.num_batches_tracked.fill_(7)
    follow(slow, fast, 0.75)
    assert (slow.weight.item(), slow.running_mean.item(), slow.num_batches_tracked.item()) == (1.5, 2.5, 7)


def test_the_means_of_the_sources_classes():
    strategy = make(MultimodalDA)
    rows = domain(n=16)
    batch = rows.fetch(range(16))
    said = strategy.say(batch)
    features, labels = said.fused_feature(), batch.labels
    strategy.remember(said, batch, 0.9)
    first = torch.stack([features[labels == c].mean(0) for c in range(4)])
    assert torch.allclose(strategy.means, first, atol=1e-5)
    one = batch.select(labels == 2)
    changed = strategy.say(one)
    strategy.remember(changed, one, 0.9)
    assert torch.allclose(strategy.means[2], 0.9 * first[2] + 0.1 * changed.fused_feature().mean(0), atol=1e-5)
    assert torch.allclose(strategy.means[[0, 1, 3]], first[[0, 1, 3]], atol=1e-5)


def test_modality_dropout_grows_and_the_teacher_has_none():
    strategy, seen = make(MultimodalDA, modality_dropout=0.4, refreshes=1), []
    step, fusion = strategy.prepare, strategy.encoder.backbone.fusion
    strategy.prepare = lambda done: (step(done), seen.append((done, fusion.modality_dropout)))
    train(strategy, {"source": domain(n=64), "target": domain(True, n=64)}, steps=20)
    assert seen[0] == (0, 0)
    assert all(dropped == pytest.approx(0.4 * min(1, done / 0.2)) for done, dropped in seen)
    assert [done for done, _ in seen] == pytest.approx([i / 20 for i in range(20)])
    assert not strategy.teacher.training


TERMS = (
    "adversary",
    "local",
    "conditional",
    "correspondence",
    "mimicry",
    "mimicry_target",
    "infomax",
    "pseudo",
    "prototype",
    "aux",
)


@pytest.mark.parametrize(
    "options",
    [
        *({term: 0.0} for term in TERMS),
        dict.fromkeys(TERMS, 0.0),
        {"standardise": False, "contrast": True, "balance": "ogm", "agreement": False},
    ],
    ids=str,
)
def test_each_term_is_an_option(options):
    strategy = make(MultimodalDA, refreshes=1, **options)
    trace = train(strategy, {"source": domain(n=64), "target": domain(True, n=64)}, steps=8)
    assert trace.curves[-1]["loss"] == trace.curves[-1]["loss"]
    assert trace.curves[-1]["task"] < trace.curves[0]["task"]
    if not options.get("adversary", 1):
        assert not hasattr(strategy, "adversary_critic")


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [
        *((kind, ("image",), ("image",)) for kind in KINDS),
        ("bottleneck", (), ("text", "audio")),
        ("bottleneck", ("text",), ()),
    ],
)
def test_a_modality_that_a_whole_domain_lacks(kind, source, target):
    strategy = make(MultimodalDA, kind, contrast=True, balance="ogm", refreshes=1)
    streams = {"source": domain(n=64).without(*source), "target": domain(True, n=64).without(*target)}
    train(strategy, streams, steps=8)  # the engine refuses a loss that is not finite
    assert all(p.isfinite().all() for p in strategy.parameters())
    assert all(b.isfinite().all() for b in strategy.buffers())


def test_the_modality_that_learns_first_waits():
    """The gradient that reaches its own feature is scaled, and no other."""
    gradients = {}
    for balance in ("none", "ogm"):
        strategy = make(MultimodalDA, "late", balance=balance, mimicry=0.0, mimicry_target=0.0)
        batch = domain(n=32).fetch(range(32))
        said = strategy.say(batch)
        for name in MODALITIES:
            said.parts[name].retain_grad()
        sure = 20.0 * torch.nn.functional.one_hot(batch.labels, 4)
        known = said._replace(own=said.own | {"image": said.own["image"] + sure})
        strategy.supervised(known, batch)[0].backward()
        gradients[balance] = {name: said.parts[name].grad for name in MODALITIES}
    plain, scaled = gradients["none"], gradients["ogm"]
    factor = (scaled["image"].norm() / plain["image"].norm()).item()
    assert 0 < factor < 0.5
    assert torch.allclose(scaled["image"], factor * plain["image"], atol=1e-6)
    assert torch.equal(scaled["audio"], plain["audio"])


def test_one_modality_alone_adapts(source_only, held_out, target):
    strategy = make(MultimodalDA, modalities=("image",), **SHORT)
    train(strategy, {"source": domain(seed=10), "target": target}, steps=80)
    baseline = make(SourceOnly, modalities=("image",))
    train(baseline, {"source": domain(seed=10)}, steps=80)
    assert accuracy(strategy, held_out) > accuracy(baseline, held_out) + 0.05


def test_the_random_projection_stands_in_for_a_wide_product():
    strategy = make(MultimodalDA, "late", fusion={"width": 400}, refreshes=1)
    assert strategy.projected
    assert strategy.left.shape == (3 * 401, 1024)
    train(strategy, {"source": domain(n=64), "target": domain(True, n=64)}, steps=4)


def test_refusals():
    task = Classification(["a", "b"])
    with pytest.raises(HubtlError, match="no fusion"):
        MultimodalDA(Encoder(ToyBackbone()), task.head(16), task)
    backbone = make(SourceOnly).encoder.backbone
    with pytest.raises(HubtlError, match="bottleneck"):
        backbone_of(Encoder(backbone, Bottleneck(backbone.info.width, 4)))
    with pytest.raises(HubtlError, match="leave none"):
        make(MultimodalDA, warm=0.5, selftrain=0.5).phases()
