"""Whole runs, as typed, on made-up pictures, sentences and sounds."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from trimodal import CLASSES, adapting, row, table

import hubtl as library
from hubtl.card import document
from hubtl.card.metadata import problems
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from hubtl.judging.judge import Judge
from hubtl.record import RunRecord

MODALITIES = ("image", "text", "audio")
THREE = [
    *(f"without {m}" for m in MODALITIES),
    *(f"{m} only" for m in MODALITIES),
    *(f"{m} corrupted, severity 3" for m in MODALITIES),
]


@pytest.fixture(scope="module")
def run(models, data, tmp_path_factory):
    """A finished run of DANN on all three modalities. It is long enough to have learnt."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    command = [sys.executable, "-W", "error", "-m", "hubtl", *adapting(models, data, folder, steps=30)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def model(run):
    return library.load(run, device="cpu")


@pytest.mark.parametrize(
    ("modalities", "strategy"),
    [
        (("image",), "mcc"),
        (("text",), "source-only"),
        (("audio",), "dann"),
        (("image", "text"), "dann"),
        (("text", "audio"), "mcc"),
        (MODALITIES, "source-only"),
        (MODALITIES, "mcc"),
    ],
)
def test_a_run_on_some_modalities_leaves_a_model_that_predicts(models, data, hubtl, tmp_path, modalities, strategy):
    words = adapting(models, data, tmp_path / "run", *modalities, strategy=strategy, steps=4)
    if modalities != MODALITIES:
        words += ["--on-bad-sample", "skip"]  # some rows have nothing but what this model does not take
    code, _, err = hubtl(*words)
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert list(record.model.parts) == list(modalities)
    assert record.status == "finished"
    names = [subset.name for subset in record.adapted.subsets]
    if len(modalities) == 1:
        assert names == [f"{modalities[0]} corrupted, severity 3"]
        assert record.target.skipped
    elif len(modalities) == 2:
        assert names == [*(f"{m} only" for m in modalities), *(f"{m} corrupted, severity 3" for m in modalities)]
    loaded = library.load(tmp_path / "run", device="cpu")
    whole = row(1)
    for m in modalities:
        assert loaded.predict({m: whole[m]})[0].label in CLASSES
    with pytest.raises(HubtlError, match="unknown modality of this model"):
        loaded.predict({"video": "a.mp4"})


def test_training_learns_and_the_record_says_what_evaluate_measures(run, data, hubtl):
    record = RunRecord.load(run)
    assert record.adapted.accuracy > 0.6  # chance: a third
    code, out, err = hubtl("evaluate", run, "--dataset", data / "target", "--json")
    assert code == 0, err
    measured = json.loads(out)
    assert measured["accuracy"] == record.adapted.accuracy
    assert measured["confusion_cells"] == [list(cell) for cell in record.adapted.confusion_cells]
    assert measured["subsets"] == [subset.model_dump() for subset in record.adapted.subsets]
    assert [subset.name for subset in record.adapted.subsets] == THREE
    by_name = {subset.name: subset.primary for subset in record.adapted.subsets}
    assert max(by_name[f"{m} only"] for m in MODALITIES) > 0.5


def test_evaluate_shows_the_subsets(run, data, hubtl):
    code, out, err = hubtl("evaluate", run, "--dataset", data / "target")
    assert code == 0, err
    assert [name for name in THREE if name not in out] == []


def test_a_corruption_that_is_asked_for_is_measured(models, data, hubtl, tmp_path):
    words = adapting(models, data, tmp_path / "run", "image", "text", strategy="source-only", steps=2)
    code, _, err = hubtl(*words, "--set", "model.corruption=[1,5]", "--on-bad-sample", "skip")
    assert code == 0, err
    names = [subset.name for subset in RunRecord.load(tmp_path / "run").adapted.subsets]
    assert "image corrupted, severity 1" in names
    assert "text corrupted, severity 5" in names
    assert "text corrupted, severity 3" not in names


def test_predictions_of_the_loaded_model_are_those_of_the_run(run, model, data):
    rows = opened(str(data / "target")).splits["test"]
    found = model.predict(rows)
    truth = [CLASSES[y] for y in rows["label"][:]]
    right = np.mean([p.label == y for p, y in zip(found, truth, strict=True)])
    assert right == pytest.approx(RunRecord.load(run).adapted.accuracy)
    singly = model.predict(rows, batch_size=1)
    assert [p.confidence for p in singly] == pytest.approx([p.confidence for p in found], abs=1e-5)
    plain = rows.cast_column("image", type(rows.features["image"])(decode=False))
    as_rows = [{m: cells[m] for m in MODALITIES if cells[m] is not None} for cells in plain]
    assert [p.label for p in model.predict(as_rows)] == [p.label for p in found]


@pytest.mark.parametrize(
    "there", [("image",), ("text",), ("audio",), ("image", "text"), ("image", "audio"), MODALITIES]
)
def test_any_of_the_modalities_are_enough_and_a_missing_key_is_an_empty_cell(model, there):
    whole = row(2)
    given = {m: whole[m] for m in there}
    (one,) = model.predict(given)
    (other,) = model.predict({m: given.get(m) for m in MODALITIES})
    assert one.probabilities == pytest.approx(other.probabilities)
    column = Dataset.from_dict({"text": [whole["text"]]}) if there == ("text",) else None
    if column is not None:
        assert model.predict(column)[0].probabilities == pytest.approx(one.probabilities, abs=1e-6)
    if there == MODALITIES:
        assert one.label == "blue"


def test_a_row_that_cannot_be_read_is_named_by_its_place_or_skipped(model):
    rows = [row(y) for y in (0, 1, 2, 0, 1)]
    rows[3] = {"image": b"no picture"}
    with pytest.raises(HubtlError, match="cannot read row 3: the row: cannot read its image") as caught:
        model.predict(rows, batch_size=2)
    assert "skip" in str(caught.value.hint)
    found = model.predict(rows, batch_size=2, on_bad_sample="skip")
    assert [p.input for p in found] == ["row 0", "row 1", "row 2", "row 4"]
    with pytest.raises(HubtlError, match="cannot read row: the row has nothing in it"):
        model.predict({})


def test_a_model_adapts_to_rows_while_it_predicts_them(model):
    rows = [row(y, seed) for y in range(3) for seed in range(4)]
    still, adapted = model.predict(rows, batch_size=4), model.predict(rows, batch_size=4, tta="bn")
    assert len(adapted) == 12
    assert [p.confidence for p in adapted] != pytest.approx([p.confidence for p in still], abs=1e-6)


def test_what_a_model_is_not_given_as_rows_is_an_error_with_an_example(model):
    with pytest.raises(HubtlError, match="a model of image, text, audio takes rows, not str") as caught:
        model.predict("photo.jpg")
    assert '{"image": "image.jpg"' in caught.value.hint


# resume


def test_an_interrupted_run_goes_on_to_the_same_weights(models, data, hubtl, tmp_path, monkeypatch):
    """Encoders have their own rates. So the optimiser has several groups of one name."""
    settings = ("--set", "run.evaluate_every=3", "--set", "model.text_lr=0.3", "--set", "run.baseline=false")

    def words(name: str) -> list[str]:
        return [*adapting(models, data, tmp_path / name, steps=8), *settings]

    assert hubtl(*words("whole"))[0] == 0
    judge = Judge.__call__

    def judge_and_stop(self, strategy, step):
        scores = judge(self, strategy, step)
        if step == 3:
            signal.raise_signal(signal.SIGINT)
        return scores

    with monkeypatch.context() as patched:
        patched.setattr(Judge, "__call__", judge_and_stop)
        code, _, err = hubtl(*words("cut"))
    assert code == 130, err
    assert RunRecord.load(tmp_path / "cut").status == "interrupted"
    code, _, err = hubtl("adapt", "--resume", "--output-dir", tmp_path / "cut", "--quiet")
    assert code == 0, err
    assert RunRecord.load(tmp_path / "cut").training.resumed == 1
    for name in ("model.safetensors", *(f"encoders/{m}/model.safetensors" for m in MODALITIES)):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name


# what is left behind

OPENS = """
import importlib.util
import sys
from pathlib import Path

import torch

sys.modules["hubtl"] = sys.modules["hubtl_multimodal"] = None  # neither can be imported
origin = importlib.util.find_spec("torchvision").origin  # a CUDA build beside a CPU torch needs two declarations
try:
    torch.ops.load_library(str(next(Path(origin).parent.glob("_C*.so"))))
except (OSError, StopIteration):
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

root, out = Path(sys.argv[1]), {}
given = torch.load(sys.argv[2])
inputs = {
    "image": {"pixel_values": given["image"]},
    "text": {"input_ids": given["text"], "attention_mask": given["text.mask"].long()},
    "audio": {"input_values": given["audio"]},
}
processors = {"image": AutoImageProcessor, "text": AutoTokenizer, "audio": AutoFeatureExtractor}
with torch.no_grad():
    for name in inputs:
        processors[name].from_pretrained(root / name)
        out[name] = AutoModel.from_pretrained(root / name).eval()(**inputs[name]).last_hidden_state
torch.save(out, sys.argv[3])
"""


def test_encoders_open_in_their_own_libraries_and_give_the_same_tokens(run, model, tmp_path):
    long = np.sin(np.arange(16000) / 5).astype(np.float32)  # no padding: transformers' AST does not mask it
    whole = row(0) | {"audio": (long, 16000), "text": "the film was very very very very very very very good"}
    inputs = {k: v.cpu() for k, v in model.backbone.collate([whole]).items()}
    assert inputs["audio.mask"].all()
    assert inputs["text.mask"].all()
    torch.save(inputs, tmp_path / "inputs.pt")
    command = [sys.executable, "-c", OPENS, run / "encoders", tmp_path / "inputs.pt", tmp_path / "tokens.pt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = torch.load(tmp_path / "tokens.pt")
    for m in MODALITIES:
        with torch.no_grad():
            ours = model.backbone.tower(m)(inputs).values
        torch.testing.assert_close(theirs[m], ours, rtol=1e-4, atol=1e-5)


def test_a_timm_encoder_opens_in_timm_and_gives_the_same_map(data, hubtl, tmp_path):
    command = [
        "adapt",
        "--model",
        "image=test_resnet",
        "--no-pretrained",
        "--image-size",
        "32",
        "--strategy",
        "source-only",
    ]
    command += ["--source-dataset", data / "source", "--target-dataset", data / "target", "--on-bad-sample", "skip"]
    command += ["--steps", "2", "--batch-size", "8", "--device", "cpu", "--quiet", "--output-dir", tmp_path / "run"]
    code, _, err = hubtl(*command, "--set", "model.width=16", "--set", "run.plots=false")
    assert code == 0, err
    loaded = library.load(tmp_path / "run", device="cpu")
    inputs = loaded.backbone.collate([{"image": row(0)["image"]}])
    import timm

    theirs = timm.create_model(f"local-dir:{tmp_path / 'run/encoders/image'}", pretrained=True).eval()
    with torch.no_grad():
        made = theirs.forward_features(inputs["image"]).flatten(2).transpose(1, 2)
        torch.testing.assert_close(made, loaded.backbone.tower("image")(inputs).values)
    assert loaded.predict({"image": row(0)["image"]})[0].label in CLASSES


def test_the_card_tells_of_the_encoders_the_subsets_and_no_folder_of_this_machine(run, models):
    text = (run / "README.md").read_text(encoding="utf-8")
    record = RunRecord.load(run)
    card = document.parse(text)
    assert problems(card.metadata) == []
    assert set(MODALITIES) <= set(card.metadata["tags"])
    assert card.metadata["library_name"] == "hubtl"
    assert "## Missing and corrupted modalities" in text.replace("###", "##")
    for subset, before in zip(record.adapted.subsets, record.source_only.subsets, strict=True):
        assert f"| {subset.name} | {100 * before.primary:.1f}% | {100 * subset.primary:.1f}% |" in text
    assert "`tiny-vit`, random initialisation" in text
    assert "| `encoders/audio` |" in text
    assert "pip install hubtl hubtl-multimodal" in text
    body = text.split("## Reproduce")[0]  # the command that was typed is the user's own
    assert str(models.image.parent) not in body
    for name in ("config.json", "hubtl.json"):
        assert str(models.image.parent) not in (run / name).read_text(encoding="utf-8")
    assert json.loads((run / "config.json").read_text())["encoders"]["image"]["name"] == "tiny-vit"


def test_the_cards_code_runs_and_predicts(run, tmp_path):
    text = (run / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0].replace('load(".")', f'load("{run}")')
    row(1)["image"].save(tmp_path / "image.jpg")
    (tmp_path / "sound.wav").write_bytes(row(1)["audio"])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120
    )
    assert done.stdout.strip() in CLASSES, done.stderr[-2000:]


def test_a_saved_model_goes_on_learning_with_other_options(run, data, hubtl, tmp_path):
    command = ["adapt", "--model", run, "--source-dataset", data / "source", "--target-dataset", data / "target"]
    command += ["--strategy", "source-only", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--quiet"]
    command += ["--set", "run.plots=false", "--output-dir", tmp_path / "more", "--lr", "0.001"]
    code, _, err = hubtl(*command, "--set", "model.text_tune=freeze", "--set", "model.image_lr=0.5")
    assert code == 0, err
    before, after = (f / "encoders/text/model.safetensors" for f in (run, tmp_path / "more"))
    assert before.read_bytes() == after.read_bytes()
    more = RunRecord.load(tmp_path / "more")
    assert more.model.pretrained
    one, other = (load_file(f / "encoders/image/model.safetensors") for f in (run, tmp_path / "more"))
    moved = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert 0 < moved < 0.02  # it starts where the other ended: random weights would be further off
    code, _, err = hubtl(*command[:-4], "--output-dir", tmp_path / "other", "--set", "model.text_tun=freeze")
    assert code == 2
    assert "multimodal has no option 'text_tun' (nearest: text_tune)" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "model.max_length=20"], "model.max_length was settled when"),
        (["--image-size", "64"], "does not take pictures of 64 pixels"),
        (["--no-pretrained"], "goes on from its weights"),
        (["--set", "model.width=32"], "do not fit"),
    ],
)
def test_what_a_saved_model_cannot_change(run, data, hubtl, tmp_path, words, said):
    domains = ["--source-dataset", data / "source", "--target-dataset", data / "target"]
    error, _ = fails(hubtl, "adapt", "--model", run, *domains, "--output-dir", tmp_path / "run", *words)
    assert said in error


def test_a_saved_model_adapts_without_its_source(run, data, hubtl, tmp_path):
    command = ["adapt", "--model", run, "--target-dataset", data / "target", "--strategy", "shot", "--steps", "3"]
    command += ["--batch-size", "8", "--device", "cpu", "--quiet", "--set", "run.plots=false"]
    code, _, err = hubtl(*command, "--output-dir", tmp_path / "shot", "--set", "model.audio_tune=freeze")
    assert code == 0, err
    before, after = (f / "encoders/audio/model.safetensors" for f in (run, tmp_path / "shot"))
    assert before.read_bytes() == after.read_bytes()
    assert (run / "encoders/image/model.safetensors").read_bytes() != (
        tmp_path / "shot/encoders/image/model.safetensors"
    ).read_bytes()


# commands


def test_predict_takes_files_words_and_tables(run, model, data, hubtl, tmp_path):
    whole = row(1)
    whole["image"].save(tmp_path / "x.png")
    (tmp_path / "x.wav").write_bytes(whole["audio"])
    files = (f"image={tmp_path / 'x.png'}", f"text={whole['text']}", f"audio={tmp_path / 'x.wav'}")
    code, out, err = hubtl("predict", run, *files, "--json")
    assert code == 0, err
    (said,) = json.loads(out)["predictions"]
    (wanted,) = model.predict(whole)
    assert (said["input"], said["label"]) == ("row", wanted.label)
    assert said["confidence"] == pytest.approx(wanted.confidence, abs=1e-3)
    code, out, err = hubtl("predict", run, data / "target" / "test.parquet", "--output", tmp_path / "said.csv")
    assert code == 0, err
    with (tmp_path / "said.csv").open() as file:
        rows = list(csv.DictReader(file))
    wanted = model.predict(opened(str(data / "target")).splits["test"])
    assert [r["label"] for r in rows] == [p.label for p in wanted]
    assert [r["input"] for r in rows][:2] == ["row 0", "row 1"]


def test_predict_finds_columns_of_other_names(run, model, hubtl, tmp_path):
    dataset = table(6, 3, missing=0.0)
    renamed = dataset.rename_columns({"image": "photo", "text": "said", "audio": "heard"}).remove_columns("label")
    renamed.to_parquet(tmp_path / "other.parquet")
    columns = ("--column", "image=photo", "--column", "text=said", "--column", "audio=heard")
    code, out, err = hubtl("predict", run, tmp_path / "other.parquet", "--json", *columns)
    assert code == 0, err
    assert [r["label"] for r in json.loads(out)["predictions"]] == [p.label for p in model.predict(dataset)]


def test_explain_writes_what_it_says(run, data, hubtl, tmp_path):
    test = opened(str(data / "target")).splits["test"]
    number = next(i for i, cells in enumerate(test) if all(cells[m] is not None for m in ("text", "audio", "image")))
    out = tmp_path / "why"
    code, said, err = hubtl(
        "explain", run, data / "target" / "test.parquet", "--row", number, "--source-dataset", data / "source",
        "--samples", "128", "-o", out,
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((out / "explanation.json").read_text(encoding="utf-8"))
    assert said.startswith(f"{found['label']}  {100 * found['probability']:.1f} %")
    for modality, value in found["modalities"].items():
        assert f"{modality:<8} {100 * value:+6.1f} points" in said
    assert "near: row" in said
    assert len(found["neighbours"]) == 3
    assert (out / "explanation.png").stat().st_size > 10_000
    code, said, _ = hubtl(
        "explain", run, data / "target" / "test.parquet", "--row", number, "--samples", "128", "--json", "--class", "red",
        "-o", out,
    )  # fmt: skip
    assert (code, json.loads(said)["label"]) == (0, "red")


# mistakes


def fails(hubtl, *words) -> tuple[str, str]:
    """A failing command's error and hint, each one line. Its exit code is 2."""
    code, _, err = hubtl(*words)
    assert code == 2, err
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    hints = [line for line in err.splitlines() if line.startswith("try:")]
    assert (len(errors), len(hints)) == (1, 1), err
    return errors[0], hints[0]


@pytest.mark.parametrize(
    ("model", "said", "hint"),
    [
        ("imgae=test_resnet", "unknown modality 'imgae'", "image"),
        ("image=test_resnet,image=test_vit", "image is given twice", "one model for each modality"),
        ("image=test_resnet,text", "'text' is not MODALITY=NAME", "image=NAME"),
        ("text=test_resnet", "test_resnet is an image model, not a text model", "text model"),
        ("image=test_resnt", "unknown model 'test_resnt'", "test_resnet"),
    ],
)
def test_a_model_that_is_named_wrongly(hubtl, data, tmp_path, model, said, hint):
    words = ["--source-dataset", data / "source", "--target-dataset", data / "target", "--output-dir", tmp_path / "run"]
    error, tried = fails(hubtl, "adapt", "--model", model, "--no-pretrained", *words)
    assert said in error
    assert hint in tried
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.fusoin=late", "multimodal has no option 'fusoin' (nearest: fusion)"),
        ("model.text_tune=top", "it is freeze, full, lora, or top-k"),
        ("model.corruption=[9]", "severities are 1 to 5"),
        ("model.heads=3", "3 heads do not divide a width of 16"),
        ("model.modality_dropout=1.5", "model.modality_dropout is 1.5"),
    ],
)
def test_an_option_of_the_model_that_is_wrong(hubtl, models, data, tmp_path, setting, said):
    error, _ = fails(hubtl, *adapting(models, data, tmp_path / "run"), "--set", setting)
    assert said in error


def test_an_option_for_a_model_that_has_none(hubtl, data, tmp_path):
    error, _ = fails(
        hubtl, "adapt", "--model", "test_resnet", "--no-pretrained", "--source-dataset", data / "source",
        "--target-dataset", data / "target", "--set", "model.fusion=late", "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert "timm models have no option 'fusion'" in error


def test_columns_that_are_missing_or_too_many(hubtl, models, tmp_path):
    dataset = table(12, 3, missing=0.0)
    for name, changed in {
        "wordless": dataset.remove_columns("text"),
        "twice": dataset.rename_column("audio", "left").add_column("right", [None] * 12).cast_column(
            "right", dataset.features["audio"]
        ),
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        changed.to_parquet(tmp_path / name / "train.parquet")

    def words(name):
        domains = ["--source-dataset", tmp_path / name, "--target-dataset", tmp_path / name]
        return [*adapting(models, tmp_path, tmp_path / "run"), *domains]

    error, hint = fails(hubtl, *words("wordless"))
    assert "has no text column; its columns: image" in error
    assert "--column text=NAME" in hint
    error, hint = fails(hubtl, *words("twice"))
    assert "has several audio columns: left, right" in error
    assert "--column audio=left" in hint
    error, hint = fails(hubtl, *words("twice"), "--column", "audio=lefft")
    assert "unknown audio column" in error
    assert "--column audio=left" in hint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["image=nowhere.png"], "there is no file nowhere.png"),
        (["video=a.mp4"], "unknown modality of this model 'video'"),
        (["text=good", "text=bad"], "text is given twice"),
        (["nowhere.parquet"], "there is no file or folder nowhere.parquet"),
    ],
)
def test_inputs_that_are_wrong(hubtl, run, words, said):
    for command in ("predict", "explain"):
        error, _ = fails(hubtl, command, run, *words)
        assert said in error


def test_a_row_that_there_is_not_and_a_class_that_the_model_does_not_know(hubtl, run, data):
    error, hint = fails(hubtl, "explain", run, data / "target" / "test.parquet", "--row", "99")
    assert "has 30 rows, and no row 99" in error
    assert "--row 29" in hint
    error, hint = fails(hubtl, "explain", run, "text=good", "--class", "gren")
    assert "unknown class 'gren'" in error
    assert "green" in hint


def test_a_model_of_images_alone_is_explained_by_its_places(hubtl, data, tmp_path):
    folder = tmp_path / "lenet"
    code, _, err = hubtl(
        "adapt", "--model", "test_resnet", "--no-pretrained", "--image-size", "32", "--target-dataset", data / "source",
        "--steps", "1", "--batch-size", "8", "--device", "cpu", "--quiet", "--on-bad-sample", "skip",
        "--set", "run.plots=false", "--output-dir", folder,
    )  # fmt: skip
    assert code == 0, err
    row(0)["image"].save(tmp_path / "x.png")
    code, out, err = hubtl("explain", folder, f"image={tmp_path / 'x.png'}", "--json", "-o", tmp_path / "why")
    assert code == 0, err
    assert len(json.loads(out)["relevance"]["image"]) == 49
    error, _ = fails(hubtl, "explain", folder, f"image={tmp_path / 'x.png'}", "--source-dataset", data / "source")
    assert "without source rows" in error


def test_without_the_plugin_its_models_are_an_error_that_names_it(run, models, data, tmp_path):
    environment = os.environ | {"HUBTL_PLUGINS": ""}
    row(0)["image"].save(tmp_path / "x.png")
    target = ["--source-dataset", str(data / "source"), "--target-dataset", str(data / "target")]
    for words in (
        ["predict", str(run), f"image={tmp_path / 'x.png'}"],
        ["evaluate", str(run), "--dataset", str(data / "target")],
        ["adapt", "--model", str(run), *target, "--output-dir", str(tmp_path / "run")],
        ["adapt", "--model", models.named(), *target, "--output-dir", str(tmp_path / "run")],
    ):
        command = [sys.executable, "-m", "hubtl", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        lines = done.stderr.strip().splitlines()
        assert done.returncode == 2, done.stderr
        assert re.search(r"hubtl-multimodal( 0\.\d\.\d)?, which is not installed", lines[-2]), lines
        assert lines[-2].startswith("error:")
        assert lines[-1] == "try:   pip install hubtl-multimodal"


def test_a_damaged_folder_is_an_error(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(HubtlError, match=r"model\.safetensors cannot be read"):
        library.load(broken)
    shutil.rmtree(broken / "encoders" / "text")
    with pytest.raises(HubtlError, match=r"text holds no config\.json"):
        library.load(broken)


@pytest.mark.parametrize("strategy", ["auto", "attention-da"])
def test_its_own_strategies_run_from_the_command_to_the_card(models, data, hubtl, tmp_path, strategy):
    words = adapting(models, data, tmp_path / "run", strategy=strategy, steps=40)
    code, _, err = hubtl(*words)
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert record.adapted.accuracy > 0.5  # chance: a third
    if strategy == "auto":
        tried = record.verdict.tried or record.strategy
        assert tried == "mm-da"
        assert set(record.calibration.temperatures) == {"fused", *MODALITIES}
        assert "divided by" in (tmp_path / "run" / "README.md").read_text()
    code, out, err = hubtl("evaluate", tmp_path / "run", "--dataset", data / "target", "--json", "--tta", "read")
    assert code == 0, err
    assert json.loads(out)["frozen_accuracy"] == record.adapted.accuracy
