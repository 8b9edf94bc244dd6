"""The record: written whole or not at all, and read back as it was."""

import json
import os

import pytest
from pydantic import ValidationError

from hubtl.errors import HubtlError
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
    assert saved["adapted"]["primary"] is None
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


def test_a_record_of_version_1_is_read_as_one_of_today(tmp_path):
    old = {
        "format_version": 1,
        "model": {"name": "m", "library": "timm", "architecture": "a", "pretrained": False},
        "target": {"dataset": "d", "class_counts": {"a": 3}},
        "target_labels_per_class": 5,
        "classes": ["a", "b"],
        "adapted": {
            "n": 4,
            "unknown_class_rows": 1,
            "unlabelled_rows": 2,
            "accuracy": 0.75,
            "ece": 0.1,
            "confusion": [[2, 0], [1, 1]],
            "source_accuracy": 0.9,
            "source_accuracies": {"x": 0.8},
            "subsets": [{"name": "image only", "n": 4, "accuracy": 0.5, "balanced_accuracy": 0.4, "confidence": 0.6}],
        },
        "ablation": [{"without": "x", "changes": {}, "figures": {"n": 4, "accuracy": 0.25}}],
    }
    (tmp_path / "record.json").write_text(json.dumps(old))
    record = RunRecord.load(tmp_path)
    adapted = record.adapted
    assert adapted is not None
    assert adapted.primary is not None
    assert (record.format_version, record.outputs.names, record.classes) == (2, ["a", "b"], ["a", "b"])
    assert (adapted.primary.name, adapted.value, adapted.source, adapted.sources) == ("accuracy", 0.75, 0.9, {"x": 0.8})
    assert adapted.unscored() == {"of unknown classes": 1, "without a label": 2}
    assert (adapted.accuracy, adapted.confusion_cells[0], adapted.subsets[0].primary) == (0.75, (0, 0, 2), 0.5)
    assert (adapted.subsets[0].brief, adapted.subsets[0].certainty) == ({"balanced_accuracy": 0.4}, 0.6)
    assert (record.target.label_counts, record.target.class_counts) == ({"a": 3}, {"a": 3})
    assert (record.target_few, record.target_labels_per_class) == (5, 5)
    assert record.ablation[0].figures.value == 0.25
    record.save(tmp_path)
    again = json.loads((tmp_path / "record.json").read_text())
    assert (again["format_version"], again["adapted"]["primary"]["value"]) == (2, 0.75)
    assert RunRecord.load(tmp_path) == record


def test_a_record_of_a_newer_version_is_refused_in_words(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps({"format_version": 3, "something": "else"}))
    with pytest.raises(HubtlError, match=r"newer hubtl \(format 3, this one reads 2\)") as caught:
        RunRecord.load(tmp_path)
    assert "upgrade" in caught.value.hint


def test_figures_of_a_task_that_is_not_installed_are_kept_and_shown():
    given = {
        "n": 3,
        "primary": {"name": "pesq", "value": 3.1, "unit": "", "higher_is_better": True},
        "figures": {"task": "speech-enhancement", "pesq": 3.1, "stoi": 0.9, "by_speaker": {"a": 1}},
    }
    evaluation = Evaluation.model_validate(given)
    assert evaluation.figures is not None
    assert evaluation.value == 3.1
    assert [metric.name for metric in evaluation.figures.rows()] == ["pesq", "stoi"]
    assert evaluation.model_dump(mode="json")["figures"] == given["figures"]
