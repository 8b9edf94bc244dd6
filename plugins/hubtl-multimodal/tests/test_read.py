"""READ: where one modality fails, attention turns to the others; nothing else moves."""

import math

import pytest
import torch
from hubtl_multimodal.testtime.read import READ
from torch import nn
from toy import accuracy, domain, make, train

from hubtl import HubtlError
from hubtl.strategies.source_only import SourceOnly
from hubtl.testtime.base import make as make_method
from hubtl.testtime.online import online

ROWS = 480
FAST = 3e-3  # for a stream of few batches, and a small model from scratch


def fit(kind, **options):
    strategy = make(SourceOnly, kind, **options)
    train(strategy, {"source": domain()}, steps=100)
    return strategy


@pytest.fixture(scope="module")
def trained():
    return {kind: fit(kind) for kind in ("bottleneck", "concat-transformer")}


def stream(rows, size=32):
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).split(size)
    truth = torch.from_numpy(rows.hidden)
    return [{n: x[at] for n, x in rows.inputs.items()} for at in order], [truth[at] for at in order]


@pytest.mark.parametrize("kind", ["bottleneck", "concat-transformer"])
def test_it_helps_where_a_modality_fails(trained, kind):
    model, gains = trained[kind].deployed().eval(), []
    for name in ("image", "audio"):
        rows = domain(seed=100, n=ROWS).corrupted(name, 4.0)
        frozen = accuracy(trained[kind], rows)
        gains.append(online(model, READ, *stream(rows), lr=FAST).online_accuracy - frozen)
        # at the rate of large pretrained models it changes next to nothing here
        assert abs(online(model, READ, *stream(rows)).online_accuracy - frozen) < 0.02
    assert min(gains) > -0.01
    assert sum(gains) / 2 > 0.002


def test_it_does_no_harm_where_nothing_fails(trained):
    rows = domain(seed=100, n=ROWS)
    frozen = accuracy(trained["bottleneck"], rows)
    assert online(trained["bottleneck"].deployed(), READ, *stream(rows), lr=FAST).online_accuracy > frozen - 0.02


def test_attention_leaves_what_fails(trained):
    """The share of attention to the corrupted modality falls. It is that of the reading query."""
    model = trained["concat-transformer"].deployed().eval()
    rows = domain(seed=100, n=ROWS).corrupted("image", 4.0)
    method = make_method(READ, model, {"lr": FAST})

    def share(network):
        seen = []
        handle = network.encoder.backbone.fusion.reader.attention.map.register_forward_hook(
            lambda m, a, out: seen.append(out)
        )
        with torch.no_grad():
            network(rows.inputs)
        handle.remove()
        return seen[0][..., :4].sum(-1).mean().item()  # the image's tokens come first

    before = share(method.model)
    for inputs in stream(rows)[0]:
        method.predict(inputs)
    assert share(method.model) < before - 0.003


def test_queries_keys_and_values_move_and_nothing_else(trained):
    model = trained["bottleneck"].deployed().eval()
    method = READ(model)
    before = {name: value.clone() for name, value in method.model.state_dict().items()}
    rows = domain(seed=5, n=64)
    method.predict(rows.inputs)
    moved = {name for name, value in method.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(".attention." in name and name.split(".")[-2] in ("q", "k", "v") for name in moved)
    assert {name.split(".")[3] for name in moved} == {"blocks", "reader"}
    method.reset()
    assert all(torch.equal(value, before[name]) for name, value in method.model.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_first_batch_is_predicted_by_the_model_as_it_was(trained):
    model, rows = trained["bottleneck"].deployed().eval(), domain(seed=5, n=64)
    with torch.no_grad():
        expected = model(rows.inputs)
    assert torch.allclose(READ(model).predict(rows.inputs), expected, atol=1e-6)


def test_an_absent_modality_is_told_among_the_inputs(trained):
    model, rows = trained["bottleneck"].deployed().eval(), domain(seed=5, n=64)
    present = torch.zeros(64, dtype=torch.bool)
    with torch.no_grad():
        expected = model(rows.inputs, {"audio": present})
    assert torch.allclose(READ(model).predict(rows.inputs | {"audio.present": present}), expected, atol=1e-6)
    assert not torch.allclose(READ(model).predict(rows.inputs), expected, atol=1e-3)


def test_the_loss_by_hand(trained):
    """Two rows, p = 0.8 and 0.3 (of four classes): mean of -p log p, less the entropy of the mean prediction."""
    method, seen = READ(trained["bottleneck"].deployed()), []
    method.descend = seen.append
    p = torch.tensor([[0.8, 0.1, 0.05, 0.05], [0.3, 0.3, 0.2, 0.2]])
    method.update({}, p.log())
    reliable = -(0.8 * math.log(0.8) + 0.3 * math.log(0.3)) / 2
    mean = p.mean(0)
    assert seen[0].item() == pytest.approx(reliable + (mean * mean.log()).sum().item(), abs=1e-5)


def test_sure_predictions_get_surer_and_unsure_ones_less_sure():
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0]], requires_grad=True)
    method = READ.__new__(READ)
    method.options, method.stats = READ.Options(balance=0.0), type("S", (), {"learnt": 0})
    method.descend = lambda loss: loss.backward()
    method.update({}, logits)
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]


@pytest.mark.parametrize("kind", ["late", "concat-mlp"])
def test_a_model_without_attention_between_modalities_is_refused(kind):
    with pytest.raises(HubtlError, match="attention that fuses"):
        READ(make(SourceOnly, kind).deployed())
    with pytest.raises(HubtlError, match="attention that fuses"):
        READ(nn.Linear(2, 2))
