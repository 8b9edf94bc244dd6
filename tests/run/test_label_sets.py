"""Domains whose classes differ, end to end: what is picked, said, scored, saved and resumed."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import ClassLabel

import hubtl
from hubtl.data.opening import opened
from hubtl.data.sealed import kept, unsealed
from hubtl.errors import HubtlError
from hubtl.plugins import load
from hubtl.recipe.reading import parse
from hubtl.record import LabelSets, RunRecord
from hubtl.run.auto import pick
from hubtl.run.prepare import prepare
from hubtl.run.streams import label_warnings
from hubtl.studies.evaluate import measure
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.matching import indices, unknown_name
from hubtl.tasks.classification.measuring import figures_of as evaluation

CLASSES = ["a", "b", "unknown"]
QUICK = {"run.plots": False, "run.evaluate_every": 100}


def digits(name, keep, folder):
    """The built-in digits without some classes, as parquet files. The label column names only the others."""
    folder.mkdir(parents=True)
    for split, rows in opened(f"builtin:digits/{name}").splits.items():
        values = np.array(rows["label"])
        kept = rows.select(np.flatnonzero(np.isin(values, keep))[:400])
        names = [rows.features["label"].names[k] for k in keep]
        labels = [keep.index(v) for v in kept["label"]]
        made = kept.remove_columns("label").add_column("label", labels).cast_column("label", ClassLabel(names=names))
        made.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return str(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    return SimpleNamespace(
        low=digits("mnist", [0, 1, 2, 3], root / "low"),
        all=digits("mnist", [0, 1, 2, 3, 4, 5], root / "all"),
        few=digits("uci", [0, 1], root / "few"),
        some=digits("uci", [0, 1, 2, 3, 4, 5], root / "some"),
        shifted=digits("uci", [2, 3, 4, 5, 6], root / "shifted"),
    )


def recipe(source, target, strategy="auto", **options):
    given = {"model": {"name": "lenet", "pretrained": False}, "source": source, "target": target}
    return parse({**given, "strategy": {"name": strategy, "options": options}})


@pytest.mark.parametrize("relation", ["closed", "unknown"])
def test_auto_takes_mcc_where_nothing_is_known_to_differ(relation):
    assert pick(Classification(), "adaptation", relation, frozen=True)[0] == "mcc"
    assert pick(Classification(), "adaptation", relation, ["text"])[0] == "mcc"


@pytest.mark.parametrize("relation", ["closed", "unknown"])
def test_auto_adds_strong_views_where_a_backbone_learns_from_images(relation):
    assert pick(Classification(), "adaptation", relation)[0] == "mcc+adamatch"
    assert pick(Classification(), "adaptation", "partial")[0] == "shot"


def test_a_frozen_backbone_sees_no_strong_views(data):
    given = recipe(data.all, data.some).model_dump(exclude_unset=True)
    assert prepare(parse({**given, "tuner": {"name": "head"}})).recipe.strategy.name == "mcc"
    assert prepare(parse({**given, "tuner": {"name": "full"}})).recipe.strategy.name == "mcc+adamatch"


@pytest.mark.parametrize(
    ("setting", "relation", "name", "why"),
    [
        ("adaptation", "partial", "shot", "lacks classes of the source"),
        ("adaptation", "open", "osbp", "has an output for them"),
        ("adaptation", "open-partial", "osbp", "not made for source classes that the target lacks"),
        ("source-free", "unknown", "shot", "no source"),
        ("transfer", "closed", "finetune", "labelled"),
    ],
)
def test_auto_goes_by_the_label_sets(setting, relation, name, why):
    assert pick(Classification(), setting, relation)[0] == name
    assert why in pick(Classification(), setting, relation)[1]


@pytest.mark.parametrize(
    ("source", "target", "relation", "strategy", "validator"),
    [
        ("all", "some", "closed", "mcc+adamatch", "ensemble"),
        ("all", "few", "partial", "shot", "last"),
        ("low", "some", "open", "osbp", "last"),
        ("low", "shifted", "open-partial", "osbp", "last"),
    ],
)
def test_what_auto_prepares(data, source, target, relation, strategy, validator):
    prepared = prepare(recipe(getattr(data, source), getattr(data, target)))
    assert prepared.relation.setting == relation
    assert prepared.recipe.strategy.name == strategy
    assert prepared.recipe.run.validator == validator
    assert prepared.strategy_class.__name__ == load("strategies", strategy).__name__  # a sum is composed anew
    said = "\n".join(prepared.warnings)
    assert ("the target lacks source classes (0, 1)" in said) == (relation == "open-partial")
    assert "not scored" not in said


def test_what_a_user_sets_stays_in_a_partial_set(data):
    own = prepare(recipe(data.all, data.few, "shot")).recipe.strategy.options
    assert own == {"diversity_weight": 0.0, "min_count": 10}
    own = prepare(recipe(data.all, data.few, "shot", diversity_weight=0.5)).recipe
    assert own.strategy.options == {"diversity_weight": 0.5, "min_count": 10}
    assert prepare(recipe(data.all, data.some, "shot")).recipe.strategy.options == {}
    given = parse(
        {**recipe(data.all, data.few, "pada").model_dump(exclude_unset=True), "run": {"validator": "infomax"}}
    )
    assert prepare(given).recipe.run.validator == "infomax"


def test_the_unknown_is_a_class_of_the_target_alone(data):
    prepared = prepare(recipe(data.low, data.some, "osbp"))
    assert prepared.task.outputs.names == ["0", "1", "2", "3", "unknown"]
    assert prepared.task.unknown == 4
    streams = prepared.streams
    assert set(streams.train["source"].labels.tolist()) == {0, 1, 2, 3}
    assert set(streams.source_eval_labels.tolist()) == {0, 1, 2, 3}
    assert streams.train["target"].labels is None
    assert set(unsealed(streams.target_eval_labels).tolist()) == {0, 1, 2, 3, 4}
    assert prepared.build("osbp").head.out_features == 5
    assert prepared.build("source-only").head.out_features == 4


def test_the_name_of_the_unknown_is_none_of_the_classes(data):
    assert unknown_name(["cat", "dog"]) == "unknown"
    assert unknown_name(["cat", "Un-known"]) == "unknown 2"
    assert unknown_name(["unknown", "unknown_2"]) == "unknown 3"
    splits = opened(data.some).splits
    found = indices(np.array(splits["test"]["label"]), list("012345"), ["0", "1", "unknown"], 2)
    assert found.tolist() == np.minimum(splits["test"]["label"], 2).tolist()


@pytest.mark.parametrize(
    ("name", "relation", "said"),
    [
        ("osbp", "closed", ["no class that the source lacks"]),
        ("osbp", "partial", ["no class that the source lacks", "lacks source classes (b)"]),
        ("osbp", "open", []),
        ("osbp", "open-partial", ["lacks source classes (b)"]),
        ("osbp", "unknown", []),
        ("mcc", "closed", []),
        ("mcc", "partial", ["lacks source classes (b)"]),
        ("mcc", "open", ["2 evaluation rows", "osbp has an output"]),
        ("pada", "partial", []),
        ("shot", "partial", []),
        ("pada", "open", ["2 evaluation rows"]),
        ("pada", "open-partial", ["2 evaluation rows"]),
    ],
)
def test_a_method_that_does_not_suit_is_warned_of_once(name, relation, said):
    cls = load("strategies", name)
    sets = LabelSets(
        setting=relation,
        shared=["a"],
        source_only=["b"] if "partial" in relation else [],
        target_only=["z"] if "open" in relation else [],
    )
    streams = SimpleNamespace(target_eval_labels=kept(np.array([0, -1, -1])))
    task = Classification(["a", "unknown"])
    task.unknown = 1 if cls.unknown else None
    found = label_warnings(task, sets, streams, cls)
    rest = list(found)
    for part in said:
        rest = [warning for warning in rest if part not in warning]
        assert any(part in warning for warning in found)
    assert rest == []


def test_open_set_figures_by_hand():
    """Recalls: a 1/2, b 1, unknown 2/4. OS* 3/4, HOS 2 · ¾ · ½ / (¾ + ½) = 3/5; eight rows, five right."""
    predicted = torch.eye(3)[[0, 2, 1, 1, 2, 2, 0, 1]]
    found = evaluation(predicted, np.array([0, 0, 1, 1, 2, 2, 2, 2]), CLASSES, 2)
    assert (found.known_recall, found.unknown_recall) == (pytest.approx(0.75), pytest.approx(0.5))
    assert found.hos == pytest.approx(0.6)
    assert found.accuracy == pytest.approx(5 / 8)
    assert found.per_class[2].n == 4


def test_a_model_without_that_output_never_finds_the_unknown():
    found = evaluation(torch.eye(2)[[0, 1, 0]], np.array([0, 1, 2]), CLASSES, 2)
    assert (found.known_recall, found.unknown_recall, found.hos) == (1.0, 0.0, 0.0)
    assert found.predicted_counts == [2, 1, 0]
    assert found.confusion[2] == [1, 0, 0]


def test_what_has_no_rows_is_not_measured():
    closed = evaluation(torch.eye(3)[[0, 1]], np.array([0, 1]), CLASSES, 2)
    assert (closed.known_recall, closed.unknown_recall, closed.hos) == (1.0, None, None)
    alien = evaluation(torch.eye(3)[[2, 1]], np.array([2, 2]), CLASSES, 2)
    assert (alien.known_recall, alien.unknown_recall, alien.hos) == (None, 0.5, None)
    blind = evaluation(torch.eye(3)[[2, 1]], None, CLASSES, 2)
    assert (blind.known_recall, blind.hos) == (None, None)


@pytest.fixture(scope="module")
def open_run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "open"
    return hubtl.adapt(
        recipe(data.low, data.some).model_dump(exclude_unset=True), steps=60, batch_size=32, output_dir=str(folder)
    )


def test_an_open_run_has_the_figures_of_the_field(open_run):
    record = RunRecord.load(open_run.output_dir)
    assert (record.strategy, record.unknown, record.classes[-1]) == ("osbp", "unknown", "unknown")
    base, adapted = record.source_only, record.adapted
    assert base.n == adapted.n
    assert (base.unknown_recall, base.hos) == (0.0, 0.0)
    assert adapted.per_class[-1].n > 0
    assert adapted.unknown_recall == adapted.per_class[-1].recall
    assert adapted.known_recall == pytest.approx(np.mean([score.recall for score in adapted.per_class[:-1]]))
    assert not any("not scored" in warning or "infomax" in warning for warning in record.warnings)
    summary = open_run.summary()["target"]
    assert summary["adapted"]["hos"] == adapted.hos
    assert summary["source_only"]["unknown_recall"] == 0.0


def test_its_card_says_what_unknown_is_and_what_source_only_cannot_say(open_run):
    text = (open_run.output_dir / "README.md").read_text()
    for part in (
        "| H-score (HOS) | 0.0% |",
        "recall of the known classes (OS*)",
        "recall of unknown",
        "Source-only has no output for unknown",
        "Open set: every input is assigned one of 4 classes or unknown",
        "| unknown |",
    ):
        assert part in text, part
    assert "Closed set" not in text


def test_its_model_has_a_class_more_and_is_measured_as_it_was(open_run, data):
    record = open_run.record
    model = hubtl.load(open_run.output_dir)
    assert model.unknown == "unknown"
    assert model.classes == ["0", "1", "2", "3", "unknown"]
    assert json.loads((open_run.output_dir / "hubtl.json").read_text())["unknown"] == "unknown"
    figures = measure(str(open_run.output_dir), data.some)
    assert figures.confusion == record.adapted.confusion
    assert figures.hos == pytest.approx(record.adapted.hos)


def test_its_figures_are_shown_on_the_command_line(open_run, capsys):
    from hubtl.cli.show import result

    result(open_run, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    for label in ("H-score", "recall of the known classes", "recall of unknown"):
        (line,) = (line for line in lines if line.startswith(label))
        assert line.count("%") == 2


def test_its_model_is_adapted_again_with_the_unknown_kept(open_run, data, tmp_path):
    again = hubtl.adapt(
        model=str(open_run.output_dir),
        target_dataset=data.some,
        strategy="shot",
        steps=2,
        batch_size=8,
        output_dir=str(tmp_path / "again"),
        options=QUICK,
    )
    assert again.record.setting == "source-free"
    assert again.record.label_sets.setting == "open"
    assert again.record.classes[-1] == again.record.unknown == "unknown"
    assert again.record.source_only.hos == pytest.approx(open_run.record.adapted.hos)
    assert hubtl.load(again.output_dir).unknown == "unknown"


def test_timm_loads_an_open_set_model_with_its_class_more(data, tmp_path):
    import timm

    result = hubtl.adapt(
        model="test_vit",
        pretrained=False,
        image_size=32,
        source_dataset=data.low,
        target_dataset=data.some,
        strategy="osbp",
        steps=2,
        batch_size=8,
        augment="none",
        baseline=False,
        output_dir=str(tmp_path / "run"),
        options=QUICK,
    )
    native = timm.create_model(f"local-dir:{result.output_dir}", pretrained=True)
    assert native.num_classes == 5
    assert native.pretrained_cfg["label_names"][-1] == "unknown"


def test_a_partial_run_ends_bit_equal_after_an_interruption(data, tmp_path, monkeypatch):
    """The class weights are in the checkpoint."""
    import signal

    from hubtl.engine.stop import Interrupted
    from hubtl.judging.judge import Judge

    common = {
        "source_dataset": data.all,
        "target_dataset": data.few,
        "model": "lenet",
        "pretrained": False,
        "strategy": "pada",
        "steps": 12,
        "batch_size": 16,
        "baseline": False,
        "options": {"run.plots": False, "run.evaluate_every": 6, "rate": 0.5},
    }
    whole = hubtl.adapt(**common, output_dir=str(tmp_path / "whole"))
    assert whole.record.label_sets.setting == "partial"
    assert whole.record.warnings == [w for w in whole.record.warnings if "lacks source classes" not in w]
    judge = Judge.__call__

    def judge_and_stop(self, strategy, step):
        scores = judge(self, strategy, step)
        if step == 6:
            signal.raise_signal(signal.SIGINT)
        return scores

    with monkeypatch.context() as patched:
        patched.setattr(Judge, "__call__", judge_and_stop)
        with pytest.raises(Interrupted):
            hubtl.adapt(**common, output_dir=str(tmp_path / "cut"))
    resumed = hubtl.adapt(**common, output_dir=str(tmp_path / "cut"), resume=True)
    assert resumed.record.training.resumed == 1
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


def test_two_of_six_classes_are_no_collapse_where_the_target_has_no_more(data):
    def _collapse(counts, relation, unknown):
        task = Classification([str(number) for number in range(len(counts))])
        task.unknown = unknown
        predicted = np.repeat(np.arange(len(counts)), counts)
        return task.collapse(torch.eye(len(counts))[torch.from_numpy(predicted)], relation)

    partial = LabelSets(setting="partial", shared=["0", "1"], source_only=["2", "3", "4", "5"])
    closed = LabelSets(setting="closed", shared=list("012345"))
    counts = np.array([40, 40, 0, 0, 0, 0])
    assert _collapse(counts, closed, None)
    assert _collapse(counts, partial, None) is None
    assert _collapse(np.array([20, 20, 90]), LabelSets(setting="open", shared=["a", "b"]), 2) is None
    assert "only 1 of 2" in _collapse(np.array([20, 0, 90]), LabelSets(setting="open", shared=["a", "b"]), 2)


def test_no_shared_class_is_refused_before_a_strategy_is_picked(data, tmp_path):
    alien = digits("uci", [8, 9], tmp_path / "alien")
    with pytest.raises(HubtlError, match="share no class"):
        prepare(recipe(data.low, alien))


def test_a_target_without_names_may_have_unknowns_and_nothing_is_warned_of(data, tmp_path):
    splits = opened(data.some).splits
    (tmp_path / "blind").mkdir()
    for split, rows in splits.items():
        rows.remove_columns("label").to_parquet(str(tmp_path / "blind" / f"{split}-00000-of-00001.parquet"))
    blind = str(tmp_path / "blind")
    assert prepare(recipe(data.low, blind)).recipe.strategy.name == "mcc+adamatch"
    prepared = prepare(recipe(data.low, blind, "osbp"))
    assert (prepared.relation.setting, prepared.warnings) == ("unknown", [])
    assert prepared.task.outputs.names[-1] == "unknown"
    assert prepared.streams.target_eval_labels is None
