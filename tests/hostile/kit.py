"""Hostile inputs: what a user might type or have on disk, and what is right: a figure, a refusal, or a word about it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

LENET = ("--model", "lenet", "--no-pretrained", "--image-size", "32")
TINY = (*LENET, "--steps", "2", "--batch-size", "4")

Build = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Hostile:
    """One input. ``build`` makes it in an empty folder and returns the command to type there.

    Args:
        refused: True where the command must end with one error, a hint and exit code 2, and leave nothing behind.
        says: regular expressions, each of which must be found in what is printed.
        never: regular expressions that must not be found there.
    """

    name: str
    build: Build
    refused: bool
    says: tuple[str, ...]
    never: tuple[str, ...] = ()

    def judge(self, code: int, printed: str) -> None:
        """Raise AssertionError where the outcome is not the right one."""
        assert "Traceback" not in printed, printed
        if self.refused:
            assert code == 2, f"exit code {code}:\n{printed}"
            assert len(re.findall(r"(?m)^error: ", printed)) == 1, printed
            assert len(re.findall(r"(?m)^try: ", printed)) == 1, printed
        else:
            assert code == 0, f"exit code {code}:\n{printed}"
        for pattern in self.says:
            assert re.search(pattern, printed), f"nothing says {pattern!r}:\n{printed}"
        for pattern in self.never:
            assert not re.search(pattern, printed), f"it says {pattern!r}:\n{printed}"


class Corpus(list[Hostile]):
    """Hostile inputs of one kind."""

    def refused(self, name: str, *says: str, never: Sequence[str] = ()) -> Callable[[Build], Build]:
        return self._add(name, True, says, never)

    def works(self, name: str, *says: str, never: Sequence[str] = ()) -> Callable[[Build], Build]:
        return self._add(name, False, says, never)

    def _add(self, name: str, refused: bool, says: Sequence[str], never: Sequence[str]) -> Callable[[Build], Build]:
        def added(build: Build) -> Build:
            self.append(Hostile(name, build, refused, tuple(says), tuple(never)))
            return build

        return added


def picture(place: Path, seed: int = 0, **options: object) -> Path:
    """Write a small picture; what it shows depends on the seed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(place, **options)  # type: ignore[arg-type]
    return place


def tree(root: Path, counts: Mapping[str, int], suffix: str = ".png") -> Path:
    """Write folders of pictures: ``{"train/cat": 3}`` is three of them in that folder."""
    for number, (name, n) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(root / name / f"{i}{suffix}", 100 * number + i)
    return root


def table(root: Path, cells: Sequence[object], *, name: str = "data.csv", header: str = "label", each: int = 1) -> Path:
    """Write a table with a file name and a cell per row. The pictures lie beside it."""
    rows = [cell for cell in cells for _ in range(each)]
    lines = [f"file_name,{header}"]
    for i, cell in enumerate(rows):
        picture(root / "img" / f"{i}.png", i)
        lines.append(f"img/{i}.png,{cell}")
    place = root / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def transfer(target: Path | str, *more: str) -> list[str]:
    """The plan of a transfer to labelled data."""
    return ["adapt", *LENET, "--target-dataset", str(target), "--strategy", "finetune", "--dry-run", *more]


def adaptation(source: Path | str, target: Path | str, *more: str) -> list[str]:
    """The plan of an adaptation."""
    data = ("--source-dataset", str(source), "--target-dataset", str(target), "--strategy", "source-only")
    return ["adapt", *LENET, *data, "--dry-run", *more]
