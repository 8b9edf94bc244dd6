"""Segmentation: masks are read, sites and pixels correspond, figures are those of all pixels, and a run learns."""

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image
from PIL import Image as Pillow

from hubtl.backbones.base import ImageInput
from hubtl.data.sites import IGNORE, at_sites, sampled, upsampled
from hubtl.errors import HubtlError
from hubtl.modalities.image.dense import NONE, DenseSet
from hubtl.record import Outputs
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.figures import mean_iou
from hubtl.tasks.segmentation.legend import Legend
from hubtl.tasks.segmentation.masks import read
from hubtl.tasks.segmentation.meaning import class_names

FEATURES = Features({"image": Image(), "mask": Image()})


def dataset(masks, images=None):
    images = images or [Pillow.new("RGB", (m.shape[1], m.shape[0])) for m in masks]
    return Dataset.from_dict({"image": images, "mask": [Pillow.fromarray(m) for m in masks]}, features=FEATURES)


def of(*masks, names=(), ignore=IGNORE):
    return read([dataset(masks)], "mask", "the source", ["train"], Legend(tuple(names), "names"), ignore)


def test_masks_of_one_size_are_kept_as_they_are():
    masks = [np.array([[0, 1, 2], [2, 255, 0]], np.uint8), np.array([[1, 1, 1], [0, 0, 0]], np.uint8)]
    labels = of(*masks)
    assert labels.outputs.names == ["0", "1", "2"]
    assert (labels.values[0] == np.stack(masks)).all()
    assert labels.notes == []


def test_masks_of_other_sizes_are_sampled_to_the_most_common_one_and_it_is_said():
    small, large = np.zeros((2, 2), np.uint8), np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((3, 3), np.uint8))
    labels = of(small, small, large)
    assert labels.values[0][2].tolist() == [[0, 1], [1, 0]]
    assert "2 sizes" in labels.notes[0]


def test_masks_of_0_and_255_are_two_classes_and_it_is_said():
    labels = of(np.array([[0, 255]], np.uint8), names=())
    assert (labels.outputs.names, labels.values[0].tolist()) == (["0", "1"], [[[0, 1]]])
    assert "two classes" in labels.notes[0]


def test_a_value_that_is_no_class_is_one_error_with_its_row():
    with pytest.raises(
        HubtlError, match="column 'mask', row 1: the mask has the value 7, and there are 2 classes by names"
    ):
        of(np.zeros((2, 2), np.uint8), np.full((2, 2), 7, np.uint8), names=("a", "b"))


def test_another_value_can_mean_no_class():
    labels = of(np.array([[0, 1, 9]], np.uint8), names=("a", "b"), ignore=9)
    assert labels.values[0].tolist() == [[[0, 1, IGNORE]]]


def test_names_are_a_file_or_a_list(tmp_path):
    (tmp_path / "names.txt").write_text("sky\n\nroad\n", encoding="utf-8")
    assert class_names(str(tmp_path / "names.txt"), "x") == ["sky", "road"] == class_names("sky, road", "x")
    with pytest.raises(HubtlError, match="twice"):
        class_names("sky,sky", "x")
    with pytest.raises(HubtlError, match="no file"):
        class_names("nowhere.txt", "x")


def test_sites_are_the_centres_of_a_grid_over_a_part():
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert sampled(mask, 2).tolist() == [[5, 7], [13, 15]]
    assert sampled(mask, 2, (0.5, 0.5, 1, 1)).tolist() == [[10, 11], [14, 15]]
    assert at_sites(np.stack([mask, mask]), 4).tolist() == [[5, 7, 13, 15]] * 2


def test_upsampled_outputs_answer_for_pixels():
    outputs = torch.tensor([[[9.0, 0], [0, 9], [9, 0], [0, 9]]])  # left is class 0, right is class 1
    assert upsampled(outputs, 4, 8).argmax(dim=1)[0].tolist() == [[0] * 4 + [1] * 4] * 4


def test_figures_are_those_of_all_labelled_pixels_together():
    task = Segmentation(["a", "b", "c"])
    truth = np.array([[[0, 0], [1, 1]], [[0, 1], [1, IGNORE]]], np.uint8)
    answers = np.array([[[0, 1], [1, 1]], [[0, 1], [0, 0]]])
    outputs = torch.nn.functional.one_hot(torch.from_numpy(answers).reshape(2, 4), 3).float() * 9
    figures = task.evaluation(outputs, truth).figures
    # outputs at the size of the masks are not interpolated; c is neither labelled nor predicted
    assert figures.pixels == 7
    assert figures.ignored == 1
    assert figures.pixel_accuracy == pytest.approx(5 / 7)
    assert [score.iou for score in figures.per_class] == [pytest.approx(2 / 4), pytest.approx(3 / 5), None]
    assert figures.mean_iou == pytest.approx((2 / 4 + 3 / 5) / 2)
    assert figures.interval[0] <= figures.mean_iou <= figures.interval[1]


def test_resampling_all_images_once_is_the_figure_itself():
    task = Segmentation(["a", "b"])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (5, 6, 6)).astype(np.uint8)
    outputs = torch.from_numpy(rng.standard_normal((5, 9, 2)).astype(np.float32))
    figures = task.evaluation(outputs, truth).figures
    assert figures.resampled(np.full((1, 5), 1 / 5))[0] == pytest.approx(figures.mean_iou)
    assert mean_iou(np.zeros((1, 2, 2)))[0] == 0


def test_labels_of_two_domains_are_matched_by_name_and_255_stays():
    task = Segmentation()
    masks = np.array([[[0, 1, 2, IGNORE]]], np.uint8)
    found = task.targets(masks, Outputs(names=["road", "sky", "tree"]), Outputs(names=["sky", "road"]))
    assert found.tolist() == [[[1, 0, IGNORE, IGNORE]]]


def test_a_loss_leaves_out_sites_without_a_class():
    task = Segmentation(["a", "b"])
    outputs = torch.tensor([[2.0, 0.0], [0.0, 3.0], [5.0, -5.0]])
    alone = task.loss(outputs[:2], torch.tensor([0, 1]))
    torch.testing.assert_close(task.loss(outputs, torch.tensor([0, 1, NONE])), alone)
    assert task.losses(outputs, torch.tensor([0, 1, NONE]))[2] == 0
    assert task.loss(outputs, torch.tensor([NONE] * 3)) == 0


SPEC = ImageInput(size=32, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="nearest", crop_mode="squash")


def rows(n=6, **how):
    """Images whose red channel is the class of each pixel times 60."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, 4, (n, 8, 8)), np.ones((1, 8, 8))).astype(np.uint8)
    images = [Pillow.fromarray(np.stack([60 * m, m, m], axis=-1)) for m in masks]
    how = {"augment": True, "views": ("weak", "strong")} | how
    return DenseSet(dataset(list(masks), images), "image", labels=masks, spec=SPEC, name="toy", side=8, **how)


def at_centres(images):
    """The classes that the red channel shows at the centres of cells."""
    return (images[:, 0, 2::4, 2::4] * 255 / 60).round().long().reshape(-1)


def test_image_mask_and_weak_view_are_cropped_and_flipped_alike():
    made = rows()
    for seed in range(3):
        batch = made.fetch(range(6), seed=seed)
        there = batch.labels.reshape(6, 8, 8)
        same, mirrored = (
            (at_centres(batch.inputs["image"]) == m.reshape(-1)).float().mean() for m in (there, there.flip(2))
        )
        assert same > 0.8, "cells of a crop straddle blocks at their edges alone"
        assert mirrored < 0.6
        torch.testing.assert_close(batch.views["weak"]["image"], batch.inputs["image"])
        assert not torch.equal(batch.views["strong"]["image"], batch.inputs["image"])
    assert not torch.equal(made.fetch([0], seed=0).labels, made.fetch([0], seed=1).labels)
    again = made.fetch([3, 1], seed=5)
    torch.testing.assert_close(again.inputs["image"], made.fetch([3, 1], seed=5).inputs["image"])


def test_the_evaluation_view_shows_the_whole_image():
    made = rows(augment=False, views=())
    batch = made.fetch([2, 0])
    assert (at_centres(batch.inputs["image"]) == batch.labels).all()
    assert batch.labels.shape == (2 * 64,)
    assert rows(augment=False, views=(), n=2).labels is not None
