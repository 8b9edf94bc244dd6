"""Accuracy without labels: confidence optimal transport, what is kept of the source for it, and where it is said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hubtl
from hubtl.card import render
from hubtl.record import Estimate, RunRecord
from hubtl.studies.evaluate import later
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification import estimate as cot
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.regression import Regression
from tests.tiny import hubtl_command

DIGITS = "builtin:digits/mnist"
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "shipping.jsonl"


def drawn(n: int, right: float, seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, c] of rows with the right confidence. They are answered rightly as often as ``right``."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    answers = np.where(rng.random(n) < right, labels, (labels + rng.integers(1, classes, n)) % classes)
    p = np.full((n, classes), (1 - right) / (classes - 1))
    p[np.arange(n), answers] = right
    return np.log(p), labels


def off(estimate: Estimate) -> dict[str, float]:
    return {"error": estimate.error, "reach": estimate.reach}


def test_the_estimate_of_two_rows_is_that_of_the_formula():
    """Both mass 1/2: the cheapest way to (1/2, 1/2) costs 0.1 for the first row and 0.4 for the second."""
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6]]))
    kept = {"rows": 9, "factor": 1.0, "overstated": 0.05, "shares": [0.5, 0.5]}
    found = cot.estimate([(logits, kept)], adapted=False)
    assert found.value == pytest.approx(1 - (0.5 * 0.1 + 0.5 * 0.4) - 0.05)


def test_errors_are_those_of_the_benchmarks_on_as_many_rows_and_grow_as_rows_get_few():
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    assert min(line["rows"] for line in lines if "estimate" in line) == cot.FEWEST
    kept = {"rows": 5000, "factor": 1.0, "overstated": 0.0, "shares": [0.1] * 10}
    logits, _ = drawn(2000, 0.8, classes=10)
    found = {n: cot.estimate([(logits[:n], kept)], adapted=False) for n in (6, 30, 120, 500, 2000)}
    assert off(found[500]) == off(found[2000]) == cot.measured()["source-only"]
    assert found[120].error < found[30].error < found[6].error
    wider = [found[n].error ** 2 - found[500].error ** 2 for n in (30, 120)]
    per_row = [1 / n - 1 / cot.FEWEST for n in (30, 120)]
    assert wider[0] / wider[1] == pytest.approx(per_row[0] / per_row[1])
    assert [found[n].tells for n in (6, 120)] == [False, True]
    few = cot.estimate([(logits, {**kept, "rows": 8})], adapted=False)
    assert not few.tells, "few held-out rows of the source"


@pytest.mark.parametrize("n", [20, 60, 200])
def test_errors_on_few_rows_are_as_large_as_they_turn_out(n):
    kept = {"rows": 5000, "factor": 1.0, "overstated": 0.0, "shares": [0.1] * 10}
    logits, labels = drawn(6000, 0.8, classes=10)
    right, errors = logits.argmax(axis=1) == labels, []
    for start in range(0, 40 * n, n):
        rows = slice(start % 5000, start % 5000 + n)
        found = cot.estimate([(logits[rows], kept)], adapted=False)
        errors.append(abs(found.value - right[rows].mean()))
    assert np.mean(errors) < found.error
    assert np.mean(np.array(errors) < found.reach) > 0.9


def test_rows_that_all_look_like_one_class_cost_what_the_prior_says():
    kept = {"rows": 9, "factor": 1.0, "overstated": 0.0, "shares": [0.25, 0.75]}
    logits = np.tile([30.0, 0.0], (100, 1))
    assert cot.estimate([(logits, kept)]).value == pytest.approx(0.25)


def test_without_a_shift_the_estimate_is_the_accuracy():
    source, labels = drawn(3000, 0.7)
    target, truth = drawn(3000, 0.7, seed=1)
    kept = cot.gauge(3 * source, labels)  # three times too sure: the temperature takes it back
    assert kept["factor"] == pytest.approx(1 / 3, abs=0.03)
    measured = (target.argmax(axis=1) == truth).mean()
    assert cot.estimate([(3 * target, kept)]).value == pytest.approx(measured, abs=0.03)


def test_a_model_that_contradicts_the_first_lowers_its_estimate():
    kept = {"rows": 900, "factor": 1.0, "overstated": 0.0, "shares": [0.5, 0.5]}
    sure = np.array([[6.0, 0.0], [0.0, 6.0]] * 300)
    other = np.array([[6.0, 0.0], [6.0, 0.0]] * 300)
    alone, both = cot.estimate([(sure, kept)]), cot.estimate([(sure, kept), (other, kept)])
    assert both.value < alone.value - 0.2
    assert off(both) == cot.measured()["adapted, beside source-only"]
    assert off(alone) == cot.measured()["adapted"]


def test_what_is_kept_of_the_source_is_plain_and_small():
    logits, labels = drawn(500, 0.8, classes=7)
    kept = cot.gauge(logits, labels)
    assert len(json.dumps(kept)) < 300
    assert json.loads(json.dumps(kept)) == kept
    assert cot.gauge(logits, np.full(500, -1)) is None


def test_tasks_without_an_estimate_give_none():
    for task in (Regression(["y"]), MultiLabel(["a", "b"])):
        assert task.gauge(torch.zeros(3, 2), np.zeros((3, 2))) is None
        assert task.estimate([(torch.zeros(3, 2), {})]) is None
    opened = Classification(["a", "b", "unknown"])
    opened.unknown = 2
    assert opened.gauge(torch.zeros(3, 3), np.zeros(3, dtype=int)) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    return hubtl.adapt(
        model="lenet",
        pretrained=False,
        source_dataset=DIGITS,
        target_dataset="builtin:digits/uci",
        strategy="coral",
        steps=60,
        lr=0.05,
        output_dir=str(folder),
        options={"run.plots": False, "run.keep_source_only": True},
    )


def test_a_run_estimates_both_models_and_its_card_says_what_it_is(run):
    before, after = run.record.source_only.estimate, run.record.adapted.estimate
    assert off(before) == cot.measured()["source-only"]
    assert off(after) == cot.measured()["adapted, beside source-only"]
    again = RunRecord.load(run.output_dir)
    assert again.adapted.estimate == after
    bound = again.adapted.bound
    assert bound.beat == before.value
    assert bound.value < run.record.adapted.value
    assert run.summary()["target"]["adapted"]["bound"]["value"] == bound.value
    assert again.source_only.bound is None
    text = render(again)
    assert re.search(r"\*\*Estimate\*\*, by COT.*`coral` ≈ \d+ ± \d+%.*no measurement", text)


def test_unlabelled_rows_have_an_estimate_in_place_of_figures(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(30):
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    found = later(str(run.output_dir), str(tmp_path))
    assert found.figures.value is None
    assert found.figures.estimate.rows == found.figures.n == 30
    code, out, _ = hubtl_command(["evaluate", str(run.output_dir), "--dataset", str(tmp_path)], capsys)
    assert code == 0
    assert re.search(r"accuracy ≈ \d+ ± \d+% \(estimate, no label read", out)


def test_a_few_unlabelled_rows_are_too_few_for_an_estimate(run, tmp_path, capsys):
    for name in "abcdef":
        Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    code, out, err = hubtl_command(["evaluate", str(run.output_dir), "--dataset", str(tmp_path)], capsys)
    assert (code, out) == (2, "")
    assert "no labels to evaluate against, and 6 rows are too few for an estimate: it would be" in err


def test_a_model_that_kept_nothing_of_a_source_asks_for_labels(run, tmp_path, capsys):
    for name in "abcdefgh":
        Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    alone = run.output_dir / "source-only"  # without a record
    code, _, err = hubtl_command(["evaluate", str(alone), "--dataset", str(tmp_path)], capsys)
    assert code == 2
    assert "no labels to evaluate against" in err
