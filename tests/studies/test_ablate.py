"""``hubtl ablate``: a run's recipe without each part of its method, in its record and card."""

import json
import shutil

import pytest

import hubtl
from hubtl import plugins
from hubtl.card import render
from hubtl.engine.stop import Interrupted
from hubtl.record import Ablated, RunRecord
from hubtl.run import adapt as story
from hubtl.studies import ablate as ablation
from tests import records
from tests.tiny import hubtl_command

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
    "steps": 12,
    "lr": 0.05,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "run"
    hubtl.adapt(output_dir=str(folder), strategy="cdan+mcc", options={"run.plots": False}, **DIGITS)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_each_part_is_left_out_in_turn_and_all_else_is_the_same(run, tmp_path, capsys):
    weights = (run / "model.safetensors").read_bytes()
    before = RunRecord.load(run)
    code, out, _ = hubtl_command(["ablate", str(run)], capsys)
    assert code == 0
    record = RunRecord.load(run)
    assert [(a.without, a.changes) for a in record.ablation] == [
        ("cdan", {"cdan_weight": 0.0}),
        ("mcc", {"mcc_weight": 0.0}),
    ]
    by_hand = hubtl.adapt(
        output_dir=str(tmp_path / "hand"),
        strategy="cdan+mcc",
        options={"mcc_weight": 0.0, "run.plots": False},
        **DIGITS,
    ).record
    assert record.ablation[1].figures.accuracy == by_hand.adapted.accuracy
    assert record.ablation[1].figures.accuracy != record.adapted.accuracy, "or the test could not fail"
    assert record.model_copy(update={"ablation": []}) == before
    assert (run / "model.safetensors").read_bytes() == weights
    assert f"| without mcc | {100 * by_hand.adapted.accuracy:.1f}% |" in (run / "README.md").read_text()
    lines = [line.split("  ")[0] for line in out.splitlines()]
    assert lines[1:5] == ["cdan+mcc, all of it", "without cdan", "without mcc", "source-only"]
    assert not list((run / "training" / "ablation").rglob("*.safetensors")), "nobody needs their weights"


def test_what_was_done_is_not_done_again_and_an_interrupted_part_goes_on(run, monkeypatch):
    asked = []

    def adapt(recipe, **words):
        asked.append((recipe.run.output_dir.rsplit("/", 1)[1], words["resume"]))
        if len(asked) == 2:
            raise Interrupted("stopped")
        return real(recipe, **words)

    real = story.adapt
    monkeypatch.setattr(ablation, "adapt", adapt)
    with pytest.raises(Interrupted):
        ablation.ablate(run)
    (first,) = RunRecord.load(run).ablation
    assert first.without == "cdan"
    record = ablation.ablate(run)
    assert asked == [("cdan", False), ("mcc", False), ("cdan", True), ("mcc", False)]
    assert [a.without for a in record.ablation] == ["cdan", "mcc"]
    assert record.ablation[0].figures == first.figures
    assert record.ablation[0].seconds == first.seconds, "it was not trained again"


def test_what_joins_the_record_meanwhile_stays(run, monkeypatch):
    figures = RunRecord.load(run).adapted

    def trained(recipe, place, command):
        now = RunRecord.load(run)
        now.warnings = [*now.warnings, "added meanwhile"]
        now.save(run)
        return {"figures": figures, "seconds": 1.0}

    monkeypatch.setattr(ablation, "_trained", trained)
    record = ablation.ablate(run)
    assert [a.without for a in record.ablation] == ["cdan", "mcc"]
    assert RunRecord.load(run).warnings.count("added meanwhile") == 2


def test_one_part_is_enough_where_one_is_asked_for(run, capsys):
    code, out, _ = hubtl_command(["ablate", str(run), "--without", "mcc", "--json"], capsys)
    assert code == 0
    assert [found["without"] for found in json.loads(out)["ablation"]] == ["mcc"]


@pytest.mark.parametrize(
    ("change", "words", "said", "hint"),
    [
        ({}, ["--without", "mc"], "unknown part of cdan+mcc 'mc'", "mcc"),
        ({"strategy": "source-only"}, [], "names no parts to leave out", "hubtl show"),
        (
            {"strategy_options": {"cdan_weight": 0.0, "mcc_weight": 0.0}},
            [],
            "did without every part",
            "adapt with some",
        ),
        ({"status": "running"}, [], "is not finished (running)", "--resume"),
    ],
)
def test_what_cannot_be_taken_apart_is_one_error(run, capsys, change, words, said, hint):
    RunRecord.load(run).model_copy(update=change).save(run)
    before = (run / "README.md").read_bytes()
    code, _, err = hubtl_command(["ablate", str(run), *words], capsys)
    assert code == 2
    assert said in err
    assert hint in err
    assert (run / "README.md").read_bytes() == before


def test_show_and_list_name_the_parts(run, capsys):
    _, out, _ = hubtl_command(["show", "shot"], capsys)
    assert "parts that hubtl ablate leaves out: entropy, diversity, pseudo-labels" in out
    _, out, _ = hubtl_command(["ablate", str(run), "--list"], capsys)
    assert [line.split() for line in out.splitlines()] == [["cdan", "cdan_weight=0.0"], ["mcc", "mcc_weight=0.0"]]


def test_a_part_is_an_option_of_its_method():
    entries = plugins.entries("strategies").values()
    named = {entry.name: entry.load() for entry in entries if entry.builtin}
    assert any(cls.ablations for cls in named.values())
    for cls in named.values():
        for changes in cls.ablations.values():
            assert cls.Options(**changes) != cls.Options()


def test_the_table_shows_what_each_part_does_for_a_missing_modality():
    record = records.several()
    half = record.adapted.primary.model_copy(update={"value": 0.5})
    figures = record.adapted.model_copy(update={"primary": half})
    record.ablation = [Ablated(without="critics", changes={"adversary": 0.0}, figures=figures)]
    table = render(record).split("### Ablation")[1].split("\n\n")[1].splitlines()
    missing = [s.name for s in record.adapted.subsets if "corrupted" not in s.name]
    assert missing
    assert [cell.strip() for cell in table[0].split("|")[2:-1]] == ["accuracy", "difference", *missing]
    assert table[3].startswith("| without critics | 50.0% |")
