"""Lists of files beside folders: VisDA, DomainNet, PACS, and lists of any kind."""

import pytest

from hubtl.data.cells import Wanted
from hubtl.data.classic.listfiles import split_named
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from tests.data.classic.grown import folders, listed, office, picture, text
from tests.data.trees import listed as rows_of

NUMBERS = {"cat": 0, "dog": 1}


@pytest.fixture
def visda(tmp_path):
    """Folders with lists, and one whose list alone has labels."""
    root = tmp_path / "visda"
    for split, start in (("train", 0), ("validation", 20)):
        folders(root / split, start=start, rows=4)
        text(
            root / split / "image_list.txt",
            *(f"{n}/{i}.jpg {NUMBERS[n]}" for n in NUMBERS for i in range(start, start + 4)),
        )
    for number, name in enumerate(("dog", "cat", "dog", "cat")):
        picture(root / "test" / f"trunk{number // 2:02}" / f"{number}.jpg", name, number)
    text(root / "test" / "image_list.txt", "trunk00/0.jpg 1", "trunk00/1.jpg 0", "trunk01/2.jpg 1", "trunk01/3.jpg 0")
    return root


def labels(root, **wanted):
    return {
        split: [rows.features["label"].names[number] for number in rows["label"][:]]
        for split, rows in opened(str(root), Wanted(("image",), **wanted)).splits.items()
    }


def test_numbers_of_a_list_are_named_by_the_folders_of_the_lists_beside_it(visda, said):
    assert labels(visda / "test") == {"train": ["dog", "cat", "dog", "cat"]}
    assert "numbers of image_list.txt are named as in ../train/image_list.txt" in said()
    whole = labels(visda)
    assert {split: len(own) for split, own in whole.items()} == {"train": 8, "validation": 8, "test": 4}
    assert whole["test"] == ["dog", "cat", "dog", "cat"]


def test_two_lists_beside_that_name_a_number_differently_are_an_error(visda):
    text(
        visda / "validation" / "image_list.txt",
        *(f"{n}/{i}.jpg {1 - NUMBERS[n]}" for n in NUMBERS for i in range(20, 24)),
    )
    with pytest.raises(
        HubtlError, match=r"\.\./train/image_list.txt and \.\./validation/image_list.txt name the numbers"
    ):
        opened(str(visda / "test"))


def test_numbers_that_nothing_names_stay(tmp_path, said):
    root = tmp_path / "flat"
    for number in range(4):
        picture(root / "all" / f"{number}.png", number=number)
    text(root / "train.txt", "all/0.png 5", "all/1.png 6", "all/2.png 6", "all/3.png 5")
    assert labels(root) == {"train": ["5", "6", "6", "5"]}
    assert "are numbers, which nothing names: they stay" in said()


@pytest.mark.parametrize(
    "lines", [("zebra", "yak"), ("5 zebra", "6 yak"), ("zebra 5", "yak 6"), ("6: yak", "5: zebra")], ids=str
)
def test_a_file_of_names_names_the_numbers(tmp_path, lines):
    root = tmp_path / "flat"
    first = 0 if lines[0] == "zebra" else 5
    for number in range(2):
        picture(root / "all" / f"{number}.png", number=number)
    text(root / "train.txt", f"all/0.png {first}", f"all/1.png {first + 1}")
    text(root / "classes.txt", *lines)
    assert labels(root) == {"train": ["zebra", "yak"]}


def test_a_file_of_names_that_the_folders_contradict_is_an_error(tmp_path):
    root = folders(tmp_path / "data", rows=2)
    text(root / "train.txt", "cat/0.jpg 0", "cat/1.jpg 0", "dog/0.jpg 1", "dog/1.jpg 1")
    text(root / "classes.txt", "dog", "cat")
    with pytest.raises(HubtlError, match=r"the number 0 is 'dog' by classes.txt, and lies in cat/"):
        opened(str(root))


def test_lists_with_few_lines_in_other_folders_are_named_by_most_and_said(tmp_path, said):
    root = folders(tmp_path / "data", rows=4)
    text(
        root / "train.txt",
        *(f"{n}/{i}.jpg {1 - k if i == 0 and n == 'cat' else k}" for n, k in NUMBERS.items() for i in range(4)),
    )
    assert labels(root)["train"] == ["dog", "cat", "cat", "cat", "dog", "dog", "dog", "dog"]
    assert "in a folder of another number: 1 row of 8" in said()


def test_domainnets_lists_split_a_domain_whether_it_is_given_or_named(tmp_path, said):
    root = tmp_path / "domainnet"
    for domain in ("clipart", "real"):
        folders(root / domain, rows=4)
        listed(root, domain, "train", "{domain}_{split}.txt", NUMBERS, range(3))
        listed(root, domain, "test", "{domain}_{split}.txt", NUMBERS, [3])
    wanted = {"train": ["cat"] * 3 + ["dog"] * 3, "test": ["cat", "dog"]}
    assert labels(root / "clipart") == wanted
    assert labels(root, domains=("clipart",)) == wanted
    assert "read by ../clipart_train.txt" in said() or "read by ../clipart_test.txt, ../clipart_train.txt" in said()
    assert labels(root / "real_test.txt") == {"test": ["cat", "dog"]}
    with pytest.raises(HubtlError, match="clipart, real may be domains") as error:
        opened(str(root))
    assert f"{root}/clipart" in error.value.hint
    assert "--source-domain clipart" in error.value.hint


def test_pacs_test_list_has_all_rows_and_is_no_test_split(tmp_path, said):
    root = tmp_path / "PACS"
    for domain in ("photo", "sketch"):
        folders(root / "kfold" / domain, rows=4)
        for split, rows in (("train", range(3)), ("crossval", [3]), ("test", range(4))):
            listed(root, domain, split, "{domain}_{split}_kfold.txt", {"cat": 1, "dog": 2}, rows)
    assert {split: len(own) for split, own in labels(root, domains=("sketch",)).items()} == {
        "train": 6,
        "validation": 2,
        "all": 8,
    }
    assert "is read as the split all" in said()


def test_lists_with_paths_of_another_machine_and_no_folders_of_domains(tmp_path):
    root = tmp_path / "data"
    for number in range(4):
        picture(root / "img" / f"a b {number}.png", number=number)
    text(root / "image_list" / "left.txt", "/home/me/data/img/a b 0.png 0", "/home/me/data/img/a b 1.png 1")
    text(
        root / "image_list" / "right.txt",
        "/home/me/data/img/a b 2.png\tdining table",
        "/home/me/data/img/a b 3.png\tsofa",
    )
    assert labels(root, domains=("left",)) == {"train": ["0", "1"]}
    assert labels(root, domains=("right",)) == {"train": ["dining table", "sofa"]}
    splits = opened(str(root), Wanted(("image",), domains=("left", "right"))).splits
    assert [splits["train"].features["domain"].names[n] for n in splits["train"]["domain"]] == ["left"] * 2 + [
        "right"
    ] * 2


def test_a_missing_file_is_named_with_its_line_and_left_out_on_request(tmp_path, said):
    root = folders(tmp_path / "data", rows=2)
    text(root / "train.txt", "cat/0.jpg 0", "cat/9.jpg 0", "dog/0.jpg 1")
    with pytest.raises(HubtlError, match=r"train.txt, line 2: there is no file cat/9.jpg"):
        opened(str(root))
    assert labels(root, lenient=True) == {"train": ["cat", "dog"]}
    assert "left out: 2 files in no list, such as cat/1.jpg" in said()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("cat/0.jpg 0", "dog/0.jpg 1", "cat/0.jpg 1"), "cat/0.jpg is 0 in line 1 and 1 in line 3"),
        (("cat/0.jpg 0", "dog/0.jpg"), "line 2: there is no label after 'dog/0.jpg'"),
    ],
)
def test_damaged_lists_are_one_error_with_the_line(tmp_path, lines, why):
    root = folders(tmp_path / "data", rows=2)
    text(root / "train.txt", *lines)
    with pytest.raises(HubtlError, match=why):
        opened(str(root))


def test_a_file_in_two_splits_is_said_and_two_labels_for_it_are_an_error(tmp_path, said):
    root = folders(tmp_path / "data", rows=2)
    text(root / "train.txt", "cat/0.jpg 0", "dog/0.jpg 1", "dog/1.jpg 1")
    text(root / "val.txt", "cat/0.jpg 0", "cat/1.jpg 0")
    opened(str(root))
    assert "in train and in validation: 1 file" in said()
    text(root / "val.txt", "cat/0.jpg 1", "cat/1.jpg 0")
    with pytest.raises(HubtlError, match=r"cat/0.jpg is 0 in train.txt and 1 in val.txt"):
        opened(str(root))


def test_texts_that_list_no_files_leave_a_folder_as_it_is(tmp_path):
    root = folders(tmp_path / "data", rows=2)
    text(root / "train.txt", "some words about the data")
    text(root / "notes.txt", "cat/0.jpg 1")
    assert rows_of(root, "image")["train"][0] == ("cat/0.jpg", "cat")
    with pytest.raises(HubtlError, match=r"train.txt is no list of files"):
        opened(str(root / "train.txt"))


@pytest.mark.parametrize(
    ("stem", "domain", "split"),
    [
        ("clipart_train", "clipart", "train"),
        ("art_painting_crossval_kfold", "art_painting", "validation"),
        ("amazon", "amazon", ""),
        ("amazon_list", "amazon", ""),
        ("image_list", None, ""),
        ("val", None, "validation"),
        ("train_list", None, "train"),
        ("bullet_train", None, None),
        ("README", None, None),
    ],
)
def test_names_of_lists(stem, domain, split):
    assert split_named(stem, domain) == split


def test_domains_of_office_31_and_office_home(tmp_path, said):
    root = office(tmp_path / "office")
    alone, named = opened(str(root / "amazon")).splits, opened(str(root), Wanted(("image",), domains=("amazon",)))
    assert named.domain_column == "domain"
    assert alone["train"]["label"][:] == named.splits["train"]["label"][:]
    with pytest.raises(HubtlError, match="hold the same folders each, cat/, dog/, mug/") as error:
        opened(str(root))
    assert "--source-domain amazon" in error.value.hint
    home = office(tmp_path / "home", ("Art", "Real World"), inner="")
    assert len(opened(str(home), Wanted(("image",), domains=("Real World", "Art"))).splits["train"]) == 30
    with pytest.raises(HubtlError, match="no folder of the domain 'Real Wold'; there are Art, Real World") as error:
        opened(str(home), Wanted(("image",), domains=("Real Wold",)))
    assert error.value.hint == "Real World"
    assert "the domain Art is the folder Art/" in said()
