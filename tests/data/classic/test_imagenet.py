"""Names of WordNet ids, and labels of flat validation folders."""

import json

import pytest

from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from tests.data.classic.grown import imagenet, picture, text, tiny_imagenet
from tests.data.trees import listed

FORMS = {
    "LOC_synset_mapping.txt": "n02084071 dog, domestic dog\nn02121620 cat, true cat\n",
    "synset_words.txt": "n02084071 dog, domestic dog\nn02121620 cat\n",
    "imagenet_class_index.json": json.dumps({"0": ["n02084071", "dog"], "1": ["n02121620", "cat"]}),
    "Labels.json": json.dumps({"n02084071": "dog, domestic dog", "n02121620": "cat"}),
    "words.txt": "n00001740\tentity\nn02084071\tdog\nn02121620\tcat\n",
    "classes.txt": "n02084071: dog\nn02121620: cat\n",
    "class_names.txt": "dog\ncat\n",
}


def names(root):
    return opened(str(root)).splits["train"].features["label"].names


@pytest.mark.parametrize("file", FORMS)
@pytest.mark.parametrize("place", ["", ".."])
def test_each_form_of_names_is_read_beside_the_folders_or_above(tmp_path, file, place, said):
    root = imagenet(tmp_path / "ilsvrc", rows=1)
    (root / "LOC_synset_mapping.txt").unlink()
    text(root / place / file).write_text(FORMS[file])
    assert names(root) == ["cat", "dog"]
    assert f"the 2 WordNet ids are named by {file}: n02084071 is 'dog'" in said()


def test_an_id_without_a_name_stays_and_is_said(tmp_path, said):
    root = imagenet(tmp_path / "ilsvrc", rows=1)
    text(root / "LOC_synset_mapping.txt", "n02084071 dog")
    text(root / "words.txt", "n02121620\tkitty")
    assert names(root) == ["dog", "n02121620"]
    assert "without a name: n02121620; not read: words.txt" in said()
    (root / "LOC_synset_mapping.txt").unlink()
    (root / "words.txt").unlink()
    assert names(root) == ["n02084071", "n02121620"]
    assert "no file of names lies beside them" in said()


def test_two_ids_of_one_name_stay_two(tmp_path):
    root = imagenet(tmp_path / "ilsvrc", rows=1)
    text(root / "LOC_synset_mapping.txt", "n02084071 crane", "n02121620 crane, machine")
    assert names(root) == ["crane", "crane, machine"]
    text(root / "LOC_synset_mapping.txt", "n02084071 crane", "n02121620 crane")
    assert names(root) == ["crane (n02084071)", "crane (n02121620)"]


def test_tiny_imagenets_flat_validation_folder_has_the_labels_of_its_annotations(tmp_path, said):
    rows = listed(tiny_imagenet(tmp_path / "tiny", rows=2), "image")
    assert [name for _, name in rows["train"]] == ["dog", "dog", "cat", "cat"]
    assert [name for _, name in rows["validation"]] == ["dog"] * 3 + ["cat"] * 3
    assert rows["test"] == [("test/images/test_0.JPEG", None)]
    assert "6 of 6 files of validation are labelled by val/val_annotations.txt" in said()
    assert "lie in folders of the class folders" not in said()


def test_kaggles_validation_folder_has_the_labels_of_its_table(tmp_path):
    root = imagenet(tmp_path / "ILSVRC" / "Data" / "CLS-LOC", rows=1)
    (root / "LOC_synset_mapping.txt").rename(tmp_path / "LOC_synset_mapping.txt")
    for folder in (root / "val").iterdir():
        for file in folder.iterdir():
            file.rename(root / "val" / file.name)
        folder.rmdir()
    lines = [f"{wnid}_val_0,{wnid} 1 2 3 4 " for wnid in ("n02084071", "n02121620")]
    text(tmp_path / "LOC_val_solution.csv", "ImageId,PredictionString", *lines)
    rows = listed(root, "image")
    assert rows["validation"] == [("val/n02084071_val_0.JPEG", "dog"), ("val/n02121620_val_0.JPEG", "cat")]


def test_other_folders_take_no_names(tmp_path):
    root = imagenet(tmp_path / "data", rows=1)
    picture(root / "train" / "owl" / "0.png")
    assert names(root) == ["n02084071", "n02121620", "owl"]


def test_damaged_names_are_one_error(tmp_path):
    root = imagenet(tmp_path / "data", rows=1)
    (root / "LOC_synset_mapping.txt").unlink()
    text(root / "Labels.json", "{")
    with pytest.raises(HubtlError, match=r"Labels.json cannot be read: it is not JSON"):
        names(root)
