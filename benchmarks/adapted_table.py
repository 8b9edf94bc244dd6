"""The tables of adapted texts and recordings: one row for each pair or speaker, one column for each strategy."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cells import spread


def table(runs: Sequence[dict[str, Any]], rows: tuple[str, ...], reference: str | None = None) -> str:
    """Return accuracy on the target, mean ± sd over seeds.

    Means are over rows that have every column.

    Args:
        runs: the lines of a results file.
        rows: keys that name a row.
        reference: the key of a figure of something else, which comes first.
    """
    if not runs:
        return "Not measured."
    found: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        own = found[tuple(str(run[key]) for key in rows)]
        own[run["strategy"]].append(run["accuracy"])
        if reference is not None and run[reference] is not None and not own[reference]:
            own[reference].append(run[reference])
    names = [*([reference] if reference else []), *dict.fromkeys(run["strategy"] for run in runs)]
    lines = [
        f"| {' → '.join(rows)} | {' | '.join(name.replace('_', ' ') for name in names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for title, own in found.items():
        lines.append(f"| {' → '.join(title)} | {' | '.join(spread(own[name]) for name in names)} |")
    for name in names:
        whole = [own for own in found.values() if own[name]]
        if name == names[0] or len(whole) == len(found) or not whole:
            continue
        others = [
            f"{statistics.mean(statistics.mean(own[other]) for own in whole):.1f}"
            if all(own[other] for own in whole)
            else "–"
            for other in names
        ]
        lines.append(f"| mean of the {len(whole)} with {name} | {' | '.join(others)} |")
    means = [
        f"{statistics.mean(statistics.mean(own[name]) for own in found.values()):.1f}"
        if all(own[name] for own in found.values())
        else "–"
        for name in names
    ]
    lines.append(f"| mean of {len(found)} | {' | '.join(means)} |")
    return "\n".join(lines)
