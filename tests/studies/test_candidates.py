"""``hubtl label`` of several runs: the best of them is found, and a label counts for every pair that comes to its row."""

import csv
import json
import shutil

import pytest
import torch

from hubtl.errors import HubtlError
from hubtl.models import saved
from hubtl.record import RunRecord
from hubtl.studies import candidates
from hubtl.studies.label import Rule
from tests.studies.test_label import finished, spoil  # noqa: F401
from tests.tiny import hubtl_command

FLAT = Rule(prior="flat")


def fixed(folder):
    """Make a model of two classes always answer the first one."""
    loaded = saved.load(folder)
    head = loaded.classifier.head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 0.0]))
    saved.save(folder, loaded.backbone, head, loaded.names, {"task": "classification", "strategy": "mcc"})


@pytest.fixture
def runs(finished, tmp_path):  # noqa: F811
    """One always wrong, one half right, one right, and its copy. They are runs."""
    made = {name: shutil.copytree(finished, tmp_path / name) for name in ("wrong", "half", "right", "same")}
    spoil(made["wrong"])
    fixed(made["half"])
    return made


def truth(question):
    return "light" if int(question.name.split(".")[0]) % 2 else "dark"


def answered(asking):
    asked = []
    while (question := asking.current()) is not None:
        asked.append(question.row)
        asking.answer(question, truth(question))
    return asked


@pytest.mark.parametrize("order", [("wrong", "half", "right"), ("right", "half", "wrong"), ("half", "right", "wrong")])
def test_the_best_is_found_in_whatever_order_they_come(runs, order):
    asking = candidates.begin([runs[name] for name in order], FLAT)
    asked = answered(asking)
    assert asking.best == "right"
    assert len(set(asked)) == len(asked) == asking.labelled <= 50
    assert all(one.decided in ("adapted", "source-only") for one in asking.met)
    one, other = (pair.labelling.tally.asked for pair in asking.met)
    assert len(asked) <= one + other  # a row is asked for once


def test_labels_of_one_pair_count_for_the_next(runs):
    """The right one and the half disagree on known rows. The right one and the wrong one disagree on them, too."""
    asking = candidates.begin([runs[name] for name in ("right", "half", "wrong")], FLAT)
    asked = answered(asking)
    one, other = (pair.labelling.tally.asked for pair in asking.met)
    assert len(asked) < one + other


def test_models_that_answer_alike_are_not_asked_about(runs):
    asking = candidates.begin([runs["right"], runs["same"], runs["wrong"]], FLAT)
    answered(asking)
    assert asking.best == "right"
    assert asking.met[0].labelling is None
    assert "answer alike" in asking.outcome()[0]
    with pytest.raises(HubtlError, match="alike to every target row"):
        candidates.begin([runs["right"], runs["same"]], FLAT)


def test_what_is_not_told_apart_in_time_is_said(runs):
    asking = candidates.begin([runs["wrong"], runs["right"]], Rule(prior="flat", most=2))
    assert len(answered(asking)) == 2
    assert asking.met[0].decided == "undecided"
    assert "undecided: wrong and right" in asking.outcome()[-1]


def test_answers_are_kept_undone_and_come_from_a_file(runs, tmp_path, capsys):
    folders = [str(runs["wrong"]), str(runs["right"])]
    asking = candidates.begin([runs["wrong"], runs["right"]], FLAT)
    question = asking.current()
    asking.answer(question, truth(question))
    asking = candidates.begin([runs["wrong"], runs["right"]], FLAT)
    assert asking.labelled == 1
    assert asking.undo().row == question.row
    assert asking.current().row == question.row
    file = tmp_path / "ask.csv"
    code, out, err = hubtl_command(["label", *folders, "--export", str(file)], capsys)
    assert code == 0, err
    assert f"--labels {file}" in out
    rows = list(csv.DictReader(file.open()))
    for row in rows:
        row["label"] = "light" if int(row["image"].split(".")[0]) % 2 else "dark"
    with file.open("w", newline="") as out_file:
        writer = csv.DictWriter(out_file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = hubtl_command(["label", *folders, "--labels", str(file), "--prior", "flat"], capsys)
    assert code == 0, err
    assert "best by" in out
    assert out.strip().endswith(": right")
    code, out, _ = hubtl_command(["label", *folders, "--json"], capsys)
    assert code == 0
    assert json.loads(out)["best"] == "right"
    # nothing was shipped: each of them is a run of its own
    assert all(RunRecord.load(runs[name]).verified is None for name in ("wrong", "right"))


def test_a_comparison_names_its_runs(runs, tmp_path):
    entrants = [{"strategy": name, "failed": None} for name in ("half", "right")] + [
        {"strategy": "gone", "failed": "no"}
    ]
    (tmp_path / "compare.json").write_text(json.dumps({"entrants": entrants}))
    assert candidates.folders_of([tmp_path]) == [tmp_path / "half", tmp_path / "right"]
    (tmp_path / "compare.json").write_text(json.dumps({"recipe": {}}))
    with pytest.raises(HubtlError, match="not finished"):
        candidates.folders_of([tmp_path])


def test_runs_that_do_not_go_together_are_one_error(runs, capsys):
    record = RunRecord.load(runs["half"])
    record.target.fingerprint += "other"
    record.save(runs["half"])
    code, _, err = hubtl_command(["label", str(runs["right"]), str(runs["half"]), "--json"], capsys)
    assert code == 2
    assert "different targets" in err
    code, _, err = hubtl_command(["label", str(runs["right"]), str(runs["wrong"]), "--page"], capsys)
    assert code == 2
    assert "one run" in err
