"""``hubtl compare``: the same features for all, a ranking that reads no target label, and one that can go on."""

import json
import os

import pytest

import hubtl
from hubtl import plugins
from hubtl.engine.stop import Interrupted
from hubtl.errors import HubtlError
from hubtl.record import DomainFacts, Evaluation, ModelFacts, RunRecord
from hubtl.run import adapt as story
from hubtl.studies import compare as compare_module
from hubtl.studies.compare import Entrant, rank
from hubtl.tasks.classification import Classification
from tests.tiny import hubtl_command

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
    "steps": 10,
}
VOTES = ("infomax", "bnm", "snd", "ami", "mixval", "dev", "reverse")


def outcome(name, accuracy=0.5, source=0.9, collapse=None, **scores):
    figures = Evaluation(n=10, accuracy=accuracy, source_accuracy=source, collapse=collapse)
    figures.scores = dict.fromkeys(VOTES, 1.0) | scores
    model = ModelFacts(name="m", library="timm", architecture="m", pretrained=True)
    record = RunRecord(model=model, target=DomainFacts(dataset="t"), strategy=name, adapted=figures)
    return Entrant(name, scores=figures.scores, primary=figures.primary), record


def test_agreement_ranks_and_target_accuracy_does_not():
    found = [
        outcome("source-only", accuracy=1.0),
        outcome("dann", accuracy=0.1, ami=3.0, dev=3.0, reverse=3.0),
        outcome("cdan", accuracy=0.9, ami=2.0),
    ]
    ranked, voters = rank(found, Classification)
    assert [e.strategy for e in ranked] == ["dann", "cdan", "source-only"]
    assert voters == list(VOTES)
    assert [e.answer for e in ranked] == ["undecided", "undecided", None]


def test_what_a_method_improves_by_itself_does_not_rank_the_others():
    found = [outcome("source-only"), outcome("mcc", infomax=9.0, bnm=9.0, snd=9.0, dev=0.0), outcome("dann", dev=2.0)]
    ranked, voters = rank(found, Classification)
    assert voters == ["snd", "ami", "mixval", "dev", "reverse"]
    assert ranked[0].strategy == "dann"


def test_scores_that_read_a_source_do_not_rank_methods_that_leave_it():
    found = [outcome("source-only"), outcome("shot", source=0.4, ami=9.0, dev=-9.0, reverse=-9.0)]
    ranked, voters = rank(found, Classification)
    assert voters == ["snd", "ami", "mixval"]
    assert [e.strategy for e in ranked] == ["shot", "source-only"]
    assert ranked[0].answer == "undecided"
    assert not ranked[0].refused


def test_guard_rails_come_before_agreement_and_failures_last():
    failed = (Entrant("adabn", failed="no BatchNorm"), None)
    found = [
        outcome("source-only"),
        failed,
        outcome("dann", collapse="only 1 of 5", ami=9.0, dev=9.0),
        outcome("cdan", source=0.5, ami=9.0, dev=9.0),
    ]
    ranked, _ = rank(found, Classification)
    assert ranked[0].strategy == "source-only"
    assert ranked[-1].strategy == "adabn"
    assert {e.strategy for e in ranked if e.refused} == {"dann", "cdan"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("HUBTL_HOME")
    os.environ["HUBTL_HOME"] = str(home)
    try:
        folder = tmp_path_factory.mktemp("runs") / "compare"
        yield hubtl.compare(["mcc", "dann"], **DIGITS, output_dir=folder), folder, home
    finally:
        os.environ.pop("HUBTL_HOME")
        if before is not None:
            os.environ["HUBTL_HOME"] = before


def test_all_read_the_same_cached_features(compared):
    found, folder, home = compared
    assert {e.strategy for e in found.entrants} == {"source-only", "mcc", "dann"}
    assert len(list((home / "features").glob("*/facts.json"))) == 4  # two domains, two splits, one backbone
    assert not any(e.failed for e in found.entrants)
    saved = json.loads((folder / "compare.json").read_text())
    assert [e["strategy"] for e in saved["entrants"]] == [e.strategy for e in found.entrants]
    assert all("accuracy" not in e for e in saved["entrants"])
    for name in ("source-only", "mcc", "dann"):
        assert hubtl.load(folder / name).classes == [str(i) for i in range(10)]


def test_called_again_nothing_is_trained(compared, monkeypatch):
    found, folder, _ = compared
    monkeypatch.setattr(story, "_train", lambda *args, **kwargs: pytest.fail("trained again"))
    again = hubtl.compare(["mcc", "dann"], **DIGITS, output_dir=folder, oracle=True)
    assert [(e.strategy, e.merit) for e in again.entrants] == [(e.strategy, e.merit) for e in found.entrants]
    assert all("accuracy" in row for row in again.summary()["entrants"])


def test_another_recipe_in_the_same_folder_is_refused(compared):
    _, folder, _ = compared
    with pytest.raises(HubtlError, match="another recipe"):
        hubtl.compare(["mcc"], **{**DIGITS, "steps": 11}, output_dir=folder)


def test_an_interrupted_one_goes_on(tmp_path, monkeypatch):
    whole = story._train

    def stops(prepared, record, *args, **kwargs):
        if record.strategy == "coral":
            raise Interrupted
        return whole(prepared, record, *args, **kwargs)

    monkeypatch.setattr(story, "_train", stops)
    with pytest.raises(Interrupted):
        hubtl.compare(["coral"], **DIGITS, output_dir=tmp_path / "c")
    assert RunRecord.load(tmp_path / "c" / "source-only").status == "finished"
    monkeypatch.setattr(story, "_train", whole)
    found = hubtl.compare(["coral"], **DIGITS, output_dir=tmp_path / "c")
    assert {e.strategy for e in found.entrants} == {"source-only", "coral"}


def test_a_strategy_that_cannot_run_is_listed_with_its_reason(tmp_path):
    found = hubtl.compare(["adabn"], **DIGITS, options={"model.bottleneck": 0}, output_dir=tmp_path / "c")
    (adabn,) = [e for e in found.entrants if e.strategy == "adabn"]
    assert "BatchNorm" in adabn.failed
    assert found.best == "source-only"


def test_refusals(tmp_path):
    with pytest.raises(HubtlError, match="unknown strategy"):
        hubtl.compare(["mmc"], **DIGITS, output_dir=tmp_path / "a")
    given = {k: v for k, v in DIGITS.items() if k != "source_dataset"}
    with pytest.raises(HubtlError, match="none is given"):
        hubtl.compare(["mcc"], **given, output_dir=tmp_path / "b")
    with pytest.raises(HubtlError, match="no argument 'stepps'"):
        hubtl.compare(["mcc"], stepps=3, **DIGITS, output_dir=tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_the_command_prints_a_ranked_table(compared, capsys):
    _, folder, _ = compared
    arguments = ["compare", "--strategies", "mcc,dann", "--model", "lenet", "--no-pretrained", "--steps", "10"]
    arguments += ["--source-dataset", DIGITS["source_dataset"], "--target-dataset", DIGITS["target_dataset"]]
    code, out, _ = hubtl_command([*arguments, "--output-dir", str(folder)], capsys)
    assert code == 0
    assert "no target label was read" in out
    assert "oracle" not in out
    code, out, _ = hubtl_command([*arguments, "--output-dir", str(folder), "--oracle"], capsys)
    assert "target accuracy (oracle)" in out
    code, _, err = hubtl_command([*arguments, "--output-dir", str(folder), "--strategies", "mmc"], capsys)
    assert code == 2
    assert "unknown strategy 'mmc'" in err


@pytest.mark.parametrize("task", ["classification", "multi-label", "regression"])
def test_by_default_what_runs_on_the_task_is_compared(task):
    chosen = [plugins.load("strategies", name) for name in compare_module._usual(task)]
    assert len(chosen) >= 5
    assert plugins.load("tasks", task).probabilities or not [c for c in chosen if "probabilities" in c.needs]


@pytest.mark.parametrize(
    "given", [{"members": "mcc,bnm"}, {"seeds": "0,1"}, {"hedge": 0.5}, {"model": "lenet+test_resnet"}]
)
def test_a_comparison_averages_nothing(given, tmp_path):
    with pytest.raises(HubtlError, match="by itself"):
        hubtl.compare(["mcc"], output_dir=str(tmp_path / "c"), **{**DIGITS, **given})
    assert not (tmp_path / "c").exists()
