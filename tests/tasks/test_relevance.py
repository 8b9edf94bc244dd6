"""Relevance by occlusion: computed by hand, found where it was put, and tested."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.modalities.image.covering import Covered
from hubtl.models import saved as api
from hubtl.tasks.classification.relevance import explain
from tests.tiny import hubtl_command

CLASSES = ["other", "there"]


def sums(weights: torch.Tensor):
    """A model of two classes with log-odds linear in pixels."""

    def forward(inputs):
        images = inputs["image"]
        return torch.stack([torch.zeros(len(images)), (images * weights).sum(dim=(1, 2, 3))], dim=1)

    return forward


def test_the_relevance_of_a_cell_is_the_mean_over_the_windows_that_cover_it():
    generator = torch.Generator().manual_seed(0)
    image, weights = (torch.randn(1, 3, 8, 8, generator=generator) for _ in range(2))
    found = explain(sums(weights), Covered(image), CLASSES, label="there", orders=2)
    lost = ((image - image.mean(dim=(2, 3), keepdim=True)) * weights).sum(dim=(0, 1))
    a, b, c, d = (float(lost[y : y + 4, x : x + 4].sum()) for y in (0, 4) for x in (0, 4))
    # the windows that cover the first cell hold: it alone, it and its right, it and its lower neighbour, all four
    wanted = [
        4 * a + 2 * b + 2 * c + d,
        4 * b + 2 * a + 2 * d + c,
        4 * c + 2 * a + 2 * d + b,
        4 * d + 2 * b + 2 * c + a,
    ]
    assert found.relevance["image"] == pytest.approx([w / 4 for w in wanted], abs=1e-4)
    assert found.layout["image"]["rows"] == found.layout["image"]["columns"] == 2


def test_the_place_that_decides_is_found_for_its_class_and_against_the_other():
    image, weights = torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 28, 28)
    image[..., 8:12, 16:28] = 1.0
    weights[..., 8:12, 16:28] = 0.2
    found = explain(sums(weights), Covered(image), CLASSES)
    assert (found.label, len(found.relevance["image"])) == ("there", 49)
    assert int(np.argmax(found.relevance["image"])) == 2 * 7 + 5
    assert found.deletion["faithful"]
    assert found.deletion["top_area"] < found.deletion["random_area"] - found.deletion["random_sd"]
    assert (found.deletion["shares"][0], found.deletion["shares"][-1]) == (0, 1)
    assert found.deletion["top"][0] == pytest.approx(found.probability)
    assert found.deletion["top"][-1] == pytest.approx(found.nothing)
    assert sum(found.modalities.values()) == pytest.approx(found.probability - found.nothing)
    against = explain(sums(weights), Covered(image), CLASSES, label="other")
    assert int(np.argmin(against.relevance["image"])) == 2 * 7 + 5
    assert (
        explain(sums(weights), Covered(image), CLASSES, seed=1).relevance == found.relevance
    )  # exact, whatever the seed


def test_a_map_that_means_nothing_does_not_hold():
    found = explain(sums(torch.zeros(1, 1, 28, 28)), Covered(torch.rand(1, 1, 28, 28)), CLASSES)
    assert not found.deletion["faithful"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("relevance") / "run"
    backbone = backbones.resolve("lenet", BackboneRequest(CLASSES, pretrained=False)).eval()
    api.save(folder, backbone, nn.Linear(500, 2), CLASSES, {"task": "classification", "strategy": "coral"})
    return folder


@pytest.mark.parametrize("typed", ["image={}", "{}"])
def test_a_plain_image_model_is_explained_by_the_command(run, tmp_path, capsys, typed):
    shade = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30), dtype=np.uint8))
    shade.save(tmp_path / "x.png")
    out = tmp_path / "why"
    code, said, err = hubtl_command(["explain", str(run), typed.format(tmp_path / "x.png"), "-o", str(out)], capsys)
    assert code == 0, err
    prediction = api.load(run).predict(tmp_path / "x.png")[0]
    assert said.startswith(f"{prediction.label}  {100 * prediction.confidence:.1f} %")
    written = json.loads((out / "explanation.json").read_text(encoding="utf-8"))
    assert written["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
    pixels = np.asarray(Image.open(out / "explanation.png").convert("RGB")).astype(int)
    assert pixels.shape[1] > 1000
    assert (np.ptp(pixels, axis=2) > 60).mean() > 0.01  # the map's colours

    for words, wanted in (
        ([f"image={tmp_path / 'x.png'}", "--class", "their"], "unknown class"),
        ([f"image={tmp_path / 'x.png'}", "--samples", "64"], "without random subsets"),
    ):
        code, _, err = hubtl_command(["explain", str(run), *words, "-o", str(out)], capsys)
        assert code == 2
        assert wanted in err


def test_whatever_predict_takes_is_explained_and_what_cannot_be_read_is_an_error(run, tmp_path):
    model = api.load(run)
    pixels = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    cell = {"bytes": (tmp_path / "x.png").read_bytes(), "path": None}
    found = [model.explain(given, orders=1) for given in (pixels, Image.fromarray(pixels), {"image": cell}, cell)]
    assert all(one == found[0] for one in found)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(HubtlError, match=r"cannot read .*broken\.png"):
        model.explain(tmp_path / "broken.png")
