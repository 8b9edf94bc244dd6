"""Folder trees: classes, splits, strays, links, names."""

import os
from pathlib import Path

from tests.hostile.kit import Corpus, adaptation, picture, transfer, tree

FOLDERS = Corpus()
PLAIN = {"cat": 4, "dog": 4}

TREES = {  # what is on disk, and what the plan must say of it
    "a class called train": ({"bus": 3, "car": 3, "train": 3}, r"classes\s+3: bus, car, train\n"),
    "a class called test": ({"exam": 3, "test": 3}, r"classes\s+2: exam, test\n"),
    "a class called val": ({"val": 3, "vul": 3}, r"classes\s+2: val, vul\n"),
    "names that begin like splits": (
        {"training_wheels": 3, "test_tube": 3},
        r"classes\s+2: test_tube, training_wheels\n",
    ),
    "names that end like splits": ({"bullet_train": 3, "crash-test": 3}, r"classes\s+2: bullet_train, crash-test\n"),
    "splits in capitals": (
        {"TRAIN/cat": 3, "TRAIN/dog": 3, "TEST/cat": 2, "TEST/dog": 2},
        r"6 rows of train, 4 of test",
    ),
    "Training and Validation": (
        {"Training/cat": 3, "Training/dog": 3, "Validation/cat": 2, "Validation/dog": 2},
        r"6 rows of train, 4 of validation",
    ),
    "train and val": (
        {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2},
        r"6 rows of train, 4 of validation",
    ),
    "train, val and test": (
        {f"{s}/{c}": n for s, n in (("train", 3), ("val", 1), ("test", 2)) for c in ("cat", "dog")},
        r"6 rows of train, 4 of test",
    ),
    "a class that is also a split's name within a split": (
        {"train/bus": 3, "train/train": 3, "test/bus": 2, "test/train": 2},
        r"classes\s+2: bus, train\n",
    ),
    "a split's folder with a class that the other lacks": (
        {"train/cat": 3, "train/dog": 3, "test/cat": 2},
        r"classes\s+2: cat, dog\n",
    ),
    "sessions within classes": ({"cat/day1": 3, "cat/day2": 2, "dog/day1": 3}, r"classes\s+2: cat, dog\n"),
    "spaces, hyphens and umlauts": ({"käse brot": 3, "crème-brûlée": 3}, r"classes\s+2: crème-brûlée, käse brot\n"),
    "brackets and glob characters": (
        {"a[1]": 3, "b*": 3, "c?": 3, "{d}": 3},
        r"classes\s+4: a\[1\], b\*, c\?, \{d\}\n",
    ),
    "quotes and percent": ({"it's": 3, '100%"': 3}, r"classes\s+2: "),
    "names that look like options": ({"--model": 3, "-x": 3}, r"classes\s+2: --model, -x\n"),
    "numbers": ({"0": 3, "1": 3, "10": 3}, r"classes\s+3: "),
    "NA and None": ({"NA": 3, "None": 3, "EU": 3}, r"classes\s+3: EU, NA, None\n"),
    "an empty class folder": ({"cat": 3, "dog": 3, "owl": 0}, r"owl"),
}
for _name, (_tree, _says) in TREES.items():
    FOLDERS.works(_name, _says)(lambda root, counts=_tree: transfer(tree(root / "data", counts)))


@FOLDERS.works(
    "split words within file names", r"24 of 24 image files|24 rows|19 rows of train, 5 of|20 rows of train, 4 of"
)
def file_names_with_split_words(root: Path) -> list[str]:
    for number, word in enumerate(("train", "test", "val")):
        for i in range(8):
            picture(root / "data" / ("cat", "dog")[i % 2] / f"{word}_{i}.png", 10 * number + i)
    return transfer(root / "data")


@FOLDERS.works("a class folder that is a link", r"classes\s+3: bus, cat, dog\n")
def class_folder_is_link(root: Path) -> list[str]:
    tree(root / "data", PLAIN)
    tree(root / "store", {"n03": 4})
    os.symlink(root / "store" / "n03", root / "data" / "bus")
    return transfer(root / "data")


@FOLDERS.works("images that are links", r"classes\s+2: cat, dog\n")
def images_are_links(root: Path) -> list[str]:
    tree(root / "store", PLAIN)
    for file in sorted((root / "store").rglob("*.png")):
        place = root / "data" / file.relative_to(root / "store")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(file, place)
    return transfer(root / "data")


@FOLDERS.works("a link to the folder above", r"classes\s+2: cat, dog\n")
def link_cycle(root: Path) -> list[str]:
    tree(root / "data", PLAIN)
    os.symlink(root / "data", root / "data" / "cat" / "again")
    return transfer(root / "data")


@FOLDERS.works("a broken link among images", r"8 of 9 image files")
def broken_link(root: Path) -> list[str]:
    tree(root / "data", PLAIN)
    os.symlink(root / "nowhere.png", root / "data" / "cat" / "gone.png")
    return transfer(root / "data")


@FOLDERS.works("a folder with brackets in its name", r"classes\s+2: cat, dog\n")
def folder_with_brackets(root: Path) -> list[str]:
    tree(root / "photos1", {"ant": 3, "bee": 3})
    return transfer(tree(root / "photos[1]", PLAIN))


@FOLDERS.works("hidden and system files", r"classes\s+2: cat, dog\n")
def hidden_files(root: Path) -> list[str]:
    data = tree(root / "data", PLAIN | {"__MACOSX/cat": 2, ".ipynb_checkpoints": 2})
    (data / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (data / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (data / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
    return transfer(data)


@FOLDERS.works("a table beside class folders", r"classes\s+2: cat, dog\n")
def metadata_beside_classes(root: Path) -> list[str]:
    data = tree(root / "data", PLAIN)
    names = sorted(p.relative_to(data).as_posix() for p in data.rglob("*.png"))
    (data / "metadata.csv").write_text("file_name,camera\n" + "".join(f"{n},a\n" for n in names))
    return transfer(data)


@FOLDERS.works("stray files beside class folders", r"classes\s+2: cat, dog\n")
def stray_files(root: Path) -> list[str]:
    data = tree(root / "data", PLAIN)
    (data / "README.txt").write_text("photos of animals")
    (data / "checksums.csv").write_text("file,md5\n")
    (data / "cat" / "notes.docx").write_bytes(b"PK")
    picture(data / "cover.png")
    return transfer(data)


@FOLDERS.works("suffixes in capitals, and rare ones", r"classes\s+2: cat, dog\n", r"10 of 10 image files")
def suffixes(root: Path) -> list[str]:
    for i, suffix in enumerate((".PNG", ".JPG", ".jfif", ".jpe", ".tif", ".TIFF", ".webp", ".bmp", ".gif", ".jp2")):
        picture(root / "data" / ("cat", "dog")[i % 2] / f"{i}{suffix}", i)
    return transfer(root / "data")


@FOLDERS.works("a target of one class", r"partial set", r"source only: dog")
def target_of_one_class(root: Path) -> list[str]:
    return adaptation(tree(root / "a", PLAIN), tree(root / "b", {"cat": 6}))


@FOLDERS.works("a flat target without labels", r"unknown set|unlabelled|no labels")
def flat_target(root: Path) -> list[str]:
    return adaptation(tree(root / "a", PLAIN), tree(root / "b", {".": 6}))


@FOLDERS.works("flat splits of a target without labels", r"6 rows of train")
def flat_splits(root: Path) -> list[str]:
    return adaptation(tree(root / "a", PLAIN), tree(root / "b", {"train": 6, "test": 3}))


@FOLDERS.refused("one folder alone with folders in it", r"archive may be the class", r"cat/, dog/")
def lone_wrapper(root: Path) -> list[str]:
    return transfer(tree(root / "data", {"archive/photos/cat": 3, "archive/photos/dog": 3}))


@FOLDERS.refused("a source of one class", r"one class")
def source_of_one_class(root: Path) -> list[str]:
    return adaptation(tree(root / "a", {"cat": 6}), tree(root / "b", PLAIN))


@FOLDERS.refused("an empty folder", r"neither images nor tables|no image|is empty|holds no")
def empty_folder(root: Path) -> list[str]:
    (root / "data").mkdir()
    return transfer(root / "data")


@FOLDERS.refused("class folders without a picture", r"neither images nor tables|no image|is empty|holds no")
def empty_classes(root: Path) -> list[str]:
    return transfer(tree(root / "data", {"cat": 0, "dog": 0}))


@FOLDERS.refused("pictures that are empty files", r"cannot read|0 bytes|is empty|no readable image|empty")
def zero_bytes(root: Path) -> list[str]:
    for i in range(8):
        place = root / "data" / ("cat", "dog")[i % 2] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    return transfer(root / "data")


@FOLDERS.works("a pipe with the name of a picture", r"8 of 9 image files|not a regular file|pipe")
def named_pipe(root: Path) -> list[str]:
    data = tree(root / "data", PLAIN)
    os.mkfifo(data / "cat" / "endless.png")
    return transfer(data)


@FOLDERS.refused("a folder that is not there", r"no file or folder")
def missing(root: Path) -> list[str]:
    return transfer(root / "nowhere" / "data")


@FOLDERS.refused("a device", r"zero")
def device(root: Path) -> list[str]:
    return transfer("/dev/zero")


@FOLDERS.refused("a name with a NUL", r".")
def name_with_nul(root: Path) -> list[str]:
    return transfer(f"{root}/da\0ta")


@FOLDERS.refused("a name that is too long", r".")
def name_too_long(root: Path) -> list[str]:
    return transfer(f"{root}/{'x' * 5000}")


@FOLDERS.works("a terminal's escape in a class", never=(r"\x1b",))
def escape_in_class(root: Path) -> list[str]:
    return transfer(tree(root / "data", {"cat\x1b[31m": 3, "dog": 3}))


@FOLDERS.works("a line break in a class", r"classes\s+2: .*dog", never=(r"(?m)^evil",))
def line_break_in_class(root: Path) -> list[str]:
    return transfer(tree(root / "data", {"cat\nevil": 3, "dog": 3}))


@FOLDERS.works("a class of the other writing direction", never=("\u202e",))
def bidi_in_class(root: Path) -> list[str]:
    return transfer(tree(root / "data", {"cat\u202egnp": 3, "dog": 3}))


@FOLDERS.works("file names that are no text", r"classes\s+2: cat, dog\n")
def undecodable(root: Path) -> list[str]:
    data = tree(root / "data", PLAIN)
    os.rename(data / "cat" / "0.png", os.fsencode(data / "cat") + b"/\xff\xfe.png")
    return transfer(data)
