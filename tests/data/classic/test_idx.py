"""MNIST's idx files and those of its relatives."""

import gzip

import numpy as np
import pytest

from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from tests.data.classic.grown import idx_file, mnist, text


def test_mnist_as_torchvision_lays_it_packed_or_not(tmp_path, said):
    for folder, suffix in (
        (tmp_path / "a", ""),
        (tmp_path / "b" / "raw", ".gz"),
        (tmp_path / "c" / "MNIST" / "raw", ".gz"),
    ):
        mnist(folder, suffix=suffix)
    found = [opened(str(tmp_path / name)).splits for name in "abc"]
    for splits in found:
        assert (list(splits), splits["train"].features["label"].names) == (["train", "test"], ["3", "7"])
        assert splits["train"]["label"][:4] == [0, 1, 0, 1]
        pixels = np.asarray(splits["test"][1]["image"])
        assert pixels.shape == (28, 28)
        assert pixels[20].mean() > 150 > pixels[5].mean()
    assert "idx files: train 12 by train-images-idx3-ubyte, test 6 by t10k-images-idx3-ubyte" in said()


def test_unpacked_files_go_before_packed_ones_and_dots_are_read_as_hyphens(tmp_path):
    mnist(tmp_path, suffix="")
    mnist(tmp_path, suffix=".gz", rows=4)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert len(opened(str(tmp_path)).splits["train"]) == 12


def test_emnist_is_turned_upright_and_named_by_its_mapping(tmp_path, said):
    mnist(tmp_path, "emnist-letters-", "test")
    text(tmp_path / "emnist-letters-mapping.txt", "3 67 99", "7 71 103")
    splits = opened(str(tmp_path)).splits
    assert splits["train"].features["label"].names == ["C", "G"]
    pixels = np.asarray(splits["train"][1]["image"])
    assert pixels[:, 20].mean() > 150 > pixels[:, 5].mean()
    assert "are turned upright" in said()
    mnist(tmp_path, "emnist-digits-", "test")
    with pytest.raises(HubtlError, match="several data sets: emnist-digits, emnist-letters") as error:
        opened(str(tmp_path))
    assert len(opened(str(tmp_path / "emnist-letters-test-images-idx3-ubyte.gz")).splits["test"]) == 6
    assert "emnist-letters-test-images-idx3-ubyte.gz" in error.value.hint


def test_a_split_without_labels_is_said(tmp_path, said):
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert opened(str(tmp_path)).splits["test"]["label"][:] == [None] * 6
    assert "no labels of test" in said()


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def damage(path):
    path.write_bytes(gzip.compress(b"\x89PNG" + gzip.decompress(path.read_bytes())[4:]))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda f: idx_file(f / "train-labels-idx1-ubyte.gz", np.zeros(11)), "holds 12 images, and .* 11 labels"),
        (lambda f: damage(f / "train-images-idx3-ubyte.gz"), "is no idx file: it begins with the bytes 89 50 4e 47"),
        (lambda f: cut(f / "train-images-idx3-ubyte.gz"), "cannot be read: Compressed file ended"),
        (
            lambda f: idx_file(f / "train-images-idx3-ubyte.gz", np.zeros((12, 28))),
            "in 2 dimensions, not unsigned bytes in 3",
        ),
        (lambda f: idx_file(f / "train-labels-idx1-ubyte.gz", np.zeros(12), kind=13), "holds floats in 1 dimensions"),
        (lambda f: (f / "train-images-idx3-ubyte.gz").unlink(), "has no file of images beside it"),
    ],
)
def test_damaged_files_are_one_error(tmp_path, harm, why):
    mnist(tmp_path)
    harm(tmp_path)
    with pytest.raises(HubtlError, match=why):
        opened(str(tmp_path))


def test_a_cut_unpacked_file_says_what_it_should_hold(tmp_path):
    mnist(tmp_path, suffix="")
    cut(tmp_path / "t10k-images-idx3-ubyte")
    with pytest.raises(HubtlError, match="is damaged: it says 6 × 28 × 28 and holds 4,695 bytes"):
        opened(str(tmp_path))
