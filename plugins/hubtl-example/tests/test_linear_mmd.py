"""The loss is its formula, the gap closes, and runs work. A whole run uses the registered name."""

from types import SimpleNamespace

import pytest
import torch
from hubtl_example import LinearMMD
from torch import nn

import hubtl
from hubtl import Batch, Features, Progress
from hubtl.modules import Bottleneck, Encoder
from hubtl.tasks.classification import Classification
from hubtl.testing import check

START = Progress(phase=0, epoch=0, step=0, fraction=0.0)


class Pass(nn.Module):
    """A backbone that hands its input on."""

    info = SimpleNamespace(width=2)

    def forward(self, inputs, present=None):
        return Features(inputs["image"])


def build(bottleneck=None, **options):
    torch.manual_seed(0)
    task = Classification(["a", "b"])
    encoder = Encoder(Pass(), bottleneck)
    return LinearMMD(encoder, task.head(encoder.width), task, LinearMMD.Options(**options))


def step(strategy, source, target):
    labels = torch.arange(len(source)) % 2
    (loss,) = strategy.step(source=Batch({"image": source}, labels), target=Batch({"image": target}), at=START)
    return loss


def test_conformance():
    check(LinearMMD)


def test_the_gap_by_hand():
    """Means (1, 2) and (4, 6): 3² + 4²."""
    loss = step(build(weight=0.5), torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[4.0, 6.0]]))
    assert loss.logs["gap"].item() == pytest.approx(25)
    assert loss.total.item() == pytest.approx(loss.logs["task"].item() + 0.5 * 25, rel=1e-5)


def test_a_bottlenecks_batchnorm_does_not_hide_the_gap():
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(32, 2, generator=generator), torch.randn(32, 2, generator=generator) + 5
    assert step(build(Bottleneck(2, 4)), source, target).logs["gap"] > 1


def test_training_closes_the_gap():
    strategy = build(Bottleneck(2, 4), weight=1.0)
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(64, 2, generator=generator), torch.randn(64, 2, generator=generator) + 3
    optimizer = torch.optim.SGD(strategy.parameters(), lr=0.05)
    before = step(strategy, source, target).logs["gap"].item()
    for _ in range(100):
        optimizer.zero_grad()
        step(strategy, source, target).total.backward()
        optimizer.step()
    assert step(strategy, source, target).logs["gap"].item() < 0.3 * before


def test_a_run_under_the_registered_name(tmp_path):
    result = hubtl.adapt(
        model="lenet",
        pretrained=False,
        source_dataset="builtin:digits/mnist",
        target_dataset="builtin:digits/uci",
        strategy="linear-mmd",
        steps=5,
        output_dir=str(tmp_path / "run"),
        options={"weight": 0.5, "run.plots": False},
    )
    assert (result.record.strategy_package, result.record.strategy_options) == ("hubtl-example", {"weight": 0.5})
    assert result.record.training.steps == 5
    assert hubtl.load(tmp_path / "run").classes == [str(digit) for digit in range(10)]
