"""Adapted or source-only: who votes, what no vote can open, and what is shipped then."""

import json

import pytest

import hubtl
from hubtl import plugins
from hubtl.card import metadata
from hubtl.judging.judge import voters_on
from hubtl.judging.validators import Validator
from hubtl.judging.verdict import verdict
from hubtl.models.saved import load
from hubtl.record import Evaluation
from hubtl.strategies.mcc import MCC
from hubtl.strategies.shot import SHOT
from hubtl.tasks.classification import Classification

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


def test_the_majority_decides():
    before = figures(a=1.0, b=1.0, c=1.0)
    assert verdict(before, figures(a=2.0, b=2.0, c=0.0), "abc").adapted
    found = verdict(before, figures(a=2.0, b=0.0, c=0.0), "abc")
    assert not found.adapted
    assert found.reason == "a for the adapted model; b, c for source-only"
    assert found.scores == {"a": [1.0, 2.0], "b": [1.0, 0.0], "c": [1.0, 0.0]}


def test_a_tie_is_source_onlys_and_equal_scores_are_no_vote():
    before = figures(a=1.0, b=1.0)
    assert not verdict(before, figures(a=2.0, b=0.5), "ab").adapted
    assert not verdict(before, before, "ab").adapted
    assert verdict(before, figures(a=2.0, b=1.0), "ab").adapted


@pytest.mark.parametrize(
    ("after", "liked"), [(2.0, "prefers the adapted model"), (0.0, "prefers source-only"), (1.0, "sees no difference")]
)
def test_one_score_alone_is_said_to_decide(after, liked):
    found = verdict(figures(dev=1.0, b=1.0), figures(dev=after, b=2.0), ("dev", "b"), abstain="b")
    assert found.reason == f"the one score that reads no target label (dev) {liked}"
    assert found.alone == "dev"
    assert verdict(figures(dev=1.0), figures(dev=2.0, collapse="one answer"), ["dev"]).alone is None


def test_what_the_method_improves_by_itself_has_no_vote():
    before, after = figures(a=1.0, b=1.0, c=1.0), figures(a=2.0, b=2.0, c=0.0)
    found = verdict(before, after, "abc", abstain="ab")
    assert not found.adapted
    assert found.abstained == ["a", "b"]


@pytest.mark.parametrize(
    ("after", "why"),
    [(figures(source=0.79, a=9.0), "11.0 points"), (figures(collapse="only 1 of 5", a=9.0), "collapse")],
)
def test_rails_stand_before_every_vote(after, why):
    found = verdict(figures(a=1.0), after, "a", cost=Classification().cost)
    assert not found.adapted
    assert why in found.reason


def test_a_method_that_leaves_its_source_has_no_floor_there():
    before, after = figures(a=1.0), figures(source=0.2, a=2.0)
    assert not verdict(before, after, "a", cost=Classification().cost).adapted
    assert verdict(before, after, "a").adapted
    assert SHOT.judging.forgets_source
    assert not {"dev", "reverse"} & set(voters_on(SHOT, Classification))
    assert set(voters_on(MCC, Classification)) == set(Classification.voters)


def test_accuracy_on_the_target_is_not_looked_at():
    good, bad = (figures(a=2.0).model_copy(update={"accuracy": value}) for value in (1.0, 0.0))
    assert verdict(figures(a=1.0), good, "a") == verdict(figures(a=1.0), bad, "a")


def test_no_voter_reads_target_labels_and_every_abstention_names_one():
    rules: dict[str, type[Validator]] = {name: plugins.load("validators", name) for name in Classification.voters}
    assert not any("target_labels" in rule.reads for rule in rules.values())
    for entry in plugins.entries("strategies").values():
        if entry.builtin:
            assert set(entry.load().judging.improves) <= set(rules), entry.name


def scripted(monkeypatch, adapted):
    """The voters say what the test wants them to; everything else is real."""
    from hubtl.run import adapt as run

    def said(before, after, voters, abstain=(), comparable=True, cost=None):
        found = verdict(before, after, voters, abstain)
        return found.model_copy(update={"adapted": adapted, "reason": "the test says so"})

    monkeypatch.setattr(run, "verdict", said)


@pytest.mark.slow
def test_auto_keeps_source_only_where_nothing_is_for_the_adapted_model(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    run = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "auto"))
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
def test_a_method_asked_for_by_name_is_shipped_with_the_doubt(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=False)
    record = hubtl.adapt(**DIGITS, strategy="mcc", output_dir=str(tmp_path / "run")).record
    assert record.strategy == "mcc"
    assert record.verdict.tried is None
    assert any("the vote of label-free scores" in warning for warning in record.warnings)


@pytest.mark.slow
def test_auto_ships_the_adapted_model_where_the_vote_is_for_it(monkeypatch, tmp_path):
    scripted(monkeypatch, adapted=True)
    record = hubtl.adapt(**DIGITS, output_dir=str(tmp_path / "run")).record
    assert record.strategy == "mcc"
    assert record.strategy_reason
    assert not any("the vote of label-free scores" in warning for warning in record.warnings)


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
