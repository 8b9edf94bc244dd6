"""Store the labels that a person gave rows of a run's target.

Each is on the disk before the next row is asked for.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.io import jsontext, plain

FILE = "labels.jsonl"
LARGEST = 2**28  # bytes


@dataclass(frozen=True)
class Answer:
    """Hold one row's label as text, or None where it was skipped."""

    row: int
    name: str
    label: str | None


class Answers:
    """Store the answers of one run directory. Answers that were taken back are left out."""

    def __init__(self, folder: Path) -> None:
        """Read earlier answers; a line that was cut off is ignored.

        Raises:
            HubtlError: for a damaged file.
        """
        self.path = folder / FILE
        self._given: dict[int, Answer] = {}  # by row, in the order of the last answer
        for number, line in enumerate(self._lines(), 1):
            self._take(self._parsed(line, number))

    def __len__(self) -> int:
        return len(self._given)

    def of(self, row: int) -> Answer | None:
        return self._given.get(row)

    def give(self, answer: Answer) -> None:
        """Store an answer; it replaces an earlier one of the same row."""
        self._append({"row": answer.row, "name": answer.name, "label": answer.label})

    def take_back(self, wanted: Callable[[Answer], bool]) -> Answer | None:
        """Remove and return the last answer that is ``wanted``; None where there is none."""
        last = next((answer for answer in reversed(self._given.values()) if wanted(answer)), None)
        if last is not None:
            self._append({"row": last.row, "undone": True})
        return last

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self.path.open("ab") as file:
                file.write((jsontext.text(entry) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise HubtlError(
                f"{self.path} cannot be written: {error.strerror}", hint="make room, or mend it"
            ) from error
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        self._given.pop(entry["row"], None)
        if not entry.get("undone"):
            self._given[entry["row"]] = Answer(entry["row"], str(entry.get("name", "")), entry.get("label"))

    def _lines(self) -> list[str]:
        try:
            text = plain.text_of(self.path, LARGEST)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise HubtlError(f"{self.path} cannot be read: {error}", hint="restore it, or move it away") from error
        if text and not text.endswith("\n"):
            with self.path.open("ab") as file:  # what was being written when the machine stopped ends here
                file.write(b"\n")
            text = text[: text.rfind("\n") + 1]
        return text.splitlines()

    def _parsed(self, line: str, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            if isinstance(entry["row"], int) and isinstance(entry.get("label"), str | None):
                return dict(entry)
        except (ValueError, TypeError, KeyError):
            pass
        if line.strip() and not line.rstrip().endswith("}"):
            return {"row": -1, "undone": True}  # cut off
        raise HubtlError(f"{self.path}, line {number} is no answer", hint="remove that line, or move the file away")
