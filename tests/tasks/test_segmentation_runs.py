"""Runs that segment: trained, measured, saved, loaded again, and predicted by the command line."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as Pillow

import hubtl
from hubtl.errors import HubtlError
from tests.tiny import hubtl_command

pytestmark = pytest.mark.slow

FEATURES = Features({"image": Image(), "mask": Image()})
NAMES = "wall,door,window"


def scene(rng, light):
    """A wall with a door and a window, and their mask; at dusk all of it is darker and bluer."""
    mask = np.zeros((48, 64), np.uint8)
    left, top = rng.integers(4, 20), rng.integers(4, 16)
    mask[top : top + 20, left : left + 10] = 1
    mask[top : top + 12, left + 20 : left + 36] = 2
    mask[:2] = 255
    colours = np.array([[180, 170, 150], [120, 60, 30], [90, 150, 220]])
    picture = colours[np.where(mask == 255, 0, mask)] + rng.normal(0, 12, (48, 64, 1))
    picture = picture * np.array([light, light, light**0.5])
    return Pillow.fromarray(picture.clip(0, 255).astype(np.uint8)), Pillow.fromarray(mask)


def scenes(folder, n, seed, light):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split, rows in (("train", n), ("test", n // 2)):
        images, masks = zip(*(scene(rng, light) for _ in range(rows)), strict=True)
        made = Dataset.from_dict({"image": list(images), "mask": list(masks)}, features=FEATURES)
        made.to_parquet(folder / f"{split}.parquet")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("scenes")
    scenes(home / "day", 48, 0, 1.0)
    scenes(home / "dusk", 32, 1, 0.55)
    done = hubtl.adapt(
        model="test_resnet", pretrained=False, image_size=64, task="segmentation", strategy="coral", steps=90,
        batch_size=8, lr=0.05, source_dataset=str(home / "day"), target_dataset=str(home / "dusk"),
        output_dir=str(home / "run"), options={"task.names": NAMES, "model.stride": 4, "model.width": 32},
    )  # fmt: skip
    return SimpleNamespace(home=home, folder=home / "run", record=done.record)


def test_it_learns_the_source_and_its_figures_are_of_pixels(run):
    record = run.record
    assert record.source_only.source > 0.8, "mean IoU on the source"
    assert (record.adapted.primary.name, record.adapted.n) == ("mean_iou", 16)
    assert record.adapted.figures.ignored == 16 * 2 * 64
    assert [score.name for score in record.adapted.figures.per_class] == NAMES.split(",")
    assert record.adapted.shift is not None
    assert record.difference is not None


def test_its_card_speaks_of_pixels_and_says_what_opens_it(run):
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert "mIoU" in card
    assert "every pixel is assigned one of the 3 classes" in card
    assert "Only hubtl loads this model" in card
    assert "| window |" in card


def test_it_is_loaded_and_answers_as_it_did(run):
    model = hubtl.load(run.folder)
    rows = Dataset.from_parquet(str(run.home / "dusk" / "test.parquet"))
    measured = model.task.meter()
    for row in rows:
        mask = np.array(row["mask"])[None]
        measured.update(model.logits([row["image"]]), mask)
    found = measured.result().figures
    assert found.mean_iou == pytest.approx(run.record.adapted.figures.mean_iou, abs=1e-6)
    answer = model.predict([rows[0]["image"]])[0]
    assert sum(answer.shares.values()) == pytest.approx(1)
    mask = answer.mask(64, 48)
    assert (mask.shape, mask.dtype) == ((48, 64), np.uint8)
    truth = np.array(rows[0]["mask"])
    assert (mask == truth)[truth != 255].mean() > 0.6
    assert answer.overlay(rows[0]["image"]).size == (64, 48)


def test_the_saved_model_is_adapted_further_without_its_source(run):
    done = hubtl.adapt(
        model=str(run.folder), task="segmentation", strategy="finetune", target_dataset=str(run.home / "dusk"), steps=40,
        batch_size=8, lr=0.05, output_dir=str(run.home / "further"), options={"task.names": NAMES, "run.plots": False},
    )  # fmt: skip
    assert done.record.adapted.primary.value > 0.6
    assert hubtl.load(run.home / "further").backbone.side == hubtl.load(run.folder).backbone.side == 16


def test_a_backbone_without_maps_is_one_error(run):
    with pytest.raises(HubtlError, match="lenet gives no maps"):
        hubtl.adapt(
            model="lenet", pretrained=False, task="segmentation", strategy="coral", steps=1,
            source_dataset=str(run.home / "day"), target_dataset=str(run.home / "dusk"),
            output_dir=str(run.home / "none"),
        )  # fmt: skip


def test_the_record_is_json_that_loads(run):
    record = json.loads((run.folder / "record.json").read_text(encoding="utf-8"))
    assert record["adapted"]["figures"]["task"] == "segmentation"
    assert hubtl.record.RunRecord.load(run.folder).adapted.figures.per_class[2].name == "window"


def typed(*arguments, capsys):
    return hubtl_command([str(a) for a in arguments], capsys)


def test_predict_writes_masks_and_overlays_of_images_of_any_size(run, tmp_path, capsys):
    rows = Dataset.from_parquet(str(run.home / "dusk" / "test.parquet"))
    sizes = [(64, 48), (200, 150), (33, 21)]
    (tmp_path / "images").mkdir()
    for n, size in enumerate(sizes):
        rows[n]["image"].resize(size).save(tmp_path / "images" / f"{n}.png")
    (tmp_path / "images" / "torn.png").write_bytes(b"\x89PNG\r\n")
    masks, overlays = tmp_path / "masks", tmp_path / "overlays"
    code, out, errors = typed(
        *("predict", run.folder, tmp_path / "images", "--masks", masks, "--overlays", overlays),
        *("--json", "--on-bad-sample", "skip"),
        capsys=capsys,
    )
    assert code == 0, errors
    found = json.loads(out)["predictions"]
    assert sorted(p.name for p in masks.iterdir()) == ["0.png", "1.png", "2.png"]
    for n, (size, row) in enumerate(zip(sizes, found, strict=True)):
        with Pillow.open(masks / f"{n}.png") as mask, Pillow.open(overlays / f"{n}.png") as overlay:
            assert mask.size == overlay.size == size
            assert row["door_pixels"] == (np.array(mask) == 1).sum()
        assert sum(row[f"{name}_pixels"] for name in NAMES.split(",")) == size[0] * size[1]


def test_labels_are_not_asked_for_and_the_hints_say_what_to_do(run, capsys):
    assert run.record.verdict is None or not run.record.verdict.rows
    assert "hubtl label" not in (run.folder / "README.md").read_text(encoding="utf-8")
    code, _, errors = typed("label", run.folder, capsys=capsys)
    assert (code, "hubtl evaluate" in errors) == (2, True)
    code, _, errors = typed("explain", run.folder, run.home / "dusk" / "test.parquet", capsys=capsys)
    assert (code, "--overlays" in errors) == (2, True)


def test_evaluate_measures_masks(run, capsys):
    code, out, errors = typed(*("evaluate", run.folder, "--dataset", run.home / "dusk", "--json"), capsys=capsys)
    assert code == 0, errors
    assert f"{run.record.adapted.figures.mean_iou:.6f}"[:6] in out


@pytest.mark.parametrize("tuner", ["head", "norm", "lora"])
def test_a_new_decoder_learns_with_every_tuner_and_one_that_came_with_weights_as_the_tuner_says(run, tuner):
    from hubtl.backbones import resolve
    from hubtl.backbones.base import BackboneRequest
    from hubtl.recipe.reading import parse
    from hubtl.run.prepare import tuned

    recipe = parse({"model": "test_resnet", "target": "builtin:digits/uci", "tuner": tuner})
    names = NAMES.split(",")
    new = resolve("test_resnet", BackboneRequest(names, pretrained=False, image_size=64, dense=True))
    kept = resolve(str(run.folder), BackboneRequest(names, dense=True))
    for backbone in (new, kept):
        tuned(recipe, backbone)
    assert all(p.requires_grad for p in new.decoder.parameters())
    assert not all(p.requires_grad for p in new.encoder.parameters())
    assert not all(p.requires_grad for p in kept.decoder.parameters())


def test_a_decoder_on_a_frozen_encoder_learns_places_and_a_probe_has_none(run):
    def trained(strategy, tuner, steps):
        return hubtl.adapt(
            model="test_resnet", pretrained=False, image_size=64, task="segmentation", strategy=strategy, tuner=tuner,
            steps=steps, batch_size=8, lr=0.05, target_dataset=str(run.home / "day"),
            output_dir=str(run.home / strategy),
            options={"task.names": NAMES, "model.stride": 4, "model.width": 32, "run.plots": False},
        ).record  # fmt: skip

    assert trained("finetune", "head", 150).adapted.primary.value > 0.5
    reasons = {one.key: (one.value, one.because) for one in trained("linear-probe", "head", 2).decisions}
    assert reasons["model.options.decoder"] == ("linear", "linear-probe would leave another one random")
    assert hubtl.load(run.home / "linear-probe").backbone.decoder is None
