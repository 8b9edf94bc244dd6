"""Classic data sets on the command line, from training to predicting."""

import json

import pytest

from hubtl.record import RunRecord
from tests.data.classic.grown import folders, imagenet, listed, mnist, office, text, tiny_imagenet, voc, voc_labels
from tests.tiny import hubtl_command

pytestmark = pytest.mark.slow
SMALL = ("--model", "lenet", "--no-pretrained", "--image-size", "32", "--batch-size", "4", "--steps", "3", "--quiet")


def visda(root):
    for split, start in (("train", 0), ("validation", 20)):
        folders(root / split, start=start)
        rows = range(start, start + 6)
        text(
            root / split / "image_list.txt",
            *(f"{name}/{i}.jpg {k}" for k, name in enumerate(("cat", "dog")) for i in rows),
        )
    return root


def domainnet(root):
    for domain in ("clipart", "real"):
        folders(root / domain)
        listed(root, domain, "train", "{domain}_{split}.txt", {"cat": 0, "dog": 1}, range(4))
        listed(root, domain, "test", "{domain}_{split}.txt", {"cat": 0, "dog": 1}, (4, 5))
    return root


def pacs(root):
    for domain in ("photo", "sketch"):
        folders(root / "kfold" / domain)
        for split, rows in (("train", range(4)), ("crossval", (4, 5)), ("test", range(6))):
            listed(root, domain, split, "{domain}_{split}_kfold.txt", {"cat": 1, "dog": 2}, rows)
    return root


def both(root, source, target):
    return ("--source-dataset", str(root / source), "--target-dataset", str(root / target), "--strategy", "coral")


def named(root, source, target):
    return (
        *("--source-dataset", str(root), "--source-domain", source),
        *("--target-dataset", str(root), "--target-domain", target, "--strategy", "coral"),
    )


def one(root, *more):
    return ("--target-dataset", str(root), "--strategy", "finetune", *more)


def single(root):
    return voc(root / "VOC2007", voc_labels(several=False)).parent


TRAINED = {
    "ImageNet": (lambda p: one(imagenet(p)), ["cat", "dog"], (12, 12)),
    "tiny-imagenet": (lambda p: one(tiny_imagenet(p)), ["cat", "dog"], (12, 6)),
    "MNIST": (lambda p: one(mnist(p)), ["3", "7"], (12, 6)),
    "VOC, one label each": (lambda p: one(single(p)), ["cat", "dog"], (8, 8)),
    "VOC by annotations": (
        lambda p: one(voc(p / "VOC2012", voc_labels(), lists=False, xml=True), "--task", "multi-label"),
        ["cat", "dog"],
        (8, 8),
    ),
    "VOC, several labels": (
        lambda p: one(voc(p / "VOC2007", voc_labels()).parent, "--task", "multi-label"),
        ["cat", "dog"],
        (8, 8),
    ),
    "Office-31, a folder each": (lambda p: both(office(p), "amazon", "webcam"), ["cat", "dog", "mug"], (12, 3)),
    "Office-Home, named": (
        lambda p: named(office(p, ("Art", "Real World"), ""), "Art", "Real World"),
        ["cat", "dog", "mug"],
        (12, 3),
    ),
    "PACS, lists of folds": (lambda p: named(pacs(p), "photo", "sketch"), ["cat", "dog"], (8, 4)),
    "VisDA": (lambda p: both(visda(p), "train", "validation"), ["cat", "dog"], (10, 2)),
    "DomainNet": (lambda p: both(domainnet(p), "clipart", "real"), ["cat", "dog"], (8, 4)),
    "two lists": (
        lambda p: both(domainnet(p), "clipart_train.txt", "real_test.txt"),
        ["cat", "dog"],
        (2, 2),
    ),
}


@pytest.mark.parametrize("layout", TRAINED)
def test_each_layout_is_trained_from(tmp_path, capsys, layout):
    flags, names, rows = TRAINED[layout]
    code, _, err = hubtl_command(
        ["adapt", *SMALL, *flags(tmp_path / "d"), "--output-dir", str(tmp_path / "run")], capsys
    )
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert (record.outputs.names, (record.target.rows, record.target.eval_rows)) == (names, rows)


def test_domains_of_one_folder_are_ranked_compared_evaluated_and_predicted(tmp_path, capsys):
    root, run = office(tmp_path / "office"), tmp_path / "run"
    flags = [*SMALL, *named(root, "amazon", "webcam")]
    code, _, err = hubtl_command(["adapt", *flags, "--output-dir", str(run)], capsys)
    assert code == 0, err
    code, out, err = hubtl_command(
        ["evaluate", str(run), "--dataset", str(root), "--domain", "webcam", "--json"], capsys
    )
    assert (code, json.loads(out)["n"]) == (0, 3), err
    code, out, err = hubtl_command(
        ["rank", "--models", "lenet", "--no-pretrained", "--image-size", "32", *flags[9:-2], "--json"], capsys
    )
    assert (code, json.loads(out)["outputs"]) == (0, ["cat", "dog", "mug"]), err
    typed = ["compare", *flags[:-2], "--strategies", "coral", "--json", "--output-dir", str(tmp_path / "compared")]
    code, out, err = hubtl_command(typed, capsys)
    assert code == 0, err
    code, out, err = hubtl_command(["predict", str(run), str(root / "webcam"), "--json"], capsys)
    assert (code, len(json.loads(out)["predictions"])) == (0, 15), err


def test_idx_files_and_devkits_are_predicted_as_data_sets(tmp_path, capsys):
    root, run = mnist(tmp_path / "mnist"), tmp_path / "run"
    assert hubtl_command(["adapt", *SMALL, *one(root), "--output-dir", str(run)], capsys)[0] == 0
    for inputs in (root, root / "t10k-images-idx3-ubyte.gz"):
        code, out, err = hubtl_command(["predict", str(run), str(inputs), "--json"], capsys)
        assert (code, len(json.loads(out)["predictions"])) == (0, 6), err
    devkit = voc(tmp_path / "VOC2007", voc_labels())
    code, out, err = hubtl_command(["predict", str(run), str(devkit), "--split", "train", "--json"], capsys)
    assert (code, len(json.loads(out)["predictions"])) == (0, 8), err


def test_images_with_several_labels_are_no_classification_unless_asked(tmp_path, capsys):
    root = voc(tmp_path / "VOC2007", voc_labels())
    code, _, err = hubtl_command(["adapt", *SMALL, *one(root), "--output-dir", str(tmp_path / "a")], capsys)
    assert code == 2
    assert "--task multi-label" in err
    asked = one(root, "--label-column", "single_label")
    code, _, err = hubtl_command(["adapt", *SMALL, *asked, "--output-dir", str(tmp_path / "b")], capsys)
    assert code == 0, err
    assert RunRecord.load(tmp_path / "b").target.rows == 6


def test_the_plan_shows_the_reading_that_was_chosen(tmp_path, capsys):
    flags = [flag for flag in SMALL if flag != "--quiet"]
    code, _, err = hubtl_command(
        ["adapt", *flags, *named(pacs(tmp_path / "p"), "photo", "sketch"), "--dry-run"], capsys
    )
    assert code == 0, err
    for part in ("the domain photo is the folder kfold/photo/", "splits train, validation", "is read as the split all"):
        assert part in err


@pytest.mark.parametrize(
    ("grow", "flags", "why", "hint"),
    [
        (office, (), "the classes may be the first or the second", "--source-domain amazon"),
        (office, ("--source-domain", "amazn"), "no folder of the domain 'amazn'", "amazon"),
        (domainnet, (), "may be domains", "--source-domain clipart"),
        (single, ("--source-domain", "foo", "--domain-column", "x"), "column", ""),
    ],
)
def test_what_can_be_read_in_two_ways_is_one_error(tmp_path, capsys, grow, flags, why, hint):
    root = grow(tmp_path / "data")
    typed = [
        "adapt",
        *SMALL,
        "--source-dataset",
        str(root),
        *flags,
        "--target-dataset",
        str(root),
        "--strategy",
        "coral",
    ]
    code, _, err = hubtl_command([*typed, "--output-dir", str(tmp_path / "run")], capsys)
    assert (code, err.count("error:")) == (2, 1)
    assert why in err
    assert hint in err
    assert not (tmp_path / "run").exists()
