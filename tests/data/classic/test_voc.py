"""VOCdevkit: lists of ImageSets/Main, objects of Annotations, difficult ones, years."""

import numpy as np
import pytest

from hubtl.data.cells import Wanted
from hubtl.data.classic import voc as layout
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from hubtl.tasks.multilabel.reading import read
from tests.data.classic.grown import text, voc, voc_labels


def matrix(root, split="train", **wanted):
    part = opened(str(root), Wanted(("image",), **wanted)).splits[split]
    found = read([part], ["labels"], "", [split], None)
    return found.outputs.names, found.values[0]


@pytest.mark.parametrize(
    "form", [{"lists": True}, {"lists": False, "xml": True}, {"lists": True, "xml": True}], ids=str
)
def test_lists_and_annotations_say_the_same_and_difficult_is_not_known(tmp_path, form, said):
    root = voc(tmp_path / "VOCdevkit" / "VOC2007", voc_labels(), **form)
    names, values = matrix(root.parent)
    assert names == ["cat", "dog"]
    wanted = np.array([[1, 0], [0, 1]] * 4, dtype=np.float32)
    wanted[5], wanted[7] = [np.nan, 1], [1, 1]
    np.testing.assert_array_equal(values, wanted)
    by = "ImageSets/Main/NAME_SPLIT.txt" if form["lists"] else "Annotations/*.xml"
    assert f"labels are read from {by} (16 images)" in said()


def test_images_of_one_label_each_are_for_classification_and_others_on_request(tmp_path):
    one = opened(str(voc(tmp_path / "a" / "VOC2007", voc_labels(several=False)))).splits["train"]
    assert [one.features["label"].names[n] for n in one["label"][:4]] == ["cat", "dog", "cat", "dog"]
    several = opened(str(voc(tmp_path / "b" / "VOC2007", voc_labels()))).splits["train"]
    assert "label" not in several.features
    assert several["single_label"][:] == ["cat", "dog", "cat", "dog", "cat", None, "cat", None]


def test_a_split_without_lists_is_labelled_by_annotations_or_not_at_all(tmp_path):
    labels = voc_labels(("train", "val", "test"))
    root = voc(tmp_path / "VOC2012", labels, xml=True)
    for name in ("cat", "dog"):
        (root / "ImageSets" / "Main" / f"{name}_test.txt").unlink()
    assert np.isfinite(matrix(root, "test")[1]).sum() == 15
    for path in (root / "Annotations").iterdir():
        path.unlink()
    assert opened(str(root)).splits["test"]["labels"][:] == [None] * 8


def test_without_lists_of_splits_every_annotated_image_is_of_train(tmp_path, said):
    root = voc(tmp_path / "mine", voc_labels(("train",)), lists=False, xml=True)
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    assert len(opened(str(root)).splits["train"]) == 8
    assert "every image with an annotation is of train" in said()


def test_years_are_domains_or_given_alone(tmp_path):
    for year, splits in (("VOC2007", ("train", "test")), ("VOC2012", ("train", "val"))):
        voc(tmp_path / "VOCdevkit" / year, voc_labels(splits))
    with pytest.raises(HubtlError, match="holds 2 data sets in VOC's layout: VOC2007, VOC2012") as error:
        opened(str(tmp_path / "VOCdevkit"))
    assert "--source-domain VOC2007" in error.value.hint
    both = opened(str(tmp_path / "VOCdevkit"), Wanted(("image",), domains=("VOC2007", "VOC2012"))).splits
    assert {split: len(rows) for split, rows in both.items()} == {"train": 16, "test": 8, "validation": 8}
    names, values = matrix(tmp_path / "VOCdevkit", domains=("VOC2007", "VOC2012"))
    assert (names, values.shape) == (["cat", "dog"], (16, 2))


def test_splits_of_segmentation_are_listed_from_their_own_folder(tmp_path):
    root = voc(tmp_path / "VOC2007", voc_labels())
    text(root / "ImageSets" / "Segmentation" / "train.txt", "000001", "000003")
    text(root / "ImageSets" / "Segmentation" / "val.txt", "001002")
    assert layout.splits(root, "Segmentation") == {"train": ["000001", "000003"], "validation": ["001002"]}


def test_a_missing_image_is_named_and_left_out_on_request(tmp_path, said):
    root = voc(tmp_path / "VOC2007", voc_labels())
    (root / "JPEGImages" / "000003.jpg").unlink()
    with pytest.raises(
        HubtlError, match=r"train lists 000003, and JPEGImages has no such image \(1 of 8 are missing\)"
    ):
        opened(str(root))
    assert len(opened(str(root), Wanted(("image",), lenient=True)).splits["train"]) == 7


@pytest.mark.parametrize(
    ("file", "line", "why"),
    [
        ("ImageSets/Main/cat_train.txt", "000000 2", "cat_train.txt, line 1: '000000 2' is no image with −1, 0 or 1"),
        ("Annotations/000000.xml", "<annotation><object>", "000000.xml cannot be read"),
        ("Annotations/000000.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares a document type"),
        ("Annotations/000000.xml", "<annotation><object/></annotation>", "an object has no name"),
    ],
)
def test_damaged_files_are_one_error(tmp_path, file, line, why):
    root = voc(tmp_path / "VOC2007", voc_labels(), lists="Main" in file, xml=True)
    text(root / file, line)
    with pytest.raises(HubtlError, match=why):
        opened(str(root))


def test_a_name_whose_list_is_missing_in_one_split_is_an_error(tmp_path):
    root = voc(tmp_path / "VOC2007", voc_labels())
    (root / "ImageSets" / "Main" / "cat_val.txt").unlink()
    with pytest.raises(HubtlError, match=r"has no cat_val.txt beside dog_val.txt"):
        opened(str(root))
