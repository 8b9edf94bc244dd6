"""Folder trees of any kind: what hubtl lists is what a second reader of the same rules lists, written apart."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubtl.errors import HubtlError
from tests.data.trees import grow, listed

WORDS = ("train", "Train", "TRAINING", "test", "Testing", "val", "Valid", "DEV", "validation")
PLAIN = (
    "cat",
    "Dog",
    "bullet_train",
    "test_tube",
    "training_wheels",
    "train1",
    "a.b",
    "photos[1]",
    "50 %",
    "été",
    "-x",
    "it's",
)
SPLIT_OF = {word.lower(): word.lower() for word in WORDS} | {
    "training": "train",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
}
CLASSES = st.lists(st.sampled_from(PLAIN), min_size=2, max_size=4, unique=True)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12
)
FILES = st.sampled_from(("0.png", "train.png", "test_1.PNG", "val-2.png", "x y.jpeg", "[a].png", "%41.png"))
STRAY = st.lists(
    st.sampled_from(
        ("README.txt", "labels.csv", ".DS_Store", "Thumbs.db", "__MACOSX/a.png", ".git/b.png", "._0.png", "bare/")
    ),
    unique=True,
    max_size=4,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def reading(paths: list[str]) -> dict[str, list[tuple[str, str | None]]] | None:
    """Splits and classes by the rules as the documentation tells them; None where it says that hubtl asks."""
    tops = {p.split("/")[0] for p in paths}
    if all(t.lower() in SPLIT_OF for t in tops) and all("/" in p for p in paths):
        if len({SPLIT_OF[t.lower()] for t in tops}) < len(tops):
            return None
        found = {}
        for top in tops:
            own = [p for p in paths if p.split("/")[0] == top]
            found[SPLIT_OF[top.lower()]] = sorted((p, p.split("/")[1] if p.count("/") > 1 else None) for p in own)
        return found
    return {"train": sorted((p, p.split("/")[0]) for p in paths)}


def agree(paths: list[str], stray: list[str], wanted: dict[str, list[tuple[str, str | None]]] | None) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        root = grow(place / "data", *paths, *stray)
        if wanted is None:
            with pytest.raises(HubtlError, match="both name the split"):
                listed(root)
        else:
            found = {split: sorted(rows) for split, rows in listed(root).items()}
            assert found == wanted
    finally:
        shutil.rmtree(place)


@st.composite
def trees(draw):
    """Paths in class folders, with or without splits. There may be folders in the class folders."""
    classes = draw(CLASSES)
    splits = draw(st.lists(st.sampled_from(WORDS), unique=True, max_size=3))
    flat = draw(st.booleans()) if splits else False
    paths = set()
    for top in splits or [""]:
        for name in classes:
            for file in draw(st.lists(FILES, min_size=1, max_size=3, unique=True)):
                session = draw(st.sampled_from(("", "", "day1/", "day2/more/")))
                paths.add(f"{top}/{file}" if flat else f"{top}/{name}/{session}{file}".lstrip("/"))
    return sorted(paths)


@QUICK
@given(trees(), STRAY)
def test_splits_classes_and_sessions(paths, stray):
    agree(paths, stray, reading(paths))


@QUICK
@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), st.lists(NAMES, min_size=1, max_size=3, unique=True))
def test_any_names_of_classes_and_files(classes, files):
    system = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "__pycache__", "lost+found", "icon\r"}
    plain = [n for n in classes if not n.startswith(".") and n.lower() not in system | SPLIT_OF.keys()]
    names = [f"{file}.png" for file in files if not file.startswith(".")]
    paths = [f"{name}/{file}" for name in plain for file in names]
    if len(plain) < 2 or not paths:
        return
    agree(paths, [], {"train": sorted((p, p.split("/")[0]) for p in paths)})


@QUICK
@given(CLASSES, st.sampled_from(WORDS), STRAY)
def test_a_word_for_splits_among_classes_is_a_class(classes, word, stray):
    paths = [f"{name}/{i}.png" for name in (*classes, word) for i in (0, 1)]
    agree(paths, stray, {"train": sorted((p, p.split("/")[0]) for p in paths)})
