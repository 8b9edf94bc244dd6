"""Labels from what a user typed to the figures: each file by its own names, and rows without a label counted."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as Picture
from typer import Typer
from typer.testing import CliRunner

import hubtl
from hubtl.cli.diff import diff
from hubtl.cli.evaluate import evaluate
from hubtl.data.sealed import unsealed
from hubtl.data.sources import open_domain
from hubtl.errors import HubtlError
from hubtl.recipe.reading import parse
from hubtl.recipe.schema import DataSection, DomainSection, SourceSection
from hubtl.run.prepare import prepare
from hubtl.run.streams import hold_out, relate
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.reading import UNLABELLED
from hubtl.tasks.multilabel import MultiLabel

COLOURS = {"bus": (220, 30, 30), "cat": (30, 220, 30), "dog": (30, 30, 220), "eel": (200, 200, 30)}
QUICK = {"run.plots": False, "run.evaluate_every": 100}


def picture(name, seed):
    noise = np.random.default_rng(seed).integers(-25, 25, (12, 12, 3))
    return Picture.fromarray(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))


def rows(names, order=None, *, labels=None, column="label", start=0):
    """Pictures of the named classes; ``order`` is that of the ClassLabel, ``labels`` stands for what the cells say."""
    cells = labels if labels is not None else [order.index(n) for n in names] if order else list(names)
    pictures = [picture(name, start + i) for i, name in enumerate(names)]
    features = {"image": Image(), column: ClassLabel(names=order)} if order else None
    if features is None:
        made = Dataset.from_dict({"image": pictures}, features=Features({"image": Image()}))
        return made.add_column(column, cells)
    return Dataset.from_dict({"image": pictures, column: cells}, features=Features(features))


def saved(folder, **splits):
    folder.mkdir()
    for name, dataset in splits.items():
        dataset.to_parquet(folder / f"{name}.parquet")
    return folder


def opened(path, role="target", data=None, **section):
    kind = SourceSection if role == "source" else DomainSection
    return open_domain(kind(dataset=str(path), **section), DataSection(**(data or {})), Classification(), role=role)


def told(domain, part="train"):
    codes = domain.labels if part == "train" else domain.eval_labels
    return [None if c == UNLABELLED else domain.outputs.names[c] for c in codes]


def recipe(target, source=None, strategy="finetune", *, few=None, **sections):
    given = {"model": {"name": "lenet", "pretrained": False, "image_size": 32}, "strategy": {"name": strategy}}
    given["target"] = {"dataset": str(target), "labels_per_class": few}
    return parse({**given, **({"source": {"dataset": str(source)}} if source else {}), **sections})


THREE = ["bus", "cat", "dog"]


@pytest.mark.parametrize("kind", ["parquet", "disk"])
def test_splits_with_other_orders_of_classes(tmp_path, kind):
    train, test = rows(THREE * 4, THREE), rows(THREE * 3, ["dog", "cat", "bus"], start=50)
    if kind == "disk":
        DatasetDict(train=train, test=test).save_to_disk(tmp_path / "data")
    else:
        saved(tmp_path / "data", train=train, test=test)
    domain = opened(tmp_path / "data")
    assert domain.outputs.names == THREE
    assert (told(domain), told(domain, "eval")) == (THREE * 4, THREE * 3)


def test_shards_of_a_split_with_other_orders_and_classes(tmp_path):
    folder = saved(
        tmp_path / "data",
        **{
            "train-00000-of-00003": rows(THREE, THREE),
            "train-00001-of-00003": rows(["eel", "cat"], ["eel", "cat", "bus"], start=9),
            "train-00002-of-00003": rows(THREE, THREE, start=20),
            "test": rows(["cat", "dog"], ["dog", "cat"], start=40),
        },
    )
    domain = opened(folder)
    assert domain.outputs.names == [*THREE, "eel"]
    assert told(domain) == [*THREE, "eel", "cat", *THREE]
    assert told(domain, "eval") == ["cat", "dog"]
    shown = [domain.train[i]["image"].getpixel((0, 0)) for i in range(8)]
    nearest = [min(COLOURS, key=lambda n: np.abs(np.subtract(COLOURS[n], pixel)).sum()) for pixel in shown]
    assert nearest == told(domain)


def listing(sets, order=None, start=0):
    item = ClassLabel(names=order) if order else Value("int64")
    cells = [[order.index(name) if order else name for name in names] for names in sets]
    pictures = [picture("cat", start + i) for i in range(len(sets))]
    return Dataset.from_dict(
        {"image": pictures, "tags": cells}, features=Features({"image": Image(), "tags": List(item)})
    )


def sets_of(folder):
    domain = open_domain(DomainSection(dataset=str(folder)), DataSection(), MultiLabel(), role="target")
    names = domain.outputs.names
    return [
        [[name for name, there in zip(names, row, strict=True) if there == 1] for row in labels]
        for labels in (domain.labels, domain.eval_labels)
    ]


def test_shards_of_lists_with_other_orders_of_classes(tmp_path):
    one, other, test = [["bus"], ["cat", "dog"], []], [["dog"], ["bus", "eel"]], [["cat"], ["dog", "bus"]]
    folder = saved(
        tmp_path / "data",
        **{
            "train-00000-of-00002": listing(one, THREE),
            "train-00001-of-00002": listing(other, ["eel", "dog", "bus"], start=9),
            "test": listing(test, THREE[::-1], start=20),
        },
    )
    train, evaluated = sets_of(folder)
    assert [sorted(names) for names in train] == [*one, *other]
    assert [sorted(names) for names in evaluated] == [sorted(names) for names in test]


def test_lists_of_numbers_without_names_are_read_by_the_other_files_names(tmp_path):
    folder = saved(
        tmp_path / "data", train=listing([["cat"], ["bus", "dog"]], THREE), test=listing([[1], [0, 2]], start=9)
    )
    assert sets_of(folder) == [[["cat"], ["bus", "dog"]], [["cat"], ["bus", "dog"]]]


def test_numbers_without_names_are_read_by_the_other_files_names_or_refused(tmp_path, caplog):
    plain = rows(["dog", "bus"], labels=[2, 0])
    domain = opened(saved(tmp_path / "one", train=plain, test=rows(THREE, THREE)))
    assert (domain.outputs.names, told(domain)) == (THREE, ["dog", "bus"])
    folder = saved(tmp_path / "two", train=rows(THREE, THREE), test=rows(THREE, THREE[::-1]), validation=plain)
    with pytest.raises(HubtlError, match=r"'label' differently, and validation\.parquet does not name its own"):
        opened(folder)


def test_a_label_that_its_own_shard_does_not_name_is_refused(tmp_path):
    broken = Dataset(rows(["bus", "cat"], labels=[0, 3]).data, info=rows(["bus"], ["bus", "cat"]).info.copy())
    parts = {"train-00000-of-00002": rows(THREE, THREE), "train-00001-of-00002": broken}
    with pytest.raises(
        HubtlError, match=r"train-00001-of-00002\.parquet, column 'label', row 1: label 3 is out of range"
    ):
        opened(saved(tmp_path / "data", **parts))


@pytest.mark.parametrize("header", ["Label", "LABEL", " label "])
def test_headers_of_splits_may_differ_in_case(tmp_path, header):
    train, test = rows(THREE * 2, THREE), rows(THREE, THREE).rename_columns({"label": header, "image": "IMAGE"})
    DatasetDict(train=train, test=test).save_to_disk(tmp_path / "data")
    domain = opened(tmp_path / "data", data={"label_column": "Label", "image_column": "Image"})
    assert domain.facts.columns == {"image": "image", "label": "label"}
    assert told(domain, "eval") == THREE


def test_domains_of_one_column_in_splits_with_other_orders(tmp_path):
    def mixed(order, styles, labels):
        made = rows(THREE * 2, labels)
        cells = ["photo", "sketch"] * 3
        feature = ClassLabel(names=styles)
        return made.add_column("Style", [styles.index(c) for c in cells]).cast_column("Style", feature)

    train = mixed(THREE, ["photo", "sketch"], THREE)
    test = mixed(THREE, ["sketch", "photo"], THREE[::-1])
    DatasetDict(train=train, test=test).save_to_disk(tmp_path / "data")
    domain = opened(tmp_path / "data", data={"domain_column": "style"}, domain="photo")
    assert (told(domain), told(domain, "eval")) == (["bus", "dog", "cat"], ["bus", "dog", "cat"])
    both = opened(tmp_path / "data", "source", data={"domain_column": "STYLE"}, domain=["sketch", "photo"])
    assert both.domains.tolist() == both.eval_domains.tolist() == [1, 0, 1, 0, 1, 0]


def test_where_the_test_split_hides_its_labels_the_validation_split_is_evaluated(tmp_path, caplog):
    hidden = rows(THREE, labels=[-1, -1, -1], start=30)
    train, validation = (rows(THREE * n, labels=[0, 1, 2] * n) for n in (4, 2))
    folder = saved(tmp_path / "data", train=train, test=hidden, validation=validation)
    with caplog.at_level("INFO", logger="hubtl"):
        domain = opened(folder)
    assert (domain.outputs.names, domain.facts.eval_split) == (["0", "1", "2"], "validation")
    assert "no row of split test has a label: validation is evaluated" in caplog.text
    asked = opened(folder, eval_split="test")
    assert (asked.eval_labels, asked.facts.eval_labelled, asked.facts.eval_rows) == (None, False, 3)
    (folder / "validation.parquet").unlink()
    cut = opened(folder)
    assert (cut.facts.eval_split, len(cut.train), sorted(told(cut, "eval"))) == ("20% of train", 9, ["0", "1", "2"])
    assert len(opened(saved(tmp_path / "blind", train=hidden, test=hidden)).eval) == 3


def test_a_source_learns_from_its_labelled_rows_alone(tmp_path, caplog):
    labels = ["bus", None, "cat", "bus", "cat", None, "cat", "bus", "bus", "cat"]
    data = rows([n or "dog" for n in labels], labels=labels)
    folder = saved(tmp_path / "data", train=data, test=data)
    with caplog.at_level("INFO", logger="hubtl"):
        source = opened(folder, "source")
    assert "2 of 10 training rows have no label: they are left out" in caplog.text
    assert told(source) == told(source, "eval") == [n for n in labels if n]
    assert source.facts.label_counts == {"bus": 4, "cat": 4}
    assert (source.facts.rows, source.facts.unlabelled_rows, source.facts.eval_unlabelled_rows) == (8, 2, 2)
    nothing = opened(saved(tmp_path / "none", train=rows(THREE, labels=[-1] * 3)), "source")
    with pytest.raises(HubtlError, match=r"has no labels .column 'label' has no label in any row"):
        relate(Classification(), nothing, source)
    with pytest.raises(HubtlError, match="all training rows are of one class"):
        opened(saved(tmp_path / "one", train=rows(THREE, labels=["a", None, "a"])), "source")


def test_finetuning_learns_from_labelled_rows_alone(tmp_path):
    labels = [None, *THREE, *THREE, *THREE, *THREE, None]
    data = rows([n or "eel" for n in labels], labels=labels)
    folder = saved(tmp_path / "data", train=data, test=data)
    prepared = prepare(recipe(folder))
    assert prepared.streams.train["target"].labels.min() == 0
    assert (prepared.target.rows, prepared.target.unlabelled_rows) == (12, 2)
    assert (unsealed(prepared.streams.target_eval_labels) == UNLABELLED).sum() == 2
    held = prepare(recipe(folder, data={"hold_out": 0.25})).streams.held_out
    assert sorted(held.labels.tolist()) == [0, 1, 2]
    few = prepare(recipe(folder, few=2)).streams.train["target"]
    assert sorted(few.labels.tolist()) == [0, 0, 1, 1, 2, 2]


def test_what_is_cut_off_has_labels(tmp_path):
    labels = [None if i % 2 else n for i, n in enumerate(THREE * 10)]
    domain = opened(saved(tmp_path / "data", train=rows(THREE * 10, labels=labels)))
    assert None not in told(domain, "eval")
    assert told(domain).count(None) == 15
    rest, held = hold_out(domain, 0.5, "transfer")
    assert None not in told(held)
    assert len(rest.train) + len(held.train) == len(domain.train)


def test_a_target_of_one_class_is_measured_and_a_source_or_a_task_is_not(tmp_path):
    for name in ("bus", "cat"):
        (tmp_path / "source" / name).mkdir(parents=True)
        for i in range(6):
            picture(name, i).save(tmp_path / "source" / name / f"{i}.png")
    (tmp_path / "target" / "cat").mkdir(parents=True)
    for i in range(6):
        picture("cat", 20 + i).save(tmp_path / "target" / "cat" / f"{i}.png")
    prepared = prepare(recipe(tmp_path / "target", tmp_path / "source", "source-only"))
    assert (prepared.relation.setting, prepared.relation.shared) == ("partial", ["cat"])
    assert set(unsealed(prepared.streams.target_eval_labels).tolist()) == {1}
    with pytest.raises(HubtlError, match=r"one class alone .cat.: nothing to tell apart"):
        prepare(recipe(tmp_path / "target"))
    with pytest.raises(HubtlError, match="one class"):
        prepare(recipe(tmp_path / "source", tmp_path / "target", "source-only"))


def test_lists_and_decimals_are_said_and_refused(tmp_path, caplog):
    folder = saved(tmp_path / "data", train=rows(THREE * 3, labels=[0.5, 1.0, 2.0] * 3, column="Label"))
    with caplog.at_level("INFO", logger="hubtl"), pytest.raises(HubtlError, match=r"no labels .*numbers such as 0.5"):
        prepare(recipe(folder))
    assert "column 'Label' is passed over: it holds numbers such as 0.5" in caplog.text
    with pytest.raises(HubtlError, match=r"column 'Label' holds numbers such as 0.5"):
        prepare(recipe(folder, data={"label_column": "label"}))


def test_the_unknown_class_of_an_open_set_is_apart_from_rows_without_a_label(tmp_path):
    source = saved(tmp_path / "source", train=rows(["bus", "cat"] * 6, ["bus", "cat"]))
    labels = ["bus", "eel", None, "dog", "cat", "", "eel", "bus"]
    data = rows([n or "dog" for n in labels], labels=labels)
    target = saved(tmp_path / "target", train=data, test=data)
    plain = prepare(recipe(target, source, "dann"))
    assert unsealed(plain.streams.target_eval_labels).tolist() == [0, -1, -2, -1, 1, -2, -1, 0]
    assert any("not scored: 3 evaluation rows of classes" in warning for warning in plain.warnings)
    opened_set = prepare(recipe(target, source, "osbp"))
    assert unsealed(opened_set.streams.target_eval_labels).tolist() == [0, 2, -2, 2, 1, -2, 2, 0]
    assert plain.streams.train["target"].labels is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A source of three classes; a target that writes them otherwise, with a class more and rows without a label."""
    root = tmp_path_factory.mktemp("run")
    source = saved(root / "source", train=rows(THREE * 12, THREE), test=rows(THREE * 4, THREE[::-1], start=100))
    cells = [*["Bus", "CAT", "dog"] * 6, "eel", "eel", None, None, None]
    shown = [*THREE * 6, "eel", "eel", "bus", "cat", "dog"]
    target = saved(
        root / "target", train=rows(shown, labels=cells, start=200), test=rows(shown, labels=cells, start=300)
    )
    result = hubtl.adapt(
        model="lenet",
        pretrained=False,
        image_size=32,
        source_dataset=str(source),
        target_dataset=str(target),
        strategy="source-only",
        steps=60,
        batch_size=12,
        output_dir=str(root / "out"),
        options=QUICK,
    )
    return result, target


def test_the_figures_say_on_how_many_rows(run, capsys):
    result, _ = run
    record = result.record
    for figures in (record.adapted, result.summary()["target"]["adapted"]):
        of = figures if isinstance(figures, dict) else figures.flat()
        assert (of["n"], of["unknown_class_rows"], of["unlabelled_rows"]) == (18, 2, 3)
    assert record.adapted.accuracy > 0.9
    assert record.label_sets.respelt == {"bus": "Bus", "cat": "CAT"}
    assert (record.target.unlabelled_rows, record.target.eval_unlabelled_rows) == (3, 3)
    from hubtl.cli.show import result as show

    show(result, as_json=False)
    assert "18 held-out rows; not scored: 2 rows of unknown classes, 3 rows" in " ".join(
        capsys.readouterr().out.split()
    )
    card = (result.output_dir / "README.md").read_text()
    assert "not scored: 2 rows of unknown classes, 3 rows without a label" in card
    assert "(3 of them without a label)" in card
    assert "'bus' (target: 'Bus')" in card


def test_evaluating_and_comparing_count_them_too(run):
    result, target = run
    folder = str(result.output_dir)
    runner, app = CliRunner(), Typer()
    app.command("evaluate")(evaluate)
    app.command("diff")(diff)
    said = "2 rows of unknown classes, 3 rows without a label"
    shown = runner.invoke(app, ["evaluate", folder, "--dataset", str(target)])
    assert f"18  not scored: {said}" in shown.output
    kept = json.loads(runner.invoke(app, ["evaluate", folder, "--dataset", str(target), "--json"]).stdout)
    assert (kept["n"], kept["unknown_class_rows"], kept["unlabelled_rows"]) == (18, 2, 3)
    shown = runner.invoke(app, ["diff", folder, folder, "--dataset", str(target)])
    assert f"not scored by A: {said}" in shown.output
    kept = json.loads(runner.invoke(app, ["diff", folder, folder, "--dataset", str(target), "--json"]).stdout)
    assert (kept["first"]["unlabelled_rows"], kept["second"]["unknown_class_rows"]) == (3, 2)


def test_a_ranking_scores_labelled_rows_alone(run):
    _, target = run
    found = hubtl.rank("lenet", str(target), pretrained=False, image_size=32, device="cpu")
    assert (found.rows, found.outputs) == (20, ["Bus", "CAT", "dog", "eel"])
