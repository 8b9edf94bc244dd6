"""A segmenter answers by areas, masks and overlays; it refuses other questions."""

import numpy as np
import pytest
from PIL import Image as Pillow

from hubtl.errors import HubtlError
from hubtl.judging.verdict import verdict
from hubtl.record import Evaluation, Verdict
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.answer import Regions
from hubtl.tasks.segmentation.palette import palette

OUTPUTS = np.array([[9.0, 0], [0, 9], [9, 0], [0, 9]], np.float32)  # left is sky, right is road


def test_areas_are_those_of_the_images_own_pixels():
    answer = Regions("a.png", ("sky", "road"), OUTPUTS, {"sky": 0.5, "road": 0.5}).of(Pillow.new("RGB", (8, 4)))
    row = answer.row()
    assert (row["sky_pixels"], row["road_pixels"], row["sky_share"]) == (16, 16, 0.5)
    assert "sky_pixels" not in answer.table()
    assert answer.row(2)["label_2"] in ("sky", "road")


def test_a_drawn_mask_is_a_palette_image_whose_values_are_classes(tmp_path):
    answer = Regions("a.png", ("sky", "road"), OUTPUTS, {"sky": 0.5, "road": 0.5})
    answer.drawn("masks", Pillow.new("RGB", (8, 4))).save(tmp_path / "a.png")
    with Pillow.open(tmp_path / "a.png") as mask:
        assert (mask.mode, mask.size) == ("P", (8, 4))
        assert np.array(mask).tolist() == [[0] * 4 + [1] * 4] * 4
        assert mask.convert("RGB").getpixel((7, 0)) == tuple(palette(2)[1])
    overlay = answer.drawn("overlays", Pillow.new("RGB", (8, 4), "white"))
    assert overlay.getpixel((0, 0)) == tuple((255 + c) // 2 for c in palette(2)[0].tolist())


def test_nobody_is_asked_for_the_label_of_a_row():
    evaluation = Evaluation(n=4, figures=Segmentation.Figures())
    found = verdict(evaluation, evaluation, disagreement=0.2, among=50, asks=Segmentation.asks)
    assert (found.answer, found.brief, found.open, found.contested) == ("undecided", "undecided", False, True)
    assert verdict(evaluation, evaluation, disagreement=0.2, among=50).open
    assert Verdict(answer="adapted", reason="", asks=False).contested is False
    with pytest.raises(HubtlError, match="is a mask here"):
        Segmentation(["a", "b"]).typed("a")
    with pytest.raises(HubtlError, match="explains no answer"):
        Segmentation(["a", "b"]).check_explains()
