"""Multi-label runs, end to end: which methods work, what is saved, said, predicted and measured again, and what is sealed."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value, load_from_disk
from PIL import Image as Picture
from safetensors.torch import load_file

import hubtl
from hubtl.card import metadata, render
from hubtl.cli.predict import _text
from hubtl.errors import HubtlError
from hubtl.studies.evaluate import measure
from hubtl.tasks.multilabel import LabelledAs
from tests.backbones.test_loading import tiny
from tests.tiny import hubtl_command

CLASSES = ["left", "right", "top"]
LABELS = Features({"image": Image(), "labels": List(Value("string"))})


def picture(row: np.ndarray, rng: np.random.Generator, ground: int) -> Picture.Image:
    """A canvas with a bright bar for each class of a row."""
    canvas = rng.integers(0, 20, (28, 28)) + ground
    for there, place in zip(row, (np.s_[8:, :8], np.s_[8:, 20:], np.s_[:8, :]), strict=True):
        canvas[place] += 150 * int(there)
    return Picture.fromarray(canvas.astype(np.uint8))


def split(n: int, seed: int, ground: int = 0, labelled: bool = True) -> Dataset:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 3)) < 0.4
    names = [[name for name, there in zip(CLASSES, row, strict=True) if there] for row in truth]
    images = [picture(row, rng, ground) for row in truth]
    return Dataset.from_dict({"image": images, "labels": names if labelled else [None] * n}, features=LABELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("multilabel")
    DatasetDict({"train": split(96, 0), "test": split(40, 1)}).save_to_disk(str(root / "source"))
    DatasetDict({"train": split(48, 2, 40), "test": split(40, 3, 40)}).save_to_disk(str(root / "target"))
    return root


def flags(data: Path, folder: Path, **more):
    return {
        "model": "lenet",
        "pretrained": False,
        "source_dataset": str(data / "source"),
        "target_dataset": str(data / "target"),
        "optimizer": "adam",
        "lr": 2e-3,
        "batch_size": 16,
        "device": "cpu",
        "output_dir": str(folder),
        **more,
        "options": {"task.name": "multi-label", "model.bottleneck": 0, **more.get("options", {})},
    }


QUICK = {"steps": 2, "options": {"run.plots": False}}


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """One run that is long enough to learn."""
    return hubtl.adapt(**flags(data, tmp_path_factory.mktemp("run") / "coral", strategy="coral", steps=40))


def test_it_learns_and_both_models_are_measured(run):
    base, adapted = run.record.source_only, run.record.adapted
    assert adapted.primary.name == "map"
    assert min(base.source, adapted.source) > 0.9
    assert adapted.value > adapted.figures.constant_map + 0.2
    assert adapted.n == 40
    low, high = adapted.primary.interval
    assert low <= adapted.value <= high
    assert run.record.difference is not None
    assert run.record.target_labels == "none"
    assert run.record.source.label_counts.keys() == set(CLASSES)


def test_thresholds_are_fitted_on_the_sources_evaluation_rows_and_kept_with_the_model(run):
    details = run.record.outputs.details
    assert details["threshold_rows"] == 40
    assert details["thresholds_held_out"] is True
    assert [score.threshold for score in run.record.adapted.figures.per_class] == details["thresholds"]
    saved = json.loads((run.output_dir / "hubtl.json").read_text())
    assert saved["outputs"]["details"]["thresholds"] == details["thresholds"]
    assert hubtl.load(run.output_dir).task.thresholds.tolist() == details["thresholds"]


def test_the_saved_model_is_the_evaluated_model(run, data):
    figures, known = measure(str(run.output_dir), str(data / "target")), run.record.adapted
    assert figures.numbers() | {"source": None, "primary": None} == known.numbers() | {"source": None, "primary": None}
    assert [score.ap for score in figures.figures.per_class] == [score.ap for score in known.figures.per_class]


@pytest.mark.parametrize("strategy", ["dan", "dann", "afn", "source-only", "coral+dan"])
def test_methods_that_read_features_train(data, tmp_path, strategy):
    done = hubtl.adapt(**flags(data, tmp_path / "run", strategy=strategy, baseline=False, **QUICK))
    assert done.record.strategy == strategy
    assert done.record.adapted.value is not None


def test_adabn_works_where_there_is_batchnorm_and_timm_reads_what_is_saved(data, tmp_path):
    import timm

    more = {"model": "test_resnet", "image_size": 32, "strategy": "adabn", "baseline": False, **QUICK}
    hubtl.adapt(**flags(data, tmp_path / "run", **more))
    loaded = hubtl.load(tmp_path / "run")
    native = timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True).eval()
    assert list(native.pretrained_cfg["label_names"]) == loaded.classes == CLASSES
    image = load_from_disk(str(data / "target"))["test"][0]["image"]
    assert loaded.predict(image)[0].probabilities.keys() == set(CLASSES)


@pytest.mark.parametrize("strategy", ["mcc", "cdan", "shot", "bnm", "mcd", "fixmatch"])
def test_methods_that_read_probabilities_are_refused_by_name_before_anything_is_written(data, tmp_path, strategy):
    source = None if strategy == "shot" else str(data / "source")
    for given in {source, str(data / "source")}:
        with pytest.raises(
            HubtlError, match=f"{strategy} needs probabilities that sum to one, and multi-label has one for each class"
        ) as error:
            hubtl.adapt(**flags(data, tmp_path / "run", strategy=strategy, source_dataset=given, **QUICK))
        assert error.value.hint
    assert not (tmp_path / "run").exists()


def test_transformers_reads_its_problem_type_and_its_loss_is_that_of_several_labels(data, tmp_path):
    from transformers import AutoModelForImageClassification

    tiny("vit").save_pretrained(tmp_path / "base")
    more = {"model": str(tmp_path / "base"), "pretrained": True, "image_size": 32, "strategy": "finetune"}
    done = hubtl.adapt(**flags(data, tmp_path / "run", source_dataset=None, **more, **QUICK))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["problem_type"] == "multi_label_classification"
    native = AutoModelForImageClassification.from_pretrained(tmp_path / "run").eval()
    pixels, truth = torch.randn(2, 3, 32, 32), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    with torch.no_grad():
        found = native(pixel_values=pixels, labels=truth)
        loaded = hubtl.load(tmp_path / "run")
        ours = loaded.classifier({"image": pixels})
    assert torch.allclose(found.logits, ours, atol=1e-5)
    assert float(found.loss) == pytest.approx(float(loaded.task.losses(ours, truth).mean()) / 3, abs=1e-5)
    assert done.record.outputs.details["thresholds_held_out"] is False
    assert done.record.target_labels == "training"
    assert "rows that training learnt from" in (tmp_path / "run" / "README.md").read_text()


def test_the_targets_labels_never_reach_training(data, tmp_path):
    """Other labels behind the seal, the same weights and thresholds."""
    target = load_from_disk(str(data / "target"))
    other = DatasetDict({name: rows.map(lambda row: {"labels": CLASSES[:1]}) for name, rows in target.items()})
    other["test"] = split(40, 3, 40)
    other.save_to_disk(str(tmp_path / "other"))
    found = []
    for name, where in (("one", data / "target"), ("two", tmp_path / "other")):
        more = {"strategy": "dann", "target_dataset": str(where), **QUICK}
        done = hubtl.adapt(**flags(data, tmp_path / name, **more))
        found.append((load_file(tmp_path / name / "model.safetensors"), done.record.outputs.details["thresholds"]))
    (one, cuts), (two, others) = found
    assert cuts == others
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_an_unlabelled_target_and_missing_cells_train_and_are_said(data, tmp_path):
    rng = np.random.default_rng(7)
    truth = rng.random((60, 3)) < 0.5
    cells = np.where(rng.random((60, 3)) < 0.2, np.nan, truth)
    cells[:5] = np.nan
    known = {name: [None if np.isnan(x) else int(x) for x in cells[:, i]] for i, name in enumerate(CLASSES)}
    features = Features({"image": Image(), **{name: Value("int8") for name in CLASSES}})
    images = [picture(row, rng, 0) for row in truth]
    for name, labels in (("cells", known), ("none", {name: [None] * 60 for name in CLASSES})):
        rows = Dataset.from_dict({"image": images, **labels}, features=features)
        DatasetDict({"train": rows}).save_to_disk(str(tmp_path / name))
    more = {"source_dataset": str(tmp_path / "cells"), "target_dataset": str(tmp_path / "none")}
    columns = ",".join(CLASSES)
    done = hubtl.adapt(**flags(data, tmp_path / "run", label_column=columns, strategy="dan", **more, **QUICK))
    without = int(np.isnan(cells).all(axis=1).sum())
    assert done.record.source.unlabelled_rows == without
    assert done.record.adapted.value is None
    assert np.isfinite(done.record.adapted.source)
    assert "not measured" in (tmp_path / "run" / "README.md").read_text()
    figures = measure(str(tmp_path / "run"), str(tmp_path / "cells"), split="train", data={"label_column": columns})
    assert (figures.n, figures.unlabelled_rows) == (60 - without, without)
    assert figures.figures.missing_cells == int(np.isnan(cells[~np.isnan(cells).all(axis=1)]).sum())


def test_auto_picks_a_method_that_works_and_the_plan_says_classes(data, tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"model: {{name: lenet, pretrained: false}}\ntask: multi-label\nsource: {data / 'source'}\n"
        f"target: {data / 'target'}\nstrategy: auto\n"
    )
    code, out, _ = hubtl_command(["adapt", str(recipe), "--dry-run"], capsys)
    assert code == 0
    assert "multi-label" in out or "classes    3: left, right, top" in out
    assert "dann (auto: it aligns features" in out


def test_predictions_of_the_command_line(run, data, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, row in enumerate(load_from_disk(str(data / "source"))["test"].select(range(6))):
        row["image"].save(folder / f"{number}.png")
    code, out, _ = hubtl_command(
        ["predict", str(run.output_dir), str(folder), "--format", "csv", "--top-k", "2"], capsys
    )
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["input", "labels", "probabilities", "label_1", "probability_1", "label_2", "probability_2"]
    truth = load_from_disk(str(data / "source"))["test"]["labels"][:6]
    right = [sorted(row["labels"].split(", ")) == sorted(names or [""]) for row, names in zip(rows, truth, strict=True)]
    assert sum(right) >= 4
    code, out, _ = hubtl_command(["predict", str(run.output_dir), str(folder), "--json"], capsys)
    assert code == 0
    assert [", ".join(p["labels"]) for p in json.loads(out)["predictions"]] == [row["labels"] for row in rows]


def test_evaluate_and_diff_speak_of_map(run, data, capsys):
    source, target = str(data / "source"), str(data / "target")
    code, out, _ = hubtl_command(["evaluate", str(run.output_dir), "--dataset", target], capsys)
    assert code == 0
    assert "mAP" in out
    assert "accuracy" not in out
    code, out, _ = hubtl_command(["diff", *[str(run.output_dir)] * 2, "--dataset", source], capsys)
    assert code == 0
    assert "mAP" in out
    assert "accuracy" not in out


def test_the_card_speaks_of_labels_and_its_code_prints_them(run):
    text = (run.output_dir / "README.md").read_text()
    assert "| target mAP | source-only | adapted | difference |" in text
    assert "A model with the same answer for every row has a mAP of" in text
    assert "is assigned any number of the" in text
    assert "The thresholds were fitted on 40 evaluation rows of the source" in text
    assert "accuracy" not in text
    assert {"per_class_ap.png", "per_class_ap-dark.png"} <= set(run.record.plots)
    assert metadata.problems(metadata.of(run.record, "me/model")) == []
    code = text.split("```python\n")[1].split("```")[0]
    names = hubtl.load(run.output_dir)
    said: list[list[str]] = []
    image = load_from_disk(str(run.record.recipe["source"]["dataset"]))["test"][0]["image"]
    tail = code[code.index("thresholds = ") :]
    exec(tail, {"model": names, "logits": names.logits([image]), "print": said.append})
    assert said == [[name for name in CLASSES if name in names.predict(image)[0].labels]]


def test_a_name_with_a_comma_stays_one_label_in_what_is_predicted(capsys):
    answer = LabelledAs("x.png", ["salt, pepper", "oil"], {"salt, pepper": 0.9, "oil": 0.8})
    assert answer.row()["labels"] == ["salt, pepper", "oil"]
    (row,) = csv.DictReader(io.StringIO(_text([answer.row()], "csv")))
    assert row == {"input": "x.png", "labels": '"salt, pepper", oil', "probabilities": "0.9, 0.8"}
    assert json.loads(_text([answer.row()], "jsonl"))["labels"] == ["salt, pepper", "oil"]
    assert '"salt, pepper", oil' in _text([answer.row()], "table")


def test_the_caption_of_the_features_claims_no_colours_of_classes(run):
    card = render(run.record)
    assert "Features of both domains" in card
    assert "the target's colours" not in card
