"""``hubtl label``: rows on which two models disagree are asked for, the answers decide, and the run ships the winner."""

import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import hubtl
from hubtl.errors import HubtlError
from hubtl.hub.names import files_of
from hubtl.judging.disagreement import Apart
from hubtl.models import saved
from hubtl.record import RunRecord
from hubtl.run import ship
from hubtl.studies import label as study
from tests.tiny import hubtl_command

ROWS = 60


def draw(folder, names, seed):
    rng = np.random.default_rng(seed)
    for number, name in enumerate(names):
        grey = rng.integers(0, 90, (20, 20)) + (130 if "light" in str(name) or number % 2 else 0)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on dark and light squares whose target has no labels; every second target image is light."""
    place = tmp_path_factory.mktemp("label")
    draw(place / "source", [f"{name}/{i}.png" for i in range(30) for name in ("dark", "light")], 0)
    draw(place / "target", [f"{i:03}.png" for i in range(ROWS)], 1)
    hubtl.adapt(
        output_dir=str(place / "run"),
        model="lenet",
        pretrained=False,
        source_dataset=str(place / "source"),
        target_dataset=str(place / "target"),
        strategy="mcc",
        lr=0.02,
        steps=30,
        batch_size=16,
        options={"run.plots": False, "run.keep_source_only": True},
    )
    return place / "run"


def spoil(folder):
    """Make a model of two classes answer the other one."""
    loaded = saved.load(folder)
    facts = json.loads((folder / "hubtl.json").read_text())
    head = loaded.classifier.head
    with torch.no_grad():
        head.weight.neg_()
        head.bias.neg_()
    saved.save(folder, loaded.backbone, head, loaded.names, {"task": "classification", "strategy": facts["strategy"]})


@pytest.fixture
def helped(finished, tmp_path):
    """Adapted is right on every row, source-only on none."""
    run = shutil.copytree(finished, tmp_path / "run")
    spoil(run / "source-only")
    return run


@pytest.fixture
def harmed(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    spoil(run)
    return run


def truth(name):
    return "light" if int(name.split(".")[0]) % 2 else "dark"


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def type_in(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def asked_in_order(run, **rule):
    asking = study.begin(run, study.Rule(**rule))
    return [asking.question(place).name for place in range(len(asking.order))]


def test_three_right_labels_say_that_adapting_helped(helped, capsys, monkeypatch):
    before, adapted = RunRecord.load(helped), weights(helped)
    order = asked_in_order(helped)
    type_in(monkeypatch, *map(truth, order))
    code, out, _ = hubtl_command(["label", str(helped)], capsys)
    assert code == 0
    assert "answer each of 48 target rows differently" in out
    assert f"  {order[0]}" in out
    assert "wins 3, losses 0, neither 0: adapted better with 96.9 %, gain +100.0 points of all rows" in out
    assert "verdict: adapted better, 96.9 %, by 3 labelled rows" in out
    record = RunRecord.load(helped)
    assert (record.verified.answer, record.verified.n, record.verified.disagreement) == ("adapted", 3, 1.0)
    assert [(row.label, row.found) for row in record.verified.rows] == [(truth(name), "win") for name in order[:3]]
    assert weights(helped) == adapted
    assert record.strategy == before.strategy == "mcc"
    assert "Verified on 3 labelled rows: **adapted better, 96.9%**" in (helped / "README.md").read_text()


def test_labels_against_the_adapted_model_ship_source_only_and_taking_them_back_undoes_it(harmed, capsys, monkeypatch):
    adapted, before = weights(harmed), weights(harmed / "source-only")
    first = (harmed / "README.md").read_text()
    type_in(monkeypatch, *map(truth, asked_in_order(harmed)))
    code, out, _ = hubtl_command(["label", str(harmed)], capsys)
    assert code == 0
    assert "verdict: source-only better" in out
    assert f"ships source-only; the other model is in {harmed}/adapted" in out
    record = RunRecord.load(harmed)
    assert (record.strategy, record.verdict.tried, record.verified.losses) == ("source-only", "mcc", 6)
    assert (weights(harmed), weights(harmed / "adapted")) == (before, adapted)
    assert not (harmed / "source-only").exists()
    card = (harmed / "README.md").read_text()
    assert "adapting with `mcc` was tried and dropped, because the labels of 6 rows favour source-only" in card
    assert "Then the labels of 6 rows favour source-only" in card
    assert "rows to decide" not in card
    assert hubtl_command(["card", str(harmed), "--check"], capsys)[0] == 0
    assert hubtl.load(harmed).names == ["dark", "light"]

    type_in(monkeypatch, "dark")
    assert "1. row" not in hubtl_command(["label", str(harmed)], capsys)[1], "it is decided: nothing is asked"
    type_in(monkeypatch, "q")
    code, out, _ = hubtl_command(["label", str(harmed), "--undo", "4"], capsys)
    assert code == 0
    assert "undecided so far: label 4 more rows to decide" in out
    record = RunRecord.load(harmed)
    assert (record.strategy, record.verified.answer, record.verdict.tried) == ("mcc", "undecided", None)
    assert (weights(harmed), weights(harmed / "source-only")) == (adapted, before)
    assert not (harmed / "adapted").exists()
    again = (harmed / "README.md").read_text().splitlines()
    assert [line for line in again if line not in first.splitlines()] == [next(s for s in again if "not settled" in s)]


def test_an_overwritten_run_leaves_nothing_of_what_was_shipped_in_between(harmed, capsys, monkeypatch):
    type_in(monkeypatch, *map(truth, asked_in_order(harmed)))
    assert hubtl_command(["label", str(harmed)], capsys)[0] == 0
    words = ["adapt", str(harmed / "recipe.yaml"), "--output-dir", str(harmed), "--overwrite", "--steps", "2"]
    code, _, err = hubtl_command(words, capsys)
    assert code == 0, err
    assert not (harmed / "adapted").exists()
    assert RunRecord.load(harmed).strategy == "mcc"


def test_answers_are_kept_at_once_and_asking_goes_on_where_it_stopped(harmed, capsys, monkeypatch):
    order = asked_in_order(harmed)
    type_in(monkeypatch, truth(order[0]), "what?", "s", "", "u", truth(order[1]), "2", "?")  # and then the input ends
    _, out, _ = hubtl_command(["label", str(harmed)], capsys)
    assert "unknown class 'what?'" in out
    assert "taken back: row" in out
    assert "undo the last answer" in out
    asking = study.begin(harmed, study.Rule())
    assert [answer.label for answer in asking._met()] == [truth(order[0]), truth(order[1]), "light"]
    assert asking.current().name == order[3]


def test_answers_that_two_processes_give_at_once_all_count(harmed):
    one, other = (study.begin(harmed, study.Rule()) for _ in range(2))
    first = other.current()
    while (question := one.current()) is not None:
        one.answer(question, truth(question.name))
    assert one.close().answer == "source-only"
    other.answer(first, truth(first.name))
    assert (other.close().losses, RunRecord.load(harmed).verified.losses) == (6, 6)
    assert study.begin(harmed, study.Rule()).close().answer == "source-only"
    assert ship.shipped(RunRecord.load(harmed)) == "source-only"


def test_a_change_that_is_cut_off_anywhere_loses_neither_model(harmed, tmp_path, monkeypatch):
    models = {weights(harmed), weights(harmed / "source-only")}
    verified = study.begin(harmed, study.Rule()).verified()
    steps = []
    for name in ("_set_aside", "_fill", "_write", "_drop", "_copy", "relist"):
        own = getattr(ship, name)
        monkeypatch.setattr(ship, name, lambda *given, own=own: (steps.append(1), _stop(steps), own(*given))[-1])
    for last in range(1, 60):
        run = shutil.copytree(harmed, tmp_path / f"cut-{last}")
        steps[:], _stop.at = [], last
        try:
            ship.ship(run, "source-only", verified)
        except KeyboardInterrupt:
            _stop.at = None
            ship.mend(run)
            record = RunRecord.load(run)
            found = ship.pair(run, record)
            assert {weights(folder) for folder in found.values()} == models
            assert json.loads((found["adapted"] / "hubtl.json").read_text())["strategy"] == "mcc"
            assert json.loads((found["source-only"] / "hubtl.json").read_text())["strategy"] == "source-only"
            continue
        break
    assert 10 < last < 59, "the loop met every step"


def _stop(steps):
    if _stop.at is not None and len(steps) == _stop.at:
        raise KeyboardInterrupt


def test_a_table_is_written_filled_in_and_read_back(harmed, tmp_path, capsys):
    table = tmp_path / "to-label.csv"
    code, out, _ = hubtl_command(["label", str(harmed), "--export", str(table), "--max", "12"], capsys)
    assert (code, out.splitlines()[0]) == (0, f"12 rows to label: {table}")
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["row", "image", "label"]
    assert [row["image"] for row in rows] == asked_in_order(harmed)[:12]
    filled = [{"label": truth(row["image"]), "note": "x", "row": row["row"]} for row in rows[:9]]
    filled[1]["label"] = ""
    save(table, filled, separator=";")
    code, out, _ = hubtl_command(["label", str(harmed), "--labels", str(table), "--json"], capsys)
    said = json.loads(out)
    assert (code, said["answer"], said["losses"], said["ships"]) == (0, "source-only", 8, "source-only")
    assert [row["label"] is None for row in said["rows"]] == [place == 1 for place in range(9)]


def save(path, rows, separator=","):
    with path.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[0].update(label="grey"), "line 2, row .*: unknown class 'grey'"),
        (
            lambda rows: rows.append({**rows[0], "label": "light" if rows[0]["label"] == "dark" else "dark"}),
            "in line 8",
        ),
        (lambda rows: rows[0].update(image="other.png"), "is '.*', and not 'other.png'"),
        (lambda rows: rows[0].update(row="999"), "there is no row 999"),
        (lambda rows: rows[0].update(row="first"), "line 2: 'first' is not the number of a row"),
        (lambda rows: [row.pop("row") for row in rows], "no column 'row'"),
    ],
)
def test_what_is_wrong_in_a_table_is_one_error_that_names_the_line(helped, tmp_path, capsys, change, said):
    table = tmp_path / "to-label.csv"
    study.begin(helped, study.Rule(most=6)).export(table)
    rows = list(csv.DictReader(table.open()))
    for row in rows:
        row["label"] = truth(row["image"])
    change(rows)
    save(table, rows)
    code, _, err = hubtl_command(["label", str(helped), "--labels", str(table)], capsys)
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert re.search(said, err), err
    assert RunRecord.load(helped).verified is None
    assert not (helped / "labels.jsonl").exists()


def test_two_models_that_agree_need_no_labels(finished):
    with pytest.raises(HubtlError, match=r"answer alike on every target row \(48\)"):
        study.begin(finished, study.Rule())


def test_the_order_is_drawn_by_the_seed_and_no_label_is_read(helped):
    assert asked_in_order(helped) == asked_in_order(helped)
    assert asked_in_order(helped) != asked_in_order(helped, seed=1)
    assert sorted(asked_in_order(helped)) == sorted(asked_in_order(helped, seed=1))


def test_a_run_with_one_model_says_how_to_have_two(helped, capsys):
    shutil.rmtree(helped / "source-only")
    code, _, err = hubtl_command(["label", str(helped)], capsys)
    assert code == 2
    assert "did not keep its source-only model" in err
    assert "--set run.keep_source_only=true" in err


def test_data_that_have_changed_are_refused(helped, capsys):
    target = helped.parent / "target"
    recipe = json.loads((helped / "record.json").read_text())
    shutil.copytree(recipe["recipe"]["target"]["dataset"], target)
    (target / "000.png").unlink()
    recipe["recipe"]["target"]["dataset"] = str(target)
    (helped / "record.json").write_text(json.dumps(recipe))
    code, _, err = hubtl_command(["label", str(helped)], capsys)
    assert code == 2
    assert "the data of the target have changed" in err


def test_an_e_value_asks_for_more(helped, capsys, monkeypatch):
    type_in(monkeypatch, *map(truth, asked_in_order(helped)))
    _, out, _ = hubtl_command(["label", str(helped), "--certain"], capsys)
    assert "verdict: adapted better, at most 0.05 wrong, by 6 labelled rows" in out
    assert RunRecord.load(helped).verified.evidence >= 20


def test_what_is_pushed_tells_rows_by_number_and_no_file_or_folder_of_the_user(harmed, capsys, monkeypatch):
    names = asked_in_order(harmed)
    type_in(monkeypatch, *map(truth, names))
    assert hubtl_command(["label", str(harmed)], capsys)[0] == 0
    pushed = files_of(harmed)
    assert "labels.jsonl" not in pushed
    assert not [name for name in pushed if name.startswith(("adapted", "training"))]
    said = "".join((harmed / name).read_text() for name in pushed if name.endswith((".json", ".md", ".yaml")))
    assert not [name for name in names if name in said]
    record = RunRecord.load(harmed)
    assert [row.row for row in record.verified.rows] == [int(name.split(".")[0]) for name in names[:6]]


def fell_back(place, monkeypatch, **options):
    """A run whose adapted model a guard rail dropped wrongly. It is right on every row."""
    monkeypatch.setattr("hubtl.judging.verdict._rail", lambda *_: "collapse: as a test says")
    monkeypatch.setattr(
        "hubtl.run.adapt.disagreement", lambda *_: Apart(0.1)
    )  # of these two it may be 0, which labels cannot settle
    return hubtl.adapt(
        output_dir=str(place / "run"),
        model="lenet",
        pretrained=False,
        source_dataset=str(place / "source"),
        target_dataset=str(place / "target"),
        strategy="mcc",
        lr=0.02,
        steps=30,
        batch_size=16,
        options={"run.plots": False, "run.fallback": True, **options},
    )


def test_labels_overrule_a_guard_rail_and_taking_them_back_gives_way_to_it_again(
    finished, tmp_path, capsys, monkeypatch
):
    for name in ("source", "target"):
        shutil.copytree(finished.parent / name, tmp_path / name)
    run = fell_back(tmp_path, monkeypatch).output_dir
    record = RunRecord.load(run)
    assert (record.strategy, record.verdict.tried) == ("source-only", "mcc")
    assert RunRecord.load(run / "adapted").strategy == "mcc"
    adapted = weights(run / "adapted")
    spoil(run)
    type_in(monkeypatch, *map(truth, asked_in_order(run)))
    code, out, _ = hubtl_command(["label", str(run)], capsys)
    assert (code, "ships adapted" in out) == (0, True)
    record = RunRecord.load(run)
    assert (record.strategy, record.verified.answer, record.verified.before) == ("mcc", "adapted", "source-only")
    assert weights(run) == adapted
    assert record.training.phases[0].name == "adapt"
    card = (run / "README.md").read_text()
    assert "Verified on 3 labelled rows: **adapted better" in card
    assert "was dropped" not in card
    assert not [text for text in record.warnings if "consider" in text or "was kept" in text]
    type_in(monkeypatch, "q")
    assert hubtl_command(["label", str(run), "--undo", "3"], capsys)[0] == 0
    record = RunRecord.load(run)
    assert (record.strategy, record.verified, record.verdict.tried) == ("source-only", None, "mcc")
    assert weights(run / "adapted") == adapted


def test_a_run_that_kept_source_only_alone_says_how_to_have_both(finished, tmp_path, capsys, monkeypatch):
    for name in ("source", "target"):
        shutil.copytree(finished.parent / name, tmp_path / name)
    run = fell_back(tmp_path, monkeypatch, **{"run.keep_source_only": False}).output_dir
    code, _, err = hubtl_command(["label", str(run)], capsys)
    assert code == 2
    assert "did not keep its adapted model, which mcc made" in err
    assert "--set run.keep_source_only=true keeps both" in err
