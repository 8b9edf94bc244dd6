"""``hubtl show RUN`` prints a run's figures, or a saved model's facts."""

import json
from pathlib import Path

import pytest

from hubtl.record import RunRecord
from hubtl.run.result import Result
from tests.tiny import hubtl_command

CARDS = Path(__file__).parents[2] / "model_cards"


@pytest.mark.parametrize("name", ["digits-mcc", "digits-shot", "digits-test-time", "pacs-linear-probe"])
def test_a_run_is_shown_with_its_plan_and_figures(name, tmp_path, capsys):
    record = RunRecord.load(CARDS / name)
    record.save(tmp_path)
    code, out, _ = hubtl_command(["show", str(tmp_path)], capsys)
    assert code == 0
    assert f"strategy   {record.strategy}" in out
    assert f"{100 * record.adapted.primary.value:.1f} %" in out
    assert f"hubtl push {tmp_path} user/repo" in out
    code, out, _ = hubtl_command(["show", str(tmp_path), "--json"], capsys)
    assert (code, json.loads(out)) == (0, Result(tmp_path, record).summary())


def test_an_unfinished_run_is_shown_with_the_command_that_continues_it(tmp_path, capsys):
    record = RunRecord.load(CARDS / "digits-shot")
    record.status, record.adapted, record.source_only = "running", None, None
    record.save(tmp_path)
    code, out, _ = hubtl_command(["show", str(tmp_path)], capsys)
    assert code == 0
    assert out.splitlines()[-1] == f"not finished; continue with: hubtl adapt --resume --output-dir {tmp_path}"


def test_a_saved_model_is_shown_with_its_facts(tmp_path, capsys):
    facts = {"architecture": "lenet", "classes": list("abcdefghijklmn"), "modalities": ["image"], "strategy": "dann"}
    (tmp_path / "hubtl.json").write_text(json.dumps({"format_version": 1, "task": "classification", **facts}))
    code, out, _ = hubtl_command(["show", str(tmp_path)], capsys)
    assert code == 0
    assert "without the record of a run" in out
    assert "14: a, b, c, d, e, f, g, h, i, j, k, l, …" in out
    assert f"hubtl predict {tmp_path} IMAGE" in out
    code, out, _ = hubtl_command(["show", str(tmp_path), "--json"], capsys)
    assert json.loads(out)["strategy"] == "dann"


def test_a_damaged_record_is_one_error(tmp_path, capsys):
    (tmp_path / "record.json").write_text("{}")
    code, out, err = hubtl_command(["show", str(tmp_path)], capsys)
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'record.json'} cannot be read" in err


def test_a_name_of_neither_says_where_names_are(tmp_path, capsys):
    code, _, err = hubtl_command(["show", str(tmp_path / "nothing")], capsys)
    assert code == 2
    assert "try:   hubtl list" in err
