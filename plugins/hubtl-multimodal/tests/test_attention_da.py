"""attention-da: weights fall on what is of one domain alone, and what they leave is what the model needs."""

import math

import pytest
import torch
from conform import check
from hubtl_multimodal.fusion import KINDS
from hubtl_multimodal.strategies.attention_da import AttentionDA
from hubtl_multimodal.strategies.mixing import mixed
from toy import WIDTH, Rows, accuracy, domain, make, train

from hubtl import Batch
from hubtl.strategies.source_only import SourceOnly

PLACES = 8


def spotted(target, seed, n=240):
    """One modality of eight tokens. Four of them, anywhere, tell the class in both domains; the others are of one domain
    alone: the source's hint at the class, the target's at another.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 4
    x = 0.5 * torch.randn(n, PLACES, WIDTH, generator=generator)
    shared = torch.rand(n, PLACES, generator=generator).argsort(1) < 4
    angle = math.pi / 2 * y + math.radians(20 * target)
    where = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.8 * torch.randn(n, 2, generator=generator)
    x[:, :, :2] += where[:, None] * shared[..., None]
    hint = torch.randint(4, (n,), generator=generator) if target else y
    x[:, :, 4] += ~shared * (2.5 if target else -2.5)
    x[:, :, 5] += ~shared * (hint[:, None] - 1.5)
    rows = Rows({"image": x}, y.numpy(), {}, sealed=target)
    rows.shared = shared
    return rows


def fit(cls, **options):
    strategy = make(cls, modalities=("image",), **options)
    streams = {"source": spotted(False, 0)} | ({} if cls is SourceOnly else {"target": spotted(True, 50)})
    train(strategy, streams, steps=150)
    return strategy


@pytest.fixture(scope="module")
def held_out():
    return spotted(True, 80)


@pytest.fixture(scope="module")
def adapted():
    return fit(AttentionDA)


@pytest.fixture(scope="module")
def unweighted():
    return fit(AttentionDA, local=0.0)


def weights(strategy, rows):
    with torch.no_grad():
        return strategy.deployed().eval().encoder(rows.inputs).parts["image.weights"]


def accuracy_without(strategy, rows, scores, count=3):
    """Accuracy with each row's ``count`` tokens of the largest score deleted."""
    gone = scores.topk(count, dim=1).indices
    mask = torch.ones_like(scores, dtype=torch.bool).scatter(1, gone, False)
    return accuracy(strategy, Rows(rows.inputs | {"image.mask": mask}, rows.hidden, {}))


def test_conformance():
    check(AttentionDA, {"weight": 3.0})


def test_the_gap_closes(adapted, held_out):
    assert accuracy(adapted, held_out) > accuracy(fit(SourceOnly), held_out) + 0.15


def test_weights_fall_on_what_is_of_one_domain_alone(adapted, held_out):
    w = weights(adapted, held_out)
    assert w[held_out.shared].mean() > 0.8
    assert w[~held_out.shared].mean() < 0.6
    source = spotted(False, 81)
    w = weights(adapted, source)
    assert w[source.shared].mean() > w[~source.shared].mean() + 0.3


def test_without_local_critics_tokens_count_alike(unweighted, held_out):
    assert (weights(unweighted, held_out) == 1).all()


def test_what_weighs_most_is_what_the_model_needs(adapted, held_out):
    """Deleting it costs more than deleting anything. What weighs least can go."""
    w = weights(adapted, held_out)
    chance = torch.rand(w.shape, generator=torch.Generator().manual_seed(0))
    top, other, least = (accuracy_without(adapted, held_out, scores) for scores in (w, chance, -w))
    assert top < other - 0.05
    assert least > accuracy(adapted, held_out) - 0.05


def test_weighing_tokens_helps(adapted, unweighted, held_out):
    assert accuracy(adapted, held_out) > accuracy(unweighted, held_out)


@pytest.mark.parametrize("kind", KINDS)
def test_several_modalities(kind):
    strategy = make(AttentionDA, kind, critic="dann")
    target = domain(True, seed=1, n=64, missing=0.3)
    trace = train(strategy, {"source": domain(n=64, missing=0.3), "target": target}, steps=25)
    assert trace.curves[-1]["task"] < trace.curves[0]["task"] - 0.1


@pytest.mark.parametrize("term", ["weight", "local", "infomax", "consistency"])
def test_each_term_is_an_option(term):
    strategy = make(AttentionDA, **{term: 0.0})
    streams = {"source": domain(n=64), "target": domain(True, n=64)}
    trace = train(strategy, streams, steps=6)
    assert trace.curves[-1]["task"] < trace.curves[0]["task"]
    assert hasattr(strategy, "critic") == (term != "weight")


def test_mixing():
    torch.manual_seed(0)
    ids = torch.tensor([[1, 2, 3, 0], [5, 6, 7, 8]])
    inputs = {
        "image": torch.tensor([[0.0, 1.0], [10.0, 11.0]]),
        "audio": torch.tensor([[0.0], [1.0]]),
        "text": ids,
        "text.mask": ids > 0,
    }
    batch = Batch(inputs, present={"audio": torch.tensor([True, False]), "image": torch.tensor([True, True])})
    found = mixed(batch, torch.tensor([1, 0]), 0.3).inputs
    assert found["image"].tolist() == [
        [pytest.approx(3.0), pytest.approx(4.0)],
        [pytest.approx(7.0), pytest.approx(8.0)],
    ]
    assert found["audio"][0].item() == 0  # its partner has no recording
    swapped = found["text"] != ids
    assert torch.equal(found["text"], torch.where(swapped, ids.flip(0), ids))
    assert torch.equal(found["text.mask"], found["text"] > 0)  # a word brings its mask along
    many = Batch({"text": torch.arange(2000)[:, None].expand(-1, 20)})
    other = mixed(many, torch.arange(2000).roll(1), 0.3).inputs["text"]
    assert (other != many.inputs["text"]).float().mean().item() == pytest.approx(0.3, abs=0.01)
