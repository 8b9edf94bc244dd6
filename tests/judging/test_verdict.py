"""Adapted or source-only: three answers, the rails before them, and what is shipped then."""

import json
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

import hubtl
from hubtl import plugins
from hubtl.card import metadata
from hubtl.data.features import FeatureSet
from hubtl.judging.disagreement import disagreement
from hubtl.judging.judge import some, voters_on
from hubtl.judging.validators import Validator
from hubtl.judging.verdict import ROWS, verdict
from hubtl.models.saved import load
from hubtl.modules import Classifier, Encoder
from hubtl.record import Evaluation, Verdict
from hubtl.strategies.mcc import MCC
from hubtl.strategies.shot import SHOT
from hubtl.tasks.classification import Classification
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.regression import Regression

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
    "source_split": "train[:200]",
    "target_split": "train[:200]",
    "target_eval_split": "test[:150]",
    "options": {"run.plots": False, "source.eval_split": "test[:150]"},
    "steps": 12,
}


def figures(source=0.9, collapse=None, **scores):
    return Evaluation(n=100, accuracy=0.5, source_accuracy=source, scores=scores, collapse=collapse)


def test_scores_have_no_vote():
    before = figures(a=1.0, b=1.0, c=1.0)
    for after in (figures(a=2.0, b=2.0, c=2.0), figures(a=0.0, b=0.0, c=0.0)):
        found = verdict(before, after)
        assert found.answer == "undecided"
        assert found.rows > 0
        assert found.brief == f"undecided, label {found.rows} rows to decide"


def test_models_that_answer_alike_leave_nothing_to_label():
    found = verdict(figures(), figures(), disagreement=0.0, among=100)
    assert (found.answer, found.rows) == ("undecided", 0)
    assert "alike" in found.reason


def test_a_rail_against_a_model_that_answers_alike_leaves_nothing_to_label():
    for share, left in ((0.0, False), (0.1, True), (None, True)):  # None: in a record of an earlier hubtl
        assert verdict(figures(), figures(collapse="only 1 of 5"), disagreement=share, among=100).open is left


@pytest.mark.parametrize(
    ("share", "among", "rows"), [(0.5, 1000, ROWS), (0.1, 50, 5), (0.001, 50, 1), (None, 50, ROWS)]
)
def test_no_more_rows_are_to_be_labelled_than_the_models_disagree_on(share, among, rows):
    found = verdict(figures(), figures(), disagreement=share, among=among)
    assert (found.rows, found.disagreement) == (rows, share)


def test_disagreement_is_counted_on_the_targets_rows():
    """Two heads on the same features: one answers by the first feature, the other by the second."""
    features = torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    case, models = two_heads(features, Classification(["no", "yes"]))
    apart = disagreement(case, *models, Accelerator(cpu=True)).share
    seen = features[some(900)] > 0
    assert apart == pytest.approx(float((seen[:, 0] != seen[:, 1]).float().mean()))
    assert 0.3 < apart < 0.7
    assert disagreement(case, models[0], models[0], Accelerator(cpu=True)).share == 0


def two_heads(features, task):
    rows = FeatureSet(features.numpy(), None, "rows")
    case = SimpleNamespace(streams=SimpleNamespace(target_plain=rows), task=task)
    models = []
    for column in (0, 1):
        head = torch.nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            head.weight.zero_()
            head.weight[1, column] = 1.0
        backbone = torch.nn.Identity()
        backbone.info = SimpleNamespace(width=2)
        models.append(Classifier(Encoder(backbone), head))
    return case, models


def test_rows_of_several_classes_differ_where_any_class_does_and_numbers_where_they_are_not_equal():
    features = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    case, models = two_heads(features, MultiLabel(["red", "green"]))
    apart = disagreement(case, *models, Accelerator(cpu=True)).share  # red has no evidence in either; green has
    assert apart == pytest.approx(float(((features[:, 0] > 0) != (features[:, 1] > 0)).float().mean()))
    assert disagreement(case, models[0], models[0], Accelerator(cpu=True)).share == 0
    case, models = two_heads(features, Regression(["x", "y"]))
    assert disagreement(case, *models, Accelerator(cpu=True)).share == 1
    assert disagreement(case, models[1], models[1], Accelerator(cpu=True)).share == 0


def test_numbers_lie_apart_by_their_mean_difference_in_the_units_of_the_labels():
    features = torch.full((300, 2), 2.0)
    features[:, 1] = 0.5
    two = Regression(["x", "y"])
    case, models = two_heads(features, two)
    assert disagreement(case, *models, Accelerator(cpu=True)).gap == "0.00 (x), 1.50 (y)"
    two.outputs.details["unit"] = ["", "kg"]
    assert disagreement(case, *models, Accelerator(cpu=True)).gap == "0.00 (x), 1.50 kg (y)"
    case, models = two_heads(features, Classification(["no", "yes"]))
    assert disagreement(case, *models, Accelerator(cpu=True)).gap is None


@pytest.mark.parametrize(
    ("after", "why"),
    [(figures(source=0.79, a=9.0), "11.0 points"), (figures(collapse="only 1 of 5", a=9.0), "collapse")],
)
def test_rails_stand_against_the_adapted_model(after, why):
    found = verdict(figures(a=1.0), after, cost=Classification().cost)
    assert found.answer == "source-only"
    assert found.rail
    assert why in found.reason


def test_a_method_that_leaves_its_source_has_no_floor_there():
    before, after = figures(a=1.0), figures(source=0.2, a=2.0)
    assert verdict(before, after, cost=Classification().cost).answer == "source-only"
    assert verdict(before, after).answer == "undecided"
    assert SHOT.judging.forgets_source
    assert not {"dev", "reverse"} & set(voters_on(SHOT, Classification))
    assert set(voters_on(MCC, Classification)) == set(Classification.voters)


def test_accuracy_on_the_target_is_not_looked_at():
    good, bad = (figures(a=2.0).model_copy(update={"accuracy": value}) for value in (1.0, 0.0))
    assert verdict(figures(a=1.0), good) == verdict(figures(a=1.0), bad)


def test_votes_of_earlier_records_prove_nothing():
    vote = {"adapted": False, "reason": "none for the adapted model; dev for source-only", "scores": {"dev": [0, -1]}}
    found = Verdict.model_validate(vote)
    assert found.answer == "undecided"
    assert "dev for source-only" in found.reason
    assert Verdict.model_validate({**vote, "tried": "mcc"}).answer == "source-only"
    assert Verdict.model_validate({**vote, "rail": True, "reason": "collapse"}).answer == "source-only"
    assert Verdict.model_validate({**vote, "adapted": True}).answer == "undecided"
    assert Verdict.model_validate(found.model_dump()) == found


def test_no_voter_reads_target_labels_and_every_abstention_names_one():
    rules: dict[str, type[Validator]] = {name: plugins.load("validators", name) for name in Classification.voters}
    assert not any("target_labels" in rule.reads for rule in rules.values())
    for entry in plugins.entries("strategies").values():
        if entry.builtin:
            assert set(entry.load().judging.improves) <= {*rules, *Classification.scores}, entry.name


def scripted(monkeypatch, adapted):
    """The verdict is what the test wants; everything else is real."""
    from hubtl.run import adapt as run

    def said(before, after, **known):
        found = verdict(before, after)
        answer = "undecided" if adapted else "source-only"
        return found.model_copy(update={"answer": answer, "rail": not adapted, "reason": "the test says so"})

    monkeypatch.setattr(run, "verdict", said)


@pytest.mark.slow
def test_auto_keeps_source_only_where_a_rail_stands_against_the_adapted_model(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    options = {**DIGITS["options"], "run.fallback": True}  # as auto does
    run = hubtl.adapt(**{**DIGITS, "options": options}, strategy="mcc", hedge=0.5, output_dir=str(tmp_path / "auto"))
    record = run.record
    alone = hubtl.adapt(**DIGITS, strategy="source-only", output_dir=str(tmp_path / "alone"))
    assert record.strategy == "source-only"
    assert record.verdict.tried == "mcc"
    assert record.adapted.accuracy == record.source_only.accuracy == alone.record.adapted.accuracy
    assert record.verdict.dropped.accuracy != record.adapted.accuracy
    auto, only = ((r.output_dir / "model.safetensors").read_bytes() for r in (run, alone))
    assert auto == only
    assert load(run.output_dir).classes == record.classes
    card = (run.output_dir / "README.md").read_text()
    assert "`mcc` was tried and dropped" in card
    assert "the test says so" in card
    assert json.loads((run.output_dir / "hubtl.json").read_text())["strategy"] == "source-only"
    shown = metadata.of(record, repo="user/digits")
    assert metadata.problems(shown) == []
    # the saved recipe says how the run was decided: running it again decides the same
    again = hubtl.adapt(str(run.output_dir / "recipe.yaml"), output_dir=str(tmp_path / "again"))
    assert (again.output_dir / "model.safetensors").read_bytes() == auto


@pytest.mark.slow
def test_auto_keeps_the_source_only_that_saw_the_views_of_what_was_tried(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    run = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "auto"))
    assert (run.record.strategy, run.record.verdict.tried) == ("source-only", "mcc+adamatch")
    assert run.record.adapted.accuracy == run.record.source_only.accuracy
    again = hubtl.adapt(str(run.output_dir / "recipe.yaml"), output_dir=str(tmp_path / "again"))
    shipped, repeated = ((r.output_dir / "model.safetensors").read_bytes() for r in (run, again))
    assert shipped == repeated


@pytest.mark.slow
def test_a_method_asked_for_by_name_is_shipped_with_the_doubt(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    record = hubtl.adapt(**DIGITS, strategy="mcc", output_dir=str(tmp_path / "run")).record
    assert record.strategy == "mcc"
    assert record.verdict.tried is None
    assert any("the test says so" in warning for warning in record.warnings)


@pytest.mark.slow
def test_auto_ships_the_adapted_model_where_no_rail_stands_against_it(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=True)
    record = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "run")).record
    assert record.strategy == "mcc+adamatch"
    assert record.strategy_reason
    assert not any("the test says so" in warning for warning in record.warnings)


@pytest.mark.slow
def test_a_resumed_auto_run_ends_the_same(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    from hubtl.run import adapt as story

    deliver = story.export.write

    def broken(*args):
        raise RuntimeError("the power went")

    monkeypatch.setattr(story.export, "write", broken)
    with pytest.raises(RuntimeError):
        hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "run"))
    monkeypatch.setattr(story.export, "write", deliver)
    again = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "run"), resume=True)
    whole = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "whole"))
    weights = [(r.output_dir / "model.safetensors").read_bytes() for r in (again, whole)]
    assert weights[0] == weights[1]
    assert again.record.verdict == whole.record.verdict


def test_methods_that_optimise_a_voter_say_so():
    assert "infomax" in MCC.judging.improves


@pytest.mark.parametrize(("share", "answer"), [(0.54, "source-only"), (0.56, "undecided"), (None, "undecided")])
def test_what_knows_the_source_less_than_halfway_from_chance_does_not_label_a_target(share, answer):
    """Of ten classes: 55 % is halfway between a tenth and all."""
    task = Classification([str(i) for i in range(10)])
    found = verdict(figures(source=share), figures(source=share), unlearned=task.unlearned)
    assert found.answer == answer
    assert found.rail == (answer == "source-only")
