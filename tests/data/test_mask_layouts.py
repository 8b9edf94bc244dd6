"""Folders of images and masks are read as they are unpacked."""

import logging

import numpy as np
import pytest
from PIL import Image as Pillow

from hubtl.data.cells import Wanted
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.layouts import legend_of
from hubtl.tasks.segmentation.layouts.voc import NAMES as VOC_NAMES
from hubtl.tasks.segmentation.palette import voc_colours

WANTED = Wanted(("image",), {"image": None}, folder=Segmentation().folder)


def image(path, colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", (6, 4), (colour,) * 3).save(path)


def mask(path, *values, colours=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.resize(np.array(values, np.uint8), (4, 6))
    made = Pillow.fromarray(cells if colours is None else colours[cells])
    if path.suffix == ".gif":
        made = Pillow.fromarray(cells, mode="P")
        made.putpalette([*range(255, -1, -1)] * 3)
    made.save(path, **({"optimize": False} if path.suffix == ".gif" else {}))


def read(path):
    splits = opened(str(path), WANTED).splits
    task = Segmentation().beside(str(path))
    return splits, {
        s: task.read([rows], ["mask"], "x", [s], None) for s, rows in splits.items() if "mask" in rows.features
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("train/images/{}.jpg", "train/masks/{}.png"),
        ("images/train/{}.png", "masks/train/{}.gif"),
        ("images/{}.bmp", "masks/{}.png"),
        ("image/{}.png", "label/{}_L.png"),
        ("data/img/{}.jpg", "data/ann/{}_mask.png"),
        ("images/city/{}.jpg", "annotations/city/{}.png"),
    ],
)
def test_paired_folders_pair_equal_stems(tmp_path, images, masks, caplog):
    for n in range(3):
        image(tmp_path / images.format(f"a{n}"), n)
        mask(tmp_path / masks.format(f"a{n}"), n, 1)
    with caplog.at_level(logging.INFO, "hubtl"):
        splits, labels = read(tmp_path)
    assert list(splits) == ["train"]
    assert [picture.getpixel((0, 0))[0] for picture in splits["train"]["image"]] == [0, 1, 2]
    assert labels["train"].values[0][:, 0, 0].tolist() == [0, 1, 2]
    assert "paired folders: images in" in caplog.text


def test_splits_of_paired_folders_and_a_split_without_masks(tmp_path):
    for split in ("train", "val"):
        image(tmp_path / split / "images" / "a.png")
    mask(tmp_path / "train" / "masks" / "a.png", 0, 1)
    splits, labels = read(tmp_path)
    assert list(splits) == ["train", "validation"]
    assert list(labels) == ["train"]


def test_an_image_without_a_mask_is_one_error_and_a_mask_without_an_image_is_said(tmp_path, caplog):
    for name in "ab":
        image(tmp_path / "images" / f"{name}.png")
    mask(tmp_path / "masks" / "a.png", 0)
    mask(tmp_path / "masks" / "c.png", 0)
    with pytest.raises(HubtlError, match=r"train: b\.png has no mask in masks"):
        read(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    splits, _ = read(tmp_path)
    assert len(splits["train"]) == 1
    assert "left out: 1 mask of train without an image, such as masks/c.png" in caplog.text
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "z.png")
    with pytest.raises(HubtlError, match="no mask of train is called as an image"):
        read(tmp_path)


def test_classes_beside_the_data_are_found_and_said(tmp_path):
    image(tmp_path / "day" / "images" / "a.png")
    mask(tmp_path / "day" / "masks" / "a.png", 0, 1)
    (tmp_path / "classes.txt").write_text("sky\nroad\n", encoding="utf-8")
    _, labels = read(tmp_path / "day")
    assert labels["train"].outputs.names == ["sky", "road"]
    assert labels["train"].notes == ["2 classes by classes.txt"]
    (tmp_path / "day" / "classes.json").write_text('{"field": [9, 9, 9], "lake": [1, 2, 3]}', encoding="utf-8")
    mask(tmp_path / "day" / "masks" / "a.png", 0, 1, colours=np.array([[9, 9, 9], [1, 2, 3]], np.uint8))
    _, labels = read(tmp_path / "day")
    assert labels["train"].outputs.names == ["field", "lake"]
    assert labels["train"].values[0][0, 0, :2].tolist() == [0, 1]


def devkit(home):
    for name in "abc":
        image(home / "JPEGImages" / f"{name}.jpg")
        mask(home / "SegmentationClass" / f"{name}.png", 0, 15, 255)
    sets = home / "ImageSets" / "Segmentation"
    sets.mkdir(parents=True)
    for split, names in (("train", "ab"), ("val", "c"), ("trainval", "abc")):
        (sets / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
    return home


def test_a_devkit_is_read_by_its_lists(tmp_path, caplog):
    home = devkit(tmp_path / "VOCdevkit" / "VOC2012")
    with caplog.at_level(logging.INFO, "hubtl"):
        splits, labels = read(tmp_path / "VOCdevkit")
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 2, "trainval": 3, "validation": 1}
    assert tuple(labels["train"].outputs.names) == VOC_NAMES
    assert labels["train"].values[0][0, 0].tolist() == [0, 15, 255] * 2
    assert labels["train"].notes == ["21 classes by VOC's 21 classes"]
    assert "VOC's layout" in caplog.text
    colours = np.full((256, 3), [224, 224, 192], np.uint8)
    colours[:21] = voc_colours(21)
    mask(home / "SegmentationClass" / "a.png", 0, 15, 255, colours=colours)
    _, labels = read(home)
    assert labels["train"].values[0][0, 0].tolist() == [0, 15, 255] * 2
    (home / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(HubtlError, match="train lists b, and JPEGImages has no such image"):
        read(home)


def test_cityscapes_is_read_by_train_ids_else_by_ids_that_are_mapped(tmp_path):
    for split in ("train", "val"):
        image(tmp_path / "leftImg8bit" / split / "ulm" / "ulm_000_leftImg8bit.png")
        mask(tmp_path / "gtFine" / split / "ulm" / "ulm_000_gtFine_labelIds.png", 7, 33, 3)
        mask(tmp_path / "gtFine" / split / "ulm" / "ulm_000_gtFine_instanceIds.png", 200)
    splits, labels = read(tmp_path)
    assert list(splits) == ["train", "validation"]
    assert labels["train"].values[0][0, 0].tolist() == [0, 18, 255] * 2
    assert (labels["train"].outputs.names[0], labels["train"].outputs.names[18]) == ("road", "bicycle")
    for split in ("train", "val"):
        mask(tmp_path / "gtFine" / split / "ulm" / "ulm_000_gtFine_labelTrainIds.png", 4, 255)
    _, labels = read(tmp_path)
    assert labels["train"].values[0][0, 0].tolist() == [4, 255] * 3


def test_a_folder_of_classes_called_images_stays_one_for_other_tasks(tmp_path):
    for name in ("images", "masks"):
        image(tmp_path / name / "a.png")
    splits = opened(str(tmp_path), Wanted(("image",), {"image": None})).splits
    assert splits["train"].features["label"].names == ["images", "masks"]
    assert legend_of(str(tmp_path)) is None
