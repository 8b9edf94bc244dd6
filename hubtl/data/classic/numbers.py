"""Name the numbers of lists.

Names come from a file, from the folders of the rows, or from other lists beside.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hubtl.data.classic.lines import Row, content, files_in
from hubtl.data.names import listed, loose
from hubtl.errors import HubtlError

NUMBER = re.compile(r"-?\d+")
# whose lines are names, in the order of numbers, or with their number before or behind
NAMES = re.compile(r"(class(es|[_-]?names?|[_-]list)?|categor(y|ies)|label[_-]?names?|names)\.txt", re.IGNORECASE)


def are_numbers(rows: Sequence[Row]) -> bool:
    """Return whether the labels of a list are whole numbers."""
    return any(row.label is not None for row in rows) and all(
        row.label is None or NUMBER.fullmatch(row.label) for row in rows
    )


def by_folders(rows: Sequence[Row]) -> tuple[dict[str, str], int]:
    """Return the folder that names each number.

    The count of rows in another number's folder comes with it.

    The folder is at one depth for all, holds more than half of a number's rows, and names no other number. Without such
    folders the mapping is empty.
    """
    rows = [row for row in rows if row.label is not None]
    deepest = min((len(row.parts) for row in rows), default=1) - 1
    for depth in range(1, deepest + 1):  # the nearest folder first
        counts: dict[str, Counter[str]] = {}
        for row in rows:
            counts.setdefault(str(row.label), Counter())[row.parts[-1 - depth]] += 1
        most = {number: own.most_common(1)[0] for number, own in counts.items()}
        own = {number: folder for number, (folder, _) in most.items()}
        clear = all(2 * n > counts[number].total() for number, (_, n) in most.items())
        if clear and len(set(own.values())) == len(own) and len(own) > 1:
            return own, len(rows) - sum(n for _, n in most.values())
    return {}, 0


def by_file(folder: Path, numbers: set[str]) -> tuple[dict[str, str], str] | None:
    """Return names of numbers from a text beside a list.

    The text's name comes with them. None where there is none.

    Raises:
        HubtlError: for a text with fewer lines than numbers, and for several texts.
    """
    found = [path for path in files_in(folder) if NAMES.fullmatch(path.name)]
    if not found:
        return None
    if len(found) > 1:
        raise HubtlError(
            f"{found[0].name} and {found[1].name} in {folder.name} may both name the numbers", hint="move one out"
        )
    lines = [line.strip() for line in content(found[0], found[0].name) if line.strip()]
    ahead = [re.fullmatch(r"(-?\d+)[\s:,]+(.+)", line) for line in lines]
    behind = [re.fullmatch(r"(.+?)[\s:,]+(-?\d+)", line) for line in lines]
    if all(ahead):
        own = {m.group(1): m.group(2).strip() for m in ahead if m}
    elif all(behind):
        own = {m.group(2): m.group(1).strip() for m in behind if m}
    else:
        first = min(map(int, numbers))
        start = 1 if first >= 1 and str(len(lines)) in numbers else 0
        own = {str(number): name for number, name in enumerate(lines, start)}
    if lacking := sorted(numbers - own.keys(), key=int):
        raise HubtlError(
            f"{found[0].name} names {len(own)} numbers, and not {listed(lacking)}",
            hint="mend it, or move it out: numbers are then named by folders, or stay",
        )
    return own, found[0].name


def check_agree(names: Mapping[str, str], folders: Mapping[str, str], by: str) -> None:
    """Raise HubtlError where names and folders contradict each other."""
    for number in sorted(names.keys() & folders.keys(), key=int):
        if loose(names[number]) != loose(folders[number]):
            raise HubtlError(
                f"the number {number} is {names[number]!r} by {by}, and lies in {folders[number]}/",
                hint=f"mend {by}, or move it out: the folders then name the numbers",
            )
