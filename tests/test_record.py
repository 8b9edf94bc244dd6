"""The record: written whole or not at all, and read back as it was."""

import json
import os

import pytest
from pydantic import ValidationError

from hubtl.record import Candidate, DomainFacts, Evaluation, ModelFacts, RunRecord, Selection


def a_record(**facts) -> RunRecord:
    model = ModelFacts(name="resnet18", library="timm", architecture="resnet18", pretrained=False)
    return RunRecord(model=model, target=DomainFacts(dataset="builtin:digits/uci"), **facts)


def test_a_record_is_read_back_as_it_was(tmp_path):
    record = a_record(
        classes=["café", "犬"],
        selection=Selection(rule="infomax", candidates=[Candidate(step=5, scores={"score": 0.1}, merit=0.1)]),
    )
    record.adapted = Evaluation(n=3, accuracy=2 / 3)
    record.save(tmp_path)
    assert RunRecord.load(tmp_path) == record
    assert "café" in (tmp_path / "record.json").read_text(encoding="utf-8"), "meant for people too: no escapes"


def test_what_was_not_measured_is_null_and_not_nought(tmp_path):
    record = a_record()
    record.adapted = Evaluation(n=3)
    record.save(tmp_path)
    saved = json.loads((tmp_path / "record.json").read_text())
    assert saved["adapted"]["accuracy"] is None
    assert saved["source_only"] is None


def test_a_failed_write_leaves_the_last_record_whole(tmp_path, monkeypatch):
    a_record(status="running").save(tmp_path)

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        a_record(status="finished").save(tmp_path)
    assert RunRecord.load(tmp_path).status == "running"


def test_facts_that_nobody_declared_are_refused():
    with pytest.raises(ValidationError, match="best_accuracy"):
        a_record(best_accuracy=0.9)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_was_not_measured_and_the_file_is_json(tmp_path, value):
    record = a_record(adapted=Evaluation(n=1, accuracy=value, scores={"snd": value, "bnm": 0.5}))
    record.training.curves = [{"step": 1.0, "loss": value}]
    record.save(tmp_path)

    def none(token):
        raise AssertionError(token)

    json.loads((tmp_path / "record.json").read_text(encoding="utf-8"), parse_constant=none)
    read = RunRecord.load(tmp_path)
    assert read.adapted is not None
    assert (read.adapted.accuracy, read.adapted.scores, read.training.curves) == (None, {"bnm": 0.5}, [{"step": 1.0}])
