"""Layouts of masks on the command line: trained from, measured, and predicted."""

import numpy as np
import pytest
from PIL import Image as Pillow

from hubtl.record import RunRecord
from tests.tiny import hubtl_command

pytestmark = pytest.mark.slow
SMALL = (
    *("--model", "test_resnet", "--no-pretrained", "--image-size", "32", "--batch-size", "2", "--steps", "2"),
    *("--set", "task=segmentation", "--set", "run.plots=false"),
)


def pair(image, mask, values, seed, colours=None):
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Pillow.fromarray(rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)).save(image)
    cells = np.array(values, np.uint8)[rng.integers(0, len(values), (16, 24))]
    Pillow.fromarray(cells if colours is None else colours[cells]).save(mask)


def paired(root):
    for split, n in (("train", 4), ("val", 2)):
        for i in range(n):
            pair(root / split / "images" / f"{i}.jpg", root / split / "masks" / f"{i}.png", (0, 255), i)
    return root, ["0", "1"], "paired folders"


def coloured(root):
    colours = np.array([[9, 9, 9], [200, 0, 0]], np.uint8)
    for i in range(6):
        pair(root / "img" / f"{i}.png", root / "ann" / f"{i}.png", (0, 1), i, colours)
    (root / "classes.json").write_text('{"field": [9, 9, 9], "fire": [200, 0, 0]}', encoding="utf-8")
    return root, ["field", "fire"], "paired folders"


def devkit(root):
    year = root / "VOCdevkit" / "VOC2012"
    for i in range(6):
        pair(year / "JPEGImages" / f"{i}.jpg", year / "SegmentationClass" / f"{i}.png", (0, 15, 255), i)
    (year / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, rows in (("train", "0123"), ("val", "45"), ("trainval", "012345")):
        (year / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8")
    return root / "VOCdevkit", None, "VOC's layout"


def cityscapes(root):
    for split, n in (("train", 4), ("val", 2)):
        for i in range(n):
            image = root / "leftImg8bit" / split / "ulm" / f"ulm_{i}_leftImg8bit.png"
            pair(image, root / "gtFine" / split / "ulm" / f"ulm_{i}_gtFine_labelIds.png", (7, 26, 3), i)
    return root, None, "Cityscapes' layout"


@pytest.mark.parametrize("grown", [paired, coloured, devkit, cityscapes])
def test_a_layout_is_trained_from(grown, tmp_path, capsys):
    root, names, said = grown(tmp_path / "data")
    run = tmp_path / "run"
    given = ("adapt", "--target-dataset", str(root), "--strategy", "finetune", "--output-dir", str(run), *SMALL)
    code, out, errors = hubtl_command(given, capsys)
    assert code == 0, errors
    assert said in out + errors
    record = RunRecord.load(run)
    assert record.outputs.names == names if names else len(record.outputs.names) in (19, 21)
    assert record.adapted.figures.pixels > 0
