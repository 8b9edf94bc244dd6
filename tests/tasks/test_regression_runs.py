"""Runs of a regression from data to card. Its saved models answer in their libraries' own formats."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture
from torch import nn

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.card import metadata, render
from hubtl.errors import HubtlError
from hubtl.models import saved
from hubtl.record import RunRecord
from hubtl.studies.evaluate import measure, measure_two
from tests.backbones.test_loading import tiny
from tests.tiny import hubtl_command

LABELS = ("size", "place")


def drawn(seed, grey, rows=40):
    """Discs whose radius and place are the labels; their ground is black or grey; some lack the second one."""
    rng = np.random.default_rng(seed)
    radius, place = rng.uniform(3, 9, rows), rng.uniform(100, 180, rows)
    y, x = np.mgrid[:28, :28]
    discs = [
        ((y - 14) ** 2 + (x - at / 10) ** 2 < r * r) * (200.0 - grey) + grey
        for r, at in zip(radius, place, strict=True)
    ]
    cells = {
        "image": [Picture.fromarray(disc.astype(np.uint8)) for disc in discs],
        "size": radius.tolist(),
        "place": [None if number % 10 == 3 else value for number, value in enumerate(place.tolist())],
    }
    return Dataset.from_dict(
        cells, features=Features({"image": Image(), "size": Value("float32"), "place": Value("float64")})
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    for name, grey, seed in (("black", 0, 0), ("grey", 60, 5)):
        DatasetDict(train=drawn(seed, grey), test=drawn(seed + 1, grey)).save_to_disk(folder / name)
    return folder


def common(data, folder, **more):
    return {
        "model": "lenet",
        "pretrained": False,
        "target_dataset": str(data / "grey"),
        "steps": 6,
        "batch_size": 8,
        "device": "cpu",
        "label_column": "size,place",
        "output_dir": str(folder),
        "options": {"task.name": "regression", "task.unit": "px, dpx", **more.pop("options", {})},
        **more,
    }


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    keep = {"run.keep_source_only": True}
    return hubtl.adapt(**common(data, folder, source_dataset=str(data / "black"), strategy="coral", options=keep))


def test_a_run_is_measured_in_the_units_of_the_labels(run):
    record = RunRecord.load(run.output_dir)
    assert record.task == "regression"
    assert record.outputs.names == list(LABELS)
    assert record.adapted.primary.name == "mae"
    assert record.adapted.figures.per_output[1].n == 36
    assert 0 < record.adapted.figures.per_output[0].mae < 20 < 100 < record.outputs.details["location"][1]
    assert record.difference.low <= record.adapted.value - record.source_only.value <= record.difference.high
    assert len(record.outputs.details["margin"]) == 2
    assert record.verdict.answer in ("undecided", "source-only")


def test_the_saved_model_answers_what_the_run_measured(run, data):
    again = measure(str(run.output_dir), str(data / "grey"), data={"label_column": "size,place"})
    assert again.value == pytest.approx(run.record.adapted.value, abs=1e-4)
    assert again.figures.covered == pytest.approx(run.record.adapted.figures.covered)
    one, _, apart = measure_two(
        str(run.output_dir / "source-only"),
        str(run.output_dir),
        str(data / "grey"),
        data={"label_column": "size,place"},
    )
    assert one.value == pytest.approx(run.record.source_only.value, abs=1e-4)
    assert apart.low == pytest.approx(run.record.difference.low, abs=1e-3)


def test_answers_have_values_and_intervals_by_name(run, data, capsys):
    image = DatasetDict.load_from_disk(data / "grey")["test"][0]["image"]
    (answer,) = hubtl.load(str(run.output_dir)).predict([image])
    low, high = answer.interval["place"]
    assert answer.values["place"] - low == pytest.approx(high - answer.values["place"])
    assert high - low == pytest.approx(2 * run.record.outputs.details["margin"][1])
    code, out, _ = hubtl_command(["predict", str(run.output_dir), str(data / "grey"), "--format", "csv"], capsys)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 40
    assert float(rows[0]["place"]) == pytest.approx(answer.values["place"], rel=1e-4)
    assert set(rows[0]) == {"input", *LABELS, *(f"{name}_{end}" for name in LABELS for end in ("low", "high", "unit"))}
    code, out, _ = hubtl_command(["predict", str(run.output_dir), str(data / "grey"), "--json"], capsys)
    assert code == 0
    assert len(json.loads(out)["predictions"]) == 40


def test_the_card_speaks_of_outputs_and_the_hub_takes_it(run):
    record = RunRecord.load(run.output_dir)
    card = render(record)
    assert "| target MAE | source-only | adapted | difference |" in card
    assert "size 3" in card
    assert "hold for 90% of the held-out rows of the source" in card
    assert "classes" not in card.partition("## Protocol")[0].replace("model.classes", "")
    assert not metadata.problems(metadata.of(record))
    for name in ("scatter", "residuals"):
        assert (run.output_dir / "plots" / f"{name}.png").exists()
        assert (run.output_dir / "plots" / f"{name}-dark.png").exists()


@pytest.mark.parametrize("task", ["regression", "multi-label"])
@pytest.mark.parametrize("trained", [False, True])
def test_a_target_whose_labels_are_passed_over_is_told_so_not_of_a_strategy(task, trained, run, data, tmp_path):
    split = drawn(9, 0, rows=8).select_columns("image").add_column("label", ["a", "b"] * 4)
    split.save_to_disk(tmp_path / "words")
    words = common(data, tmp_path / "run") | {"label_column": None, "target_dataset": str(tmp_path / "words")}
    if trained:
        words |= {"model": str(run.output_dir), "pretrained": True}
    with pytest.raises(HubtlError, match=r"has no labels .*'label' is passed over: it holds texts") as error:
        hubtl.adapt(**words | {"options": {"task.name": task}})
    assert "--label-column" in error.value.hint


@pytest.mark.parametrize("strategy", ["mcc", "cdan", "shot", "mcc+coral"])
def test_methods_that_read_probabilities_are_refused_by_name_before_anything_is_written(strategy, data, tmp_path):
    with pytest.raises(HubtlError, match=f"{strategy.split('+')[0]}.*regression"):
        hubtl.adapt(**common(data, tmp_path / "run", source_dataset=str(data / "black"), strategy=strategy))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", ["dann", "dan", "afn", "adabn", "rsd", "dare-gram", "coral+dan", "auto"])
def test_methods_on_features_run_as_they_are(strategy, data, tmp_path):
    model = "test_resnet" if strategy == "adabn" else "lenet"
    words = common(data, tmp_path / "run", source_dataset=str(data / "black"), strategy=strategy)
    options = {**words.pop("options"), "run.plots": False, "run.baseline": False, "model.image_size": 32}
    record = hubtl.adapt(**{**words, "model": model, "steps": 2, "options": options}).record
    assert record.adapted.value > 0


@pytest.mark.parametrize("model", ["test_resnet", "vit"])
def test_the_library_itself_answers_in_the_units_of_the_labels(model, data, tmp_path):
    if model == "vit":
        tiny("vit").save_pretrained(tmp_path / "base")
    words = common(data, tmp_path / "run", strategy="finetune", options={"model.image_size": 32, "run.plots": False})
    given = {"model": str(tmp_path / "base"), "pretrained": True} if model == "vit" else {"model": model}
    run = hubtl.adapt(**{**words, **given, "steps": 2})
    loaded = hubtl.load(str(run.output_dir))
    image = DatasetDict.load_from_disk(data / "grey")["test"][0]["image"].convert("RGB").resize((32, 32))
    inputs = loaded.intake().batch([image])["image"]
    with torch.inference_mode():
        if model == "vit":
            from transformers import AutoModelForImageClassification

            theirs = AutoModelForImageClassification.from_pretrained(run.output_dir).eval()
            assert theirs.config.problem_type == "regression"
            logits = theirs(inputs).logits
        else:
            import timm

            logits = timm.create_model(f"local-dir:{run.output_dir}", pretrained=True).eval()(inputs)
    (answer,) = loaded.predict([image])
    assert list(answer.values.values()) == pytest.approx(logits[0].tolist(), rel=1e-3, abs=1e-3)
    assert 100 < answer.values["place"] < 180, "not in the units of the labels"
    assert not answer.interval, "its rows were learnt from"
    assert run.record.adapted.value == pytest.approx(
        measure(str(run.output_dir), str(data / "grey"), data={"label_column": "size,place"}).value, rel=1e-3
    )


def test_a_run_that_adjusts_itself_holds_rows_out_for_its_intervals(data, tmp_path):
    words = common(data, tmp_path / "run", strategy="finetune", options={"run.plots": False, "data.hold_out": 0.5})
    run = hubtl.adapt(**{**words, "steps": 20, "adjust": True})
    assert run.record.outputs.details["margin_rows"][0] == 20
    assert any("validation_loss" in point for point in run.record.training.curves)


def test_a_constant_source_and_a_missing_label_are_named(data, tmp_path):
    flat = DatasetDict.load_from_disk(data / "black")
    flat = flat.map(lambda row: {**row, "size": 1.0})
    flat.save_to_disk(tmp_path / "flat")
    words = common(data, tmp_path / "run", source_dataset=str(tmp_path / "flat"), strategy="coral")
    with pytest.raises(HubtlError, match="'size' is 1 in all training rows"):
        hubtl.adapt(**words)
    with pytest.raises(HubtlError, match="several columns of numbers"):
        hubtl.adapt(**{**common(data, tmp_path / "run", strategy="finetune"), "label_column": None})


def test_a_sequential_run_learns_each_domain_on_a_scale_of_its_own(data, tmp_path):
    far = drawn(0, 0).map(lambda row: {"size": 1000 * row["size"] + 5000}, features=drawn(0, 0).features)
    DatasetDict(train=far, test=far).save_to_disk(tmp_path / "far")
    source = {"source_dataset": str(tmp_path / "far"), "strategy": "sequential", "label_column": "size"}
    told = common(data, tmp_path / "run", options={"task.unit": "px", "run.plots": False})
    record = hubtl.adapt(**{**told, **source}).record
    losses = [point["task"] for point in record.training.curves if "task" in point]
    assert losses, "the supervised loss is logged"
    assert max(losses) < 20, "in units of either domain's own spread"
    assert record.adapted is not None
    assert record.adapted.value is not None
    assert record.adapted.value < 10, "pixels of the target, not thousands of the source"


def test_a_head_on_large_frozen_features_learns_at_the_defaults(data, tmp_path):
    """The gradient of a squared error grows with the features: without a bound the loss runs away in a few updates."""
    torch.manual_seed(0)
    backbone = backbones.resolve("lenet", BackboneRequest(["size"], pretrained=False))
    with torch.no_grad():
        for p in backbone.convolutions.parameters():
            p.mul_(30.0)
    meta = {"task": "regression", "strategy": "finetune", "base_model": None, "revision": None}
    saved.save(tmp_path / "loud", backbone, nn.Linear(backbone.info.width, 1), ["size"], meta)
    given = common(data, tmp_path / "run") | {"model": str(tmp_path / "loud"), "pretrained": True}
    given |= {"strategy": "source-only", "source_dataset": str(data / "black"), "label_column": "size", "steps": 60}
    frozen = {"task.name": "regression", "tuner.name": "head"}
    wild = hubtl.adapt(
        **given | {"options": frozen | {"optim.clip_norm": 1e9}, "output_dir": str(tmp_path / "wild"), "steps": 12}
    )
    run = hubtl.adapt(**given | {"options": frozen})
    assert "optim.clip_norm" in {decision.key for decision in run.record.decisions}
    curves = [[point["loss"] for point in found.record.training.curves if "loss" in point] for found in (wild, run)]
    assert curves[0][-1] > 1000 * curves[0][0]
    assert np.mean(curves[1][-3:]) < np.mean(curves[1][:3])
