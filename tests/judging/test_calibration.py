"""A temperature makes a head as sure as it is right; several heads in one layer have one each."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hubtl
from hubtl.errors import HubtlError
from hubtl.strategies.finetune import Finetune
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Judging
from hubtl.tasks.classification.temperature import fit


def rows(n=4000, sure=1.0, seed=0):
    """Features whose first two columns are the log-odds of two classes. Labels are drawn by them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator)
    labels = torch.multinomial((sure * x).softmax(dim=1), 1, generator=generator)[:, 0]
    return x, labels


def identity(scale=1.0, width=2):
    head = nn.Linear(width, 2)
    nn.init.zeros_(head.bias)
    with torch.no_grad():
        head.weight.copy_(scale * torch.eye(2).repeat(1, width // 2))
    return head


@pytest.mark.parametrize("sure", [0.25, 1.0, 4.0])
def test_the_temperature_that_drew_the_labels_is_found(sure):
    x, labels = rows(sure=sure)
    head = identity()
    factors, before, after = fit(head, x, labels, {"head": slice(0, 2)})
    assert factors["head"] == pytest.approx(sure, rel=0.15)
    assert after <= before
    assert F.cross_entropy(head(x), labels).item() == pytest.approx(after, abs=1e-5)


def test_one_temperature_changes_no_prediction():
    x, labels = rows(sure=0.3)
    head = identity(5.0)
    nn.init.constant_(head.bias, 0.2)
    before = head(x).argmax(dim=1)
    fit(head, x, labels, {"head": slice(0, 2)})
    assert torch.equal(head(x).argmax(dim=1), before)


def test_a_head_that_says_nothing_true_is_turned_down_beside_one_that_does():
    x, labels = rows()
    noise = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(5))
    head = identity(1.0, 4)
    both = torch.cat([x, noise], dim=1)
    before = (head(both).argmax(dim=1) == labels).float().mean()
    factors, _, _ = fit(head, both, labels, {"one": slice(0, 2), "other": slice(2, 4)})
    assert factors["one"] == pytest.approx(1.0, abs=0.2)
    assert factors["other"] < 0.15
    assert (head(both).argmax(dim=1) == labels).float().mean() > before + 0.05


def test_rows_that_are_told_apart_without_an_error_leave_the_head_alone_or_better():
    x = torch.tensor([[3.0, 0.0], [0.0, 3.0]]).repeat(20, 1)
    labels = torch.tensor([0, 1]).repeat(20)
    head = identity()
    _, before, after = fit(head, x, labels, {"head": slice(0, 2)})
    assert after <= before
    assert head.weight.isfinite().all()


@pytest.mark.slow
def test_a_run_ships_the_calibrated_head_and_says_so(tmp_path):
    common = {"model": "lenet", "pretrained": False, "source_dataset": "builtin:digits/mnist", "seed": 0, "steps": 30}
    common |= {"target_dataset": "builtin:digits/uci", "strategy": "source-only", "lr": 0.1}
    figures = {}
    for calibrated in (False, True):
        folder = tmp_path / str(calibrated)
        options = {"run.plots": False, "run.calibrate": calibrated}
        figures[calibrated] = hubtl.adapt(output_dir=str(folder), options=options, **common).record
    found = figures[True].calibration
    assert figures[False].calibration is None
    assert found.loss_after < found.loss_before
    assert figures[True].adapted.accuracy == figures[False].adapted.accuracy
    card = (tmp_path / "True" / "README.md").read_text()
    assert f"divided by {found.temperatures['head']:.2f}" in card
    images = torch.rand(4, 1, 28, 28)
    logits = {c: hubtl.load(tmp_path / str(c)).classifier.cpu()({"image": images}) for c in (False, True)}
    assert torch.allclose(logits[True] * found.temperatures["head"], logits[False], atol=1e-4)


def test_without_labelled_rows_there_is_nothing_to_calibrate_on(tmp_path):
    with pytest.raises(HubtlError, match="no labelled rows to calibrate on") as caught:
        hubtl.adapt(
            model="lenet",
            pretrained=False,
            target_dataset="builtin:digits/uci",
            strategy="finetune",
            output_dir=str(tmp_path / "run"),
            options={"run.calibrate": True},
        )
    assert "data.hold_out" in caught.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_strategy_may_ask_for_temperatures_where_there_are_rows_to_fit_them_on(tmp_path, monkeypatch):
    monkeypatch.setattr(SourceOnly, "judging", Judging(calibrated=True))
    monkeypatch.setattr(Finetune, "judging", Judging(calibrated=True))
    common = {"model": "lenet", "pretrained": False, "target_dataset": "builtin:digits/uci", "steps": 3}
    common |= {"target_split": "train[:200]", "target_eval_split": "test[:100]", "options": {"run.plots": False}}
    source = {"source_dataset": "builtin:digits/mnist", "strategy": "source-only"}
    found = hubtl.adapt(output_dir=str(tmp_path / "one"), **source, **common).record
    assert found.recipe["run"]["calibrate"] is True
    assert found.calibration is not None
    found = hubtl.adapt(
        output_dir=str(tmp_path / "two"), strategy="finetune", **common
    ).record  # and no row is held out
    assert found.recipe["run"]["calibrate"] is False
    assert found.calibration is None
