"""Columns of labels, and the names of two domains."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.kit import Corpus, adaptation, picture, table, transfer, tree

LABELS = Corpus()

COLUMNS: dict[str, tuple[Sequence[object], str]] = {  # cells of a labelled target, and what the plan must say
    "-1 and 1": ((-1, 1), r"classes\s+2: -1, 1\n"),
    "-1 beside other numbers": ((-1, 0, 1, 2), r"classes\s+3: 0, 1, 2\n"),
    "0, 1 and an empty cell": ((0, 1, ""), r"classes\s+2: 0, 1\n"),
    "1.0 and 2.0": (("1.0", "2.0"), r"classes\s+2: 1, 2\n"),
    "names and an empty cell": (("cat", "dog", ""), r"classes\s+2: cat, dog\n"),
    "NA among names": (("EU", "NA", "SA"), r"classes\s+3: EU, NA, SA\n"),
    "null among names": (("null", "one"), r"classes\s+2: null, one\n"),
    "None among names": (("None", "some"), r"classes\s+2: None, some\n"),
    "nan among names": (("nan", "pita"), r"classes\s+2: nan, pita\n"),
    "N/A among names": (("N/A", "yes", "no"), r"classes\s+3: N/A, no, yes\n"),
    "capital and small letters": (("A", "a", "b"), r"classes\s+3: A, a, b\n"),
    "words that differ in a hyphen": (("t-shirt", "tshirt"), r"classes\s+2: t-shirt, tshirt\n"),
    "leading zeros": (("01", "1", "02"), r"classes\s+3: |01"),
    "true and false": (("true", "false"), r"classes\s+2: (?i:false, true)\n"),
    "large numbers": (("9007199254740993", "9007199254740992"), r"9007199254740992, 9007199254740993\n"),
    "dates": (("2020-01-01", "2021-01-01"), r"2020-01-01, 2021-01-01\n"),
    "a name with a comma": (('"a, b"', '"c"'), r"classes\s+2: "),
    "emoji": (("🐈", "🐕"), r"classes\s+2: "),
    "right to left": (("חתול", "כלב"), r"classes\s+2: "),
}
for _name, (_cells, _says) in COLUMNS.items():
    LABELS.works(f"a column of {_name}", _says)(lambda root, cells=_cells: transfer(table(root, cells, each=6)))

REFUSED: dict[str, tuple[Sequence[object], str]] = {
    "one value": (("cat",), r"one class"),
    "fractions": (("0.25", "0.5", "0.75"), r"label"),
    "empty cells alone": (("", ""), r"no labels|label"),
}
for _name, (_cells, _says) in REFUSED.items():
    LABELS.refused(f"a column of {_name}", _says)(
        lambda root, cells=_cells: transfer(table(root, cells, each=6), "--label-column", "label")
    )

PAIRS: dict[str, tuple[Sequence[str], Sequence[str], str]] = {  # names of source and target, and the relation
    "the same names": (("cat", "dog"), ("cat", "dog"), r"classes\s+2: cat, dog"),
    "other case": (("Cat", "Dog"), ("cat", "dog"), r"classes\s+2: Cat, Dog"),
    "spaces for hyphens": (("alarm clock", "desk"), ("alarm-clock", "desk"), r"classes\s+2: alarm clock, desk"),
    "underscores": (("back_pack", "mug"), ("back pack", "mug"), r"classes\s+2: back_pack, mug"),
    "composed and decomposed": (("caf\u00e9", "the"), ("cafe\u0301", "the"), r"classes\s+2: caf"),
    "full-width letters": (("\uff23at", "dog"), ("cat", "dog"), r"classes\s+2: "),
    "letters of both cases on both sides": (("A", "a"), ("A", "a"), r"classes\s+2: A, a"),
    "letters of both cases on one side, exact": (("A", "a"), ("a", "b"), r"shared: a\b"),
    "numbers with and without a fraction": (("0", "1", "2"), ("0.0", "1.0", "2.0"), r"classes\s+3: 0, 1, 2"),
    "a partial target": (("cat", "dog", "owl"), ("cat", "dog"), r"partial set"),
    "an open target": (("cat", "dog"), ("cat", "dog", "owl"), r"open set"),
    "an open-partial target": (("cat", "dog"), ("cat", "owl"), r"open-partial set"),
}
for _name, (_source, _target, _says) in PAIRS.items():
    LABELS.works(f"two domains with {_name}", _says)(
        lambda root, a=_source, b=_target: adaptation(table(root / "a", a, each=6), table(root / "b", b, each=6))
    )

AMBIGUOUS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "a loose name for two of the source": (("Cup", "CUP", "desk"), ("cup", "desk")),
    "two loose names for one of the source": (("cup", "desk"), ("Cup", "CUP", "desk")),
}
for _name, (_source, _target) in AMBIGUOUS.items():
    LABELS.refused(f"two domains with {_name}", r"Cup.*CUP|CUP.*Cup")(
        lambda root, a=_source, b=_target: adaptation(table(root / "a", a, each=6), table(root / "b", b, each=6))
    )


@LABELS.refused("no shared class", r"share no class")
def no_shared_class(root: Path) -> list[str]:
    return adaptation(tree(root / "a", {"cat": 4, "dog": 4}), tree(root / "b", {"bus": 4, "car": 4}))


@LABELS.works("a header with a capital", r"label ← 'Label'")
def header(root: Path) -> list[str]:
    return transfer(table(root, ("cat", "dog"), header="Label", each=6))


@LABELS.works("a header in capitals", r"label ← 'LABEL'")
def header_capitals(root: Path) -> list[str]:
    return transfer(table(root, ("cat", "dog"), header="LABEL", each=6))


@LABELS.works("a partly labelled target", r"label")
def partly_labelled(root: Path) -> list[str]:
    source = table(root / "a", ("cat", "dog"), each=6)
    return adaptation(source, table(root / "b", ("cat", "dog", ""), each=6))


def _lines(root: Path, labels: Sequence[object]) -> Path:
    rows = [{"file_name": picture(root / f"{i}.png", i).name, "label": x} for i, x in enumerate(labels)]
    place = root / "data.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@LABELS.refused("lists of labels", r"label", r"list|several")
def lists(root: Path) -> list[str]:
    return transfer(_lines(root, [["cat"], ["dog", "cat"]] * 4), "--label-column", "label")


@LABELS.refused("lists of labels that nobody named", r"label", r"list|several")
def lists_found(root: Path) -> list[str]:
    return transfer(_lines(root, [["cat"], ["dog", "cat"]] * 4))


@LABELS.refused("labels that are objects", r"label")
def structs(root: Path) -> list[str]:
    return transfer(_lines(root, [{"name": "cat"}, {"name": "dog"}] * 4), "--label-column", "label")


@LABELS.works("labels that are booleans", r"classes\s+2: ")
def booleans(root: Path) -> list[str]:
    return transfer(_lines(root, [True, False] * 6))


@LABELS.works("null labels", r"classes\s+2: cat, dog\n")
def nulls(root: Path) -> list[str]:
    return transfer(_lines(root, ["cat", "dog", None] * 5))


@LABELS.refused("a label column that is not there", r"klass", r"label")
def not_there(root: Path) -> list[str]:
    return transfer(table(root, ("cat", "dog"), each=4), "--label-column", "klass")


@LABELS.refused("a table without a header", r"header")
def no_header(root: Path) -> list[str]:
    place = root / "data.csv"
    place.write_text("".join(f"{picture(root / f'{i}.png', i).name},cat\n" for i in range(6)))
    return transfer(place)


@LABELS.refused("a table with a header alone", r".")
def header_alone(root: Path) -> list[str]:
    (root / "data.csv").write_text("file_name,label\n")
    return transfer(root / "data.csv")


@LABELS.refused("an empty table", r"data.csv")
def empty_table(root: Path) -> list[str]:
    (root / "data.csv").write_bytes(b"")
    return transfer(root / "data.csv")


@LABELS.refused("a table that is no table", r"data.parquet")
def no_parquet(root: Path) -> list[str]:
    (root / "data.parquet").write_bytes(b"PAR1" + bytes(40))
    return transfer(root / "data.parquet")


@LABELS.refused("lines that are no JSON", r"data.jsonl")
def no_json(root: Path) -> list[str]:
    (root / "data.jsonl").write_text('{"file_name": "a.png"\n')
    return transfer(root / "data.jsonl")


@LABELS.refused("a table in another encoding", r"data.csv")
def latin(root: Path) -> list[str]:
    picture(root / "0.png")
    (root / "data.csv").write_bytes("file_name,label\n0.png,köter\n".encode("utf-16"))
    return transfer(root / "data.csv")


@LABELS.refused("pictures that a table names and nobody has", r"0.png")
def named_and_missing(root: Path) -> list[str]:
    place = table(root, ("cat", "dog"), each=4)
    (root / "img" / "0.png").unlink()
    return transfer(place)


@LABELS.works("an image column of another name", r"image ← 'img_path'")
def other_name(root: Path) -> list[str]:
    place = table(root / "sub", ("cat", "dog"), each=4)
    place.write_text(place.read_text().replace("file_name", "img_path"))
    return transfer(place, "--image-column", "img_path")


@LABELS.works("semicolons within quotes", r"classes\s+2: a;b, c\n")
def semicolons(root: Path) -> list[str]:
    return transfer(table(root, ('"a;b"', "c"), each=6))
