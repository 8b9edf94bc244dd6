"""Loading and predicting with models of others and of hubtl.

Anything that holds images is predicted, by the command, too.
"""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.cli.app import app
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from tests.backbones.test_loading import CLASSES, tiny

META = {"task": "classification", "strategy": "coral", "base_model": None, "revision": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A LeNet in hubtl's own format that tells dark from bright: its first logit falls with brightness."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("api") / "run"
    backbone = backbones.resolve("lenet", BackboneRequest(["dark", "bright"], pretrained=False)).eval()
    shades = torch.stack([torch.full((1, 28, 28), value) for value in (-1.0, 1.0)])
    with torch.no_grad():
        dark, bright = backbone({"image": shades}).pooled
        head = nn.Linear(500, 2)
        direction = 8 * (bright - dark) / (bright - dark).pow(2).sum()
        head.weight.copy_(torch.stack([-direction, direction]))
        head.bias.copy_(-(head.weight @ (dark + bright) / 2))
    api.save(folder, backbone, head, ["dark", "bright"], META)
    return folder


def shade(value: int, side: int = 28) -> Image.Image:
    return Image.new("L", (side, side), value)


@pytest.fixture
def photos(tmp_path):
    """A folder with a sub-folder, a text file and images. An image's name tells its class."""
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    shade(240).save(root / "b-bright.png")
    shade(10).save(root / "a-dark.png")
    shade(250, 60).save(root / "more" / "c-bright.JPG", format="JPEG")
    (root / "notes.txt").write_text("no image")
    return root


def test_every_kind_of_input_is_predicted_alike(run, photos):
    model = hubtl.load(run)
    dark, bright = shade(10), shade(240)
    column = Dataset.from_dict({"n": [1, 2], "picture": [dark, bright]}).cast_column("picture", ImageFeature())
    for inputs in (
        [dark, bright],
        [np.asarray(dark), np.asarray(bright)[:, :, None]],
        np.stack([np.asarray(dark.convert("RGB")), np.asarray(bright.convert("RGB"))]),
        [photos / "a-dark.png", str(photos / "b-bright.png")],
        column,
        (i for i in [dark, bright]),
    ):
        assert [p.label for p in model.predict(inputs)] == ["dark", "bright"]
    (one,) = model.predict(bright)
    assert (one.label, one.index) == ("bright", 1)
    assert one.confidence == max(one.probabilities.values()) > 0.9
    assert sum(one.probabilities.values()) == pytest.approx(1)


def test_a_folder_is_searched_in_order_and_the_batch_size_changes_nothing(run, photos):
    model = hubtl.load(run, device="cpu")
    found = model.predict(photos)
    assert [p.input.rsplit("/", 1)[-1] for p in found] == ["a-dark.png", "b-bright.png", "c-bright.JPG"]
    assert [p.label for p in found] == ["dark", "bright", "bright"]
    singly = model.predict(photos, batch_size=1)
    assert [p.confidence for p in singly] == pytest.approx([p.confidence for p in found], abs=1e-6)


def test_an_unreadable_file_is_named_or_skipped(run, photos):
    (photos / "b-broken.png").write_bytes(b"no image at all")
    whole = (photos / "a-dark.png").read_bytes()
    (photos / "d-cut.png").write_bytes(whole[: len(whole) // 2])
    model = hubtl.load(run)
    with pytest.raises(HubtlError, match=r"cannot read .*b-broken\.png") as caught:
        model.predict(photos)
    assert "--on-bad-sample skip" in caught.value.hint
    assert [p.label for p in model.predict(photos, on_bad_sample="skip")] == ["dark", "bright", "bright"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("nowhere.png", "there is no file or folder nowhere.png"),
        (np.zeros((4, 4)), "an array of float64 [4, 4] is no image"),
        (np.zeros((4, 4, 7), np.uint8), "an array of uint8 [4, 4, 7] is no image"),
    ],
)
def test_what_is_no_image_is_an_error(run, inputs, message):
    with pytest.raises(HubtlError) as caught:
        hubtl.load(run).predict(inputs)
    assert message in str(caught.value)


def test_a_folder_without_images_is_an_error(run, tmp_path):
    with pytest.raises(HubtlError, match="holds no images"):
        hubtl.load(run).predict(tmp_path)


def test_another_programs_classifiers_load_without_hubtl_json(tmp_path):
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=3).eval()
    save_for_hf(theirs, tmp_path / "named", safe_serialization=True, model_config={"label_names": ["x", "y", "z"]})
    save_for_hf(theirs, tmp_path / "nameless", safe_serialization=True)
    vit = tiny("vit")
    vit.save_pretrained(tmp_path / "vit")
    assert hubtl.load(tmp_path / "named").classes == ["x", "y", "z"]
    assert hubtl.load(tmp_path / "nameless").classes == ["LABEL_0", "LABEL_1", "LABEL_2"]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 160, 3), dtype=np.uint8))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(theirs))
    with torch.no_grad():
        wanted = theirs(transform(picture)[None])
        assert torch.allclose(hubtl.load(tmp_path / "named").logits([picture]), wanted, atol=1e-4)
        loaded, x = hubtl.load(tmp_path / "vit"), torch.randn(2, 3, 32, 32)
        assert loaded.classes == CLASSES
        assert torch.allclose(loaded.classifier({"image": x}), vit(pixel_values=x).logits, atol=1e-5)


@pytest.fixture
def damaged(run, tmp_path):
    """A copy of the run that a test may break."""
    return shutil.copytree(run, tmp_path / "damaged")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_format_from_the_future_is_refused(damaged):
    edit(damaged / "hubtl.json", format_version=99)
    with pytest.raises(HubtlError, match=r"newer hubtl \(format 99") as caught:
        hubtl.load(damaged)
    assert caught.value.hint == "pip install --upgrade hubtl"


def test_a_model_without_weights_or_with_others_is_refused(damaged):
    tensors = load_file(damaged / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if not k.startswith("classifier")}, damaged / "model.safetensors")
    with pytest.raises(HubtlError, match="have no classifier classifier"):
        hubtl.load(damaged)
    save_file(tensors | {"linear.0.weight": torch.zeros(500, 7)}, damaged / "model.safetensors")
    with pytest.raises(HubtlError, match="do not fit lenet at 28 pixels"):
        hubtl.load(damaged)
    (damaged / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(HubtlError, match=r"model\.safetensors is damaged"):
        hubtl.load(damaged)
    (damaged / "model.safetensors").unlink()
    with pytest.raises(HubtlError, match=r"holds no model\.safetensors"):
        hubtl.load(damaged)


def test_names_that_do_not_match_the_classifier_are_refused(damaged):
    edit(damaged / "hubtl.json", classes=["one", "two", "three"])
    with pytest.raises(HubtlError, match="names 3 outputs, and its last layer has 2"):
        hubtl.load(damaged)


@pytest.mark.parametrize("name", ["./nowhere", "nowhere"])
def test_a_folder_that_is_not_there_is_an_error(name):
    with pytest.raises(HubtlError, match="there is no folder"):
        hubtl.load(name)


def predict(run, *words):
    return CliRunner().invoke(_app(), ["predict", str(run), *map(str, words)], catch_exceptions=True)


def _app():
    from hubtl.cli.predict import predict as command

    if not any(c.name == "predict" for c in app.registered_commands):
        app.command("predict")(command)
    return app


def test_predict_writes_every_format_with_the_same_rows(run, photos, tmp_path):
    table = predict(run, photos, "--quiet").stdout
    assert [line.split()[1] for line in table.splitlines()] == ["label", "dark", "bright", "bright"]
    lines = [json.loads(line) for line in predict(run, photos, "--format", "jsonl").stdout.splitlines()]
    assert [row["label"] for row in lines] == ["dark", "bright", "bright"]
    for suffix in ("csv", "jsonl", "parquet"):
        done = predict(run, photos, "--output", tmp_path / "out" / f"p.{suffix}")
        assert (done.exit_code, done.stdout) == (0, "")
    rows = list(csv.DictReader((tmp_path / "out" / "p.csv").open()))
    assert [row["label"] for row in rows] == ["dark", "bright", "bright"]
    assert Dataset.from_parquet(str(tmp_path / "out" / "p.parquet"), cache_dir=str(tmp_path))[:]["label"] == [
        row["label"] for row in lines
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p.csv", "p.jsonl", "p.parquet"]
    whole = json.loads(predict(run, photos, "--json", "--top-k", 2).stdout)
    assert whole["predictions"][0]["label_2"] == "bright"


def test_predict_takes_files_and_tables_and_refuses_what_is_neither(run, photos, tmp_path):
    Dataset.from_dict({"picture": [shade(240), shade(5)], "n": [0, 1]}).cast_column(
        "picture", ImageFeature()
    ).to_parquet(tmp_path / "t.parquet")
    done = predict(run, tmp_path / "t.parquet", photos / "a-dark.png", "--format", "csv")
    assert [row["label"] for row in csv.DictReader(done.stdout.splitlines())] == ["bright", "dark", "dark"]
    assert isinstance(predict(run, "nowhere.png").exception, HubtlError)
    refused = predict(run, photos, "--format", "parquet")
    assert "needs a file" in str(refused.exception)


def test_predict_takes_every_image_that_pillow_reads_and_counts_what_it_leaves_out(run, tmp_path, caplog):
    folder = tmp_path / "all[1]"
    folder.mkdir()
    for place, suffix in enumerate(("avif", "JFIF", "jp2", "jpe", "tif")):
        shade((10, 240)[place % 2]).save(folder / f"{place}.{suffix}")
    (folder / "5.png").write_bytes(b"")
    (folder / "6.png").symlink_to("nowhere.png")
    (folder / "._7.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("no image")
    caplog.set_level("INFO", logger="hubtl")
    found = hubtl.load(run).predict(folder)
    assert [p.label for p in found] == ["dark", "bright", "dark", "bright", "dark"]
    assert [p.input for p in found] == [str(folder / n) for n in ("0.avif", "1.JFIF", "2.jp2", "3.jpe", "4.tif")]
    assert "5 of 7 image files used; left out: 1 broken link, 1 empty" in caplog.text
    assert "also there: 1 .txt, 1 hidden or of the system" in caplog.text
    for name in ("0.avif", "1.JFIF", "2.jp2"):
        (row,) = json.loads(predict(run, folder / name, "--json").stdout)["predictions"]
        assert row["input"] == str(folder / name)
    assert len(json.loads(predict(run, folder, "--json").stdout)["predictions"]) == 5


def test_predict_of_a_table_finds_its_images(run, tmp_path, monkeypatch):
    (tmp_path / "sub" / "img").mkdir(parents=True)
    shade(240).save(tmp_path / "sub" / "img" / "0.png")
    (tmp_path / "sub" / "rows.csv").write_text("where,n\nimg/0.png,1\nimg/1.png,2\n")
    monkeypatch.chdir(tmp_path)
    refused = predict(run, "sub/rows.csv", "--column", "image=where")
    assert "column 'where', row 1: there is no file img/1.png" in str(refused.exception)
    words = ("sub/rows.csv", "--column", "image=where", "--on-bad-sample", "skip", "--json")
    (row,) = json.loads(predict(run, *words).stdout)["predictions"]
    assert (row["input"], row["label"]) == ("row 0", "bright")


def test_predict_of_one_split_of_a_folder_leaves_the_others_out(run, tmp_path):
    for split, value in (("train", 10), ("test", 240)):
        for name in ("x", "y"):
            (tmp_path / "d" / split / name).mkdir(parents=True)
            shade(value).save(tmp_path / "d" / split / name / "1.png")
    rows = json.loads(predict(run, tmp_path / "d", "--split", "test", "--json").stdout)["predictions"]
    assert [row["label"] for row in rows] == ["bright", "bright"]
