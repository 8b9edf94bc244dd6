"""Folders of images and recordings: which folders are splits and which classes, and what is said of the rest."""

import os
import socket

import pytest
from datasets import Dataset

from hubtl.data.folders import files_of
from hubtl.data.opening import opened
from hubtl.data.sources import open_domain
from hubtl.errors import HubtlError
from hubtl.recipe.schema import DataSection, DomainSection
from hubtl.tasks.classification import Classification
from tests.data.trees import PNG, grow, listed


@pytest.fixture
def said(caplog):
    caplog.set_level("INFO", logger="hubtl")
    return lambda: "\n".join(record.getMessage() for record in caplog.records)


LAYOUTS = {
    "classes": (["cat/0.png", "cat/1.png", "dog/0.png"], {"train": {"cat": 2, "dog": 1}}),
    "one class alone": (["cat/0.png", "cat/1.png"], {"train": {"cat": 2}}),
    "flat": (["0.png", "1.png"], {"train": {None: 2}}),
    "splits": (["train/cat/0.png", "train/dog/0.png", "test/cat/0.png"], {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}}),
    "splits with capitals": (
        ["Training/cat/0.png", "Training/dog/0.png", "Validation/cat/0.png", "TEST/dog/0.png"],
        {"train": {"cat": 1, "dog": 1}, "validation": {"cat": 1}, "test": {"dog": 1}},
    ),
    "eval beside val is for testing": (
        ["train/cat/0.png", "train/dog/0.png", "val/cat/0.png", "eval/dog/0.png"],
        {"train": {"cat": 1, "dog": 1}, "validation": {"cat": 1}, "test": {"dog": 1}},
    ),
    "eval alone is for validating": (["train/cat/0.png", "eval/cat/1.png"], {"train": {"cat": 1}, "validation": {"cat": 1}}),
    "splits called sets": (
        ["training_set/training_set/cat/0.png", "training_set/training_set/dog/0.png", "Test Set/cat/0.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}},
    ),
    "splits of a year": (["train2017/0.png", "val2017/0.png"], {"train": {None: 1}, "validation": {None: 1}}),
    "a test split of other folders": (
        ["train/cat/0.png", "train/dog/0.png", "test/part0/0.png", "test/part1/0.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {None: 2}},
    ),
    "train alone": (["train/cat/0.png", "train/dog/0.png"], {"train": {"cat": 1, "dog": 1}}),
    "train alone and flat": (["train/0.png", "train/1.png"], {"train": {None: 2}}),
    "flat splits": (["train/0.png", "test/1.png"], {"train": {None: 1}, "test": {None: 1}}),
    "a flat test split": (
        ["train/cat/0.png", "train/dog/0.png", "test/0.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {None: 1}},
    ),
    "a test split in a folder of no class": (
        ["train/cat/0.png", "train/dog/0.png", "test/images/0.png", "val/Unknown/1.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {None: 1}, "validation": {None: 1}},
    ),
    "a class called train": (
        ["bus/0.png", "train/0.png", "truck/0.png"],
        {"train": {"bus": 1, "train": 1, "truck": 1}},
    ),
    "classes with splits' words": (
        ["test_tube/0.png", "bullet_train/0.png", "training wheels/0.png", "val-de-travers/1.png"],
        {"train": {"test_tube": 1, "bullet_train": 1, "training wheels": 1, "val-de-travers": 1}},
    ),
    "a class called train in splits": (
        ["train/train/0.png", "train/bus/0.png", "test/train/0.png", "test/bus/0.png"],
        {"train": {"train": 1, "bus": 1}, "test": {"train": 1, "bus": 1}},
    ),
    "splits' words in file names": (
        ["cat/train_0.png", "cat/1.png", "dog/toy-train-2.png", "dog/test.png"],
        {"train": {"cat": 2, "dog": 2}},
    ),
    "sessions": (
        ["cat/day1/0.png", "cat/day2/0.png", "dog/day1/0.png", "dog/day2/0.png"],
        {"train": {"cat": 2, "dog": 2}},
    ),
    "sessions of splits": (
        ["train/cat/day1/0.png", "train/dog/day1/0.png", "test/cat/day2/a/b/0.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}},
    ),
    "some deeper": (["cat/0.png", "cat/more/1.png", "dog/0.png"], {"train": {"cat": 2, "dog": 1}}),
    "splits in classes": (
        ["cat/train/0.png", "cat/test/0.png", "dog/Train/0.png", "dog/test/1.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}},
    ),
    "wrapped splits": (
        ["archive/v1/train/cat/0.png", "archive/v1/train/dog/0.png", "archive/v1/Test/cat/0.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}},
    ),
    "wrapped twice alike": (["train/train/cat/0.png", "train/train/dog/0.png"], {"train": {"cat": 1, "dog": 1}}),
    "wrapped classes": (["images/cat/0.png", "images/dog/0.png"], {"train": {"cat": 1, "dog": 1}}),
    "a wrapped class": (["images/cat/0.png"], {"train": {"cat": 1}}),
    "a wrapped flat folder": (["images/0.png", "images/1.png"], {"train": {None: 2}}),
    "images, then splits": (
        ["images/train/0.png", "images/val/0.png", "labels/train/0.txt"],
        {"train": {None: 1}, "validation": {None: 1}},
    ),
    "splits, then images": (["train/images/0.png", "valid/images/0.png"], {"train": {None: 1}, "validation": {None: 1}}),
    "one more split": (
        ["train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "extra/dog/0.png", "extra/cat/1.png"],
        {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1}, "extra": {"dog": 1, "cat": 1}},
    ),
    "stray files": (
        ["cat/0.png", "dog/0.png", "README.txt", "labels.csv", "cat/notes.txt", "dog/boxes.csv", "SHA256SUMS"],
        {"train": {"cat": 1, "dog": 1}},
    ),
    "a stray image": (["cat/0.png", "cat/1.png", "dog/0.png", "preview.png"], {"train": {"cat": 2, "dog": 1}}),
    "more beside than in folders": (["0.png", "1.png", "old/2.png"], {"train": {None: 3}}),
    "hidden and system files": (
        [
            *("cat/0.png", "dog/0.png", ".cache/a.png", "cat/._0.png", "__MACOSX/cat/0.png", "dog/@eaDir/0.png"),
            *("cat/.ipynb_checkpoints/0.png", "Thumbs.db", "cat/desktop.ini", "cat/.DS_Store"),
        ],
        {"train": {"cat": 1, "dog": 1}},
    ),
    "folders without images": (["cat/0.png", "dog/1.png", "bird/", "fish/more/", "notes/a.txt"], {"train": {"cat": 1, "dog": 1}}),
    "recordings": (["yes/0.wav", "yes/1.WAV", "no/0.wav"], {"train": {"yes": 2, "no": 1}}),
    "recordings of splits": (
        ["Train/yes/0.wav", "Train/no/0.wav", "Dev/no/1.wav"],
        {"train": {"yes": 1, "no": 1}, "validation": {"no": 1}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_splits_and_classes_of(case, tmp_path):
    paths, wanted = LAYOUTS[case]
    found = listed(grow(tmp_path / "data", *paths))
    counts = {s: {c: [name for _, name in rows].count(c) for _, c in rows} for s, rows in found.items()}
    assert counts == wanted
    assert all(rows == sorted(rows) for rows in found.values())


@pytest.mark.parametrize(
    ("paths", "message", "hint"),
    [
        (["archive/cat/0.png", "archive/dog/0.png"], "archive may be the class, or what is below", "data/archive"),
        (["cat/day1/0.png", "cat/day2/0.png"], "cat may be the class, or what is below", "data/cat"),
        (
            [f"{d}/{c}/0.png" for d in ("amazon", "dslr") for c in ("bike", "mug", "pen")],
            "amazon/, dslr/ hold the same folders each, bike/, mug/, pen/",
            "data/amazon",
        ),
        (
            [f"{d}/{s}/{c}/0.png" for d in ("mnist", "usps") for s in ("train", "test") for c in "01"],
            "several folders with splits in them: mnist/, usps/",
            "data/mnist",
        ),
        (["train/cat/0.png", "train/dog/0.png", "samples/0.png"], "train/ may be splits, or classes", "data/train"),
        (["train/0.png", "test/0.png", "bus/0.png"], "may be splits, or classes beside bus/", "move bus/ out"),
        (["train/cat/0.png", "Train/cat/0.png"], "Train and train both name the split train", "rename one"),
        (
            ["train/Cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/dog/0.png"],
            "the splits train and test write a class differently: 'Cat', 'cat'",
            "rename one",
        ),
        (["train/cat/0.png", "val/cat/0.png", "dev/cat/0.png"], "dev and val both name", "rename one"),
    ],
)
def test_two_readings_are_shown_and_none_is_taken(tmp_path, paths, message, hint):
    with pytest.raises(HubtlError) as caught:
        listed(grow(tmp_path / "data", *paths))
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("classes", "data: 3 of 3 image files used"),
        ("sessions", "4 of 4 files in data lie in folders of the class folders, such as cat/day1/"),
        ("some deeper", "1 of 3 files in data lie in folders of the class folders, such as cat/more/"),
        ("splits in classes", "classes are cat/, dog/, and the folders in them splits"),
        ("wrapped classes", "all lie in images/, which is read as no class"),
        ("flat splits", "test/, train/ hold no folders of classes: no labels come from folders"),
        (
            "a test split in a folder of no class",
            "none of the classes of train: Unknown/; validation is read as unlabelled",
        ),
        ("one more split", "extra/ hold the classes that the splits hold, and are read as splits"),
        ("stray files", "also there: 2 .txt, 2 .csv, 1 without a suffix"),
        ("a stray image", "3 of 4 image files used; left out: 1 beside the class folders, such as preview.png"),
        (
            "more beside than in folders",
            "2 of 3 files in data lie beside its folders old/: no labels come from folders",
        ),
        ("hidden and system files", "2 of 2 image files used\n"),
        ("hidden and system files", "also there: 8 hidden or of the system"),
        ("folders without images", "folders without any: bird/, fish/, notes/"),
        (
            "a test split of other folders",
            "none of the classes of train: part0/, part1/; test is read as unlabelled",
        ),
        ("recordings", "3 of 3 recordings used"),
    ],
)
def test_what_is_read_and_left_out_is_said(case, words, tmp_path, said):
    opened(str(grow(tmp_path / "data", *LAYOUTS[case][0])))
    assert words in said() + "\n"


@pytest.mark.parametrize(
    "name",
    [
        *("photos[1]", "a*b?", "{a,b}", 'it\'s "so"', "50 %", "%41", "café 猫", "-rf", "--help", "a\nb", "~", "$HOME"),
        *("a\\b", "a;b", "::", "c:d", "#1", "x" * 200, "...", " lead", "train "),
    ],
)
def test_any_name_is_taken_as_it_is(name, tmp_path):
    root = grow(tmp_path / name, f"{name}/{name}0.png", "dog/0.png")
    grow(tmp_path, "photos1/ant/0.png", "ab/ant/0.png", "A/ant/0.png")
    skipped = name.startswith(".")
    wanted = [("dog/0.png", "dog"), (f"{name}/{name}0.png", name)]
    assert listed(root) == {"train": wanted[:1] if skipped else sorted(wanted)}
    rows = opened(str(root)).splits["train"]
    assert rows[0]["image"].size == (4, 4)


# files that cannot be read


def test_links_are_followed_and_circles_end(tmp_path, said):
    store = grow(tmp_path / "store", "n01/0.png", "n02/1.png", "n02/deep/2.png")
    root = grow(tmp_path / "data", "dog/0.png")
    (root / "cat").symlink_to("../store/n01")
    (root / "bus").symlink_to(store / "n02", target_is_directory=True)
    (root / "dog" / "9.png").symlink_to(store / "n01" / "0.png")
    (root / "dog" / "self").symlink_to(root)
    (root / "dog" / "loop").symlink_to("loop")
    (root / "owl").symlink_to("../gone")  # of a class, as likely as not
    assert listed(root) == {
        "train": [
            *(("bus/1.png", "bus"), ("bus/deep/2.png", "bus"), ("cat/0.png", "cat")),
            *(("dog/0.png", "dog"), ("dog/9.png", "dog")),
        ]
    }
    assert "links in a circle or to nothing: " in said()
    assert all(name in said().split("to nothing: ")[1].splitlines()[0] for name in ("dog/self", "dog/loop", "owl"))


def test_a_maze_of_links_ends(tmp_path):
    for name in "abcdefgh":
        grow(tmp_path / "data", f"{name}/0.png")
    for name in "abcdefgh":
        for other in set("abcdefgh") - {name}:
            (tmp_path / "data" / name / f"to_{other}").symlink_to(tmp_path / "data" / other)
    assert len(files_of(tmp_path / "data", "image")) < 2000


def test_what_is_no_regular_file_is_counted_and_never_opened(tmp_path, said):
    root = grow(tmp_path / "data", "cat/0.png", "dog/0.png")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "cat" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "dog" / "zero.png").write_bytes(b"")
    (root / "dog" / "endless.png").symlink_to("/dev/zero")
    at = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(root / "dog")
        server.bind("s.png")
        os.chdir(at)
        assert listed(root) == {"train": [("cat/0.png", "cat"), ("dog/0.png", "dog")]}
    assert "2 of 7 image files used; left out: 1 broken link, 1 empty, 3 pipes or devices" in said()


def test_a_name_that_is_not_utf8_is_counted(tmp_path, said):
    root = grow(tmp_path / "data", "cat/0.png", "dog/0.png")
    try:
        (root / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(PNG)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert listed(root) == {"train": [("cat/0.png", "cat"), ("dog/0.png", "dog")]}
    assert "1 with a name that is not UTF-8" in said()


def test_folders_that_cannot_be_listed_are_said(tmp_path, monkeypatch, said):
    root, real = grow(tmp_path / "data", "cat/0.png", "dog/0.png", "owl/0.png"), os.scandir

    def closed(path):
        if str(path).endswith("owl"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert listed(root) == {"train": [("cat/0.png", "cat"), ("dog/0.png", "dog")]}
    assert "cannot be listed, links in a circle or to nothing: owl" in said()
    monkeypatch.setattr(os, "scandir", lambda path: closed("owl"))
    with pytest.raises(HubtlError, match="data cannot be listed: Permission denied"):
        listed(root)


@pytest.mark.parametrize(
    ("paths", "message", "hint"),
    [
        ([], "data holds neither images nor tables", "a sub-folder for each class"),
        (["cat/", "dog/a.txt"], "it holds 1 .txt, folders without any: cat/, dog/", "a sub-folder for each class"),
        (["all.zip"], "it holds 1 .zip", "unpack the archive"),
        ([".git/0.png"], "it holds 1 hidden", "a sub-folder for each class"),
    ],
)
def test_a_folder_with_nothing_to_read_says_what_it_holds(tmp_path, paths, message, hint):
    with pytest.raises(HubtlError) as caught:
        opened(str(grow(tmp_path / "data", "./", *paths)))
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_table_beside_images_without_labels_is_named(tmp_path, said):
    assert listed(grow(tmp_path / "data", "images/0.png", "images/1.png", "labels.csv")) == {
        "train": [("images/0.png", None), ("images/1.png", None)]
    }
    assert "no labels; labels.csv is not read: give it as the dataset, if it holds them" in said()


def test_parquet_tables_beside_some_pictures_are_a_question(tmp_path):
    root = grow(tmp_path / "data", "assets/plot.png")
    Dataset.from_dict({"text": ["a"], "label": ["x"]}).to_parquet(str(root / "train.parquet"))
    with pytest.raises(HubtlError, match=r"1 \.parquet tables, such as train\.parquet, beside images") as caught:
        listed(root)
    assert "data/train.parquet" in caught.value.hint
    assert listed(grow(root, "assets/more/0.png", "bird/0.png"))["train"] == [
        *(("assets/more/0.png", "assets"), ("assets/plot.png", "assets"), ("bird/0.png", "bird"))
    ]


def test_no_name_at_all_is_no_folder():
    with pytest.raises(HubtlError, match="no dataset is named"):
        opened("")


def test_what_is_neither_file_nor_folder_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(HubtlError, match=r"rows\.csv is neither a file nor a folder"):
        opened(str(tmp_path / "rows.csv"))
    grow(tmp_path, "one.PNG")
    with pytest.raises(HubtlError, match=r"one\.PNG: not a kind of file") as caught:
        opened(str(tmp_path / "one.PNG"))
    assert caught.value.hint == "give its folder"


# images and recordings together


def test_of_images_and_recordings_those_that_are_asked_for_are_read(tmp_path, said):
    root = grow(tmp_path / "data", "cat/0.png", "cat/0.wav", "dog/0.png", "dog/1.wav")
    assert listed(root) == listed(root, "image") == {"train": [("cat/0.png", "cat"), ("dog/0.png", "dog")]}
    assert "also there: 2 .wav" in said()
    assert listed(root, "audio") == {"train": [("cat/0.wav", "cat"), ("dog/1.wav", "dog")]}


def test_a_model_of_both_reads_those_of_one_name_as_one_row(tmp_path):
    from hubtl.data.cells import Wanted

    root = grow(tmp_path / "data", "cat/0.png", "cat/0.wav", "dog/0.png", "dog/1.wav")
    rows = opened(str(root), Wanted(("image", "audio"))).splits["train"]
    found = [
        [cell and os.path.relpath(cell["path"], root) for cell in (row["image"], row["audio"])] + [row["label"]]
        for row in rows.cast_column("image", type(rows.features["image"])(decode=False))
    ]
    assert found == [["cat/0.png", "cat/0.wav", 0], ["dog/0.png", None, 1], [None, "dog/1.wav", 1]]


# fingerprints


def test_a_fingerprint_is_the_same_for_the_same_files_and_another_for_others(tmp_path):
    def mark(split="train"):
        return opened(str(root)).splits[split]._fingerprint

    root = grow(tmp_path / "data", "train/cat/0.png", "train/dog/0.png", "test/cat/0.png")
    seen = {mark("test"), first := mark()}
    assert mark() == first
    for change in (
        lambda: grow(root, "train/dog/1.png"),
        lambda: (root / "train/dog/1.png").rename(root / "train/dog/2.png"),
        lambda: (root / "train/dog").rename(root / "train/owl"),
        lambda: (root / "train/owl/2.png").write_bytes(PNG + b"\0"),
        lambda: os.utime(root / "train/owl/2.png", ns=(1, 1)),
        lambda: (root / "train/metadata.csv").write_text("file_name,n\ncat/0.png,1\n"),
        lambda: (root / "train/metadata.csv").write_text("file_name,n\ncat/0.png,2\n"),
    ):
        change()
        assert mark() not in seen
        seen.add(mark())


def test_a_folder_of_recordings_is_predicted_file_by_file(tmp_path):
    from hubtl.cli.rows import rows_of

    root = grow(tmp_path / "data", "train/yes/1.wav", "test/no/0.WAV", "cover.png", "notes.txt")
    columns = dict.fromkeys(("image", "text", "audio"))
    wanted = [str(root / name) for name in ("test/no/0.WAV", "train/yes/1.wav")]
    assert rows_of([str(root)], ("audio",), None, columns, each_file=True) == wanted
    (rows,) = rows_of([str(root)], ("audio",), "train", columns, each_file=True)
    assert (rows.column_names, len(rows)) == (["audio"], 1)
    (rows,) = rows_of([str(root)], ("audio",), None, columns)
    assert len(rows) == 1  # one dataset, of which a row is explained


def test_a_domain_of_recordings_in_class_folders(tmp_path):
    root = grow(tmp_path / "data", *(f"{name}/{i}.wav" for name in ("yes", "no") for i in range(4)))
    domain = open_domain(
        DomainSection(dataset=str(root)), DataSection(), Classification(), role="source", modalities=("audio",)
    )
    assert (domain.columns, domain.outputs.names) == ({"audio": "audio"}, ["no", "yes"])
    assert (len(domain.train), len(domain.eval)) == (6, 2)
    with pytest.raises(HubtlError, match="has no image column; its columns: audio"):
        open_domain(DomainSection(dataset=str(root)), DataSection(), Classification(), role="source")
