"""Decisions: each open key is decided once and for a reason, and what was given stays."""

import json
from typing import Any

import pytest

from hubtl.cli.show import plan
from hubtl.recipe.reading import parse
from hubtl.record import RunRecord
from hubtl.run.decisions import Decisions
from hubtl.run.plan import facts
from tests.run.decided import ALONE, FILE, PAIR, RECIPES, data, prepared, resolved

KNOWN = json.loads(FILE.read_text(encoding="utf-8"))
LENET = {"name": "lenet", "pretrained": False}
DIGITS = {"model": LENET, "source": "builtin:digits/mnist", "target": "builtin:digits/uci"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data(tmp_path_factory.mktemp("data"))


def flat(raw: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted keys; what has none is left out."""
    found = {}
    for key, value in raw.items():
        if isinstance(value, dict):
            found |= {f"{key}.{below}": item for below, item in flat(value).items()}
        elif value is not None:
            found[key] = value
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_recipe_is_decided_as_it_was_and_every_decision_has_a_reason(name, root):
    run = prepared(name, root)
    now = resolved(run, root)
    assert now == KNOWN[name]
    was = flat(parse(RECIPES[name]).model_dump(mode="json"))
    after, decided = flat(now), {decision.key: decision for decision in run.decisions}
    assert len(decided) == len(run.decisions)
    assert {key for key in after if after[key] != was.get(key)} <= decided.keys(), "a key changed for no reason"
    for key, decision in decided.items():
        assert after[key] == decision.value
        assert len(decision.because.split()) >= 3
        assert "None" not in decision.because
    given = flat(parse(RECIPES[name]).model_dump(mode="json", exclude_unset=True))
    assert not given.keys() & decided.keys(), "what was given was decided"
    assert not any(Decisions(parse(now)).is_open(key) for key in decided), "a resolved recipe leaves it open"


def test_the_recorded_recipes_differ():
    assert len({json.dumps(known) for known in KNOWN.values()}) == len(RECIPES) >= 8


def test_a_later_decision_replaces_an_earlier_one_and_what_is_given_stays():
    decisions = Decisions(parse({**PAIR, "optim": {"lr": 0.5}}))
    decisions.decide_all({"optim.lr": 0.1, "optim.schedule": "cosine"}, "first of all")
    decisions.decide("optim.schedule", "step", "on second thoughts")
    decisions.fill("optim.schedule", "constant", "for want of another")
    decisions.fill("run.steps", 7, "for want of another")
    assert [(d.key, d.value, d.because) for d in decisions.made] == [
        ("optim.schedule", "step", "on second thoughts"),
        ("run.steps", 7, "for want of another"),
    ]
    optim = decisions.recipe.optim
    assert (optim.lr, optim.schedule, decisions.recipe.run.steps) == (0.5, "step", 7)
    assert decisions.given.optim.schedule is None


def test_steps_stand_in_for_epochs():
    decisions = Decisions(parse({**ALONE, "run": {"epochs": 3}}))
    decisions.replace("run.epochs", by="run.steps")
    assert decisions.recipe.run.epochs == 3, "nothing says the same yet"
    decisions.fill("run.steps", 30, "3 epochs of 10 updates")
    decisions.replace("run.epochs", by="run.steps")
    assert (decisions.recipe.run.steps, decisions.recipe.run.epochs) == (30, None)


def test_options_of_a_strategy_are_open_one_by_one():
    decisions = Decisions(parse({**PAIR, "strategy": {"name": "shot", "options": {"min_count": 3}}}))
    assert not decisions.is_open("strategy.options.min_count")
    assert decisions.is_open("strategy.options.diversity_weight")


def test_the_record_keeps_the_decisions_and_one_without_them_loads(root, tmp_path):
    record = facts(prepared("auto, transfer", root), "hubtl adapt")
    record.save(tmp_path)
    kept = RunRecord.load(tmp_path)
    assert kept.decisions == record.decisions
    assert kept.decisions[0].because == "the target is labelled and there is no source"
    older = json.loads(record.to_json())
    del older["decisions"]
    assert RunRecord.model_validate(older).decisions == []


@pytest.mark.parametrize("columns", [80, 120])
def test_a_dry_run_says_why_in_aligned_columns(columns, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    plan(parse({**DIGITS, "optim": {"lr": 0.1}}), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("decided    what the recipe leaves open, and why") + 1 : -1]
    assert max(map(len, table)) <= columns
    assert not any(line.startswith("  optim.lr ") for line in table), "what was given needs no reason"
    row = next(line for line in table if line.startswith("  optim.schedule"))
    assert row.split(maxsplit=2) == ["optim.schedule", "inverse-decay", "a default of mcc+adamatch"]
    column = row.index("a default of mcc")
    assert all(line[column - 1] == " " and line[column] != " " for line in table)


def test_a_dry_run_in_json_lists_key_value_and_reason(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    plan(parse({**DIGITS, "strategy": "coral"}), as_json=True)
    decided = {item["key"]: item for item in json.loads(capsys.readouterr().out)["decisions"]}
    assert decided["run.validator"] == {
        "key": "run.validator",
        "value": "ensemble",
        "because": "the target is unlabelled, so several label-free scores vote",
    }
    assert "strategy.name" not in decided
