"""The tables of docs/benchmarks.md on image, speech and text: rows, gates, and what is left with a modality missing."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from cells import spread

Runs = dict[str, dict[int, dict[str, Any]]]  # row -> seed -> line
FULL = "full, mm-da"
ORACLES = ("text, oracle", "text, oracle with the source")
MISSING = ("without image", "without audio", "without text", "image only", "audio only", "text only")
# a modality that is missing at test -> the rows that were trained without it
LEFT = {
    "image": ("audio + text, mm-da", "audio, mm-da", "text, mm-da"),
    "audio": ("image + text, mm-da", "image, mm-da", "text, mm-da"),
    "text": ("image + audio, mm-da", "image, mm-da", "audio, mm-da"),
}


def runs_of(lines: Sequence[dict[str, Any]]) -> Runs:
    """The last line of each row and seed."""
    found: Runs = {}
    for line in lines:
        found.setdefault(str(line["row"]), {})[int(line["seed"])] = line
    return found


def rows(runs: Runs) -> str:
    """Accuracy of every row, with all modalities and with fewer. They are missing at test."""
    head = ["row", "all", *MISSING]
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, seeds in runs.items():
        cells = [spread([float(line["accuracy"]) for line in seeds.values()])]
        for subset in MISSING:
            known = [line["subsets"][subset] for line in seeds.values() if subset in line["subsets"]]
            cells.append(spread(known))
        note = " (reads target labels)" if any(line["oracle"] for line in seeds.values()) else ""
        table.append(f"| {name}{note} | {' | '.join(cells)} |")
    return "\n".join(table)


def corrupted(runs: Runs) -> str:
    """Accuracy with one modality corrupted, at severities 1, 3 and 5."""
    head = ["row", "as it is", *(f"{m}, severity {s}" for m in LEFT for s in (1, 3, 5))]
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in ("fused, source-only", FULL, f"{FULL}, calibrated"):
        if name not in runs:
            continue
        lines = list(runs[name].values())
        cells = [spread([float(line["accuracy"]) for line in lines])]
        for m in LEFT:
            for s in (1, 3, 5):
                subset = f"{m} corrupted, severity {s}"
                cells.append(spread([line["subsets"][subset] for line in lines if subset in line["subsets"]]))
        table.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(table)


def gates(runs: Runs) -> str:
    """Check each claim: means over the seeds that all rows of a gate have."""
    table = ["| what | figure | to reach | margin | reached |", "|---|---|---|---|---|"]
    for what, names, figure, bound, text in _gates():
        if not all(name in runs for name in names):
            table.append(f"| {what} | not measured | {text} | | |")
            continue
        seeds = sorted(set.intersection(*(set(runs[name]) for name in names)))
        got = statistics.mean(figure(lambda n, s=s: runs[n][s]) for s in seeds)
        wanted = statistics.mean(bound(lambda n, s=s: runs[n][s]) for s in seeds)
        least = "≤" not in text
        margin = got - wanted if least else wanted - got
        table.append(
            f"| {what} ({len(seeds)} seed{'s' * (len(seeds) != 1)}) | {got:.1f} | {text} = {wanted:.1f} | {margin:+.1f} | "
            f"{'yes' if margin >= 0 else '**no**'} |"
        )
    return "\n".join(table)


Look = Callable[[str], dict[str, Any]]
Figure = Callable[[Look], float]


def _gates() -> list[tuple[str, tuple[str, ...], Figure, Figure, str]]:
    single = ("image, mm-da", "audio, mm-da", "text, mm-da")
    found: list[tuple[str, tuple[str, ...], Figure, Figure, str]] = [
        (
            "full against the best single modality",
            (FULL, *single),
            lambda run: run(FULL)["accuracy"],
            lambda run: max(run(n)["accuracy"] for n in single) + 5,
            "≥ best single + 5",
        ),
        (
            "full against source-only",
            (FULL, "fused, source-only"),
            lambda run: run(FULL)["accuracy"],
            lambda run: run("fused, source-only")["accuracy"] + 8,
            "≥ fused source-only + 8",
        ),
    ]
    for gone, others in LEFT.items():
        for text, rivals in (
            ("trained on the other two", others[:1]),
            ("trained on the other two or one of them", others),
        ):
            found.append(
                (
                    f"full without {gone} at test",
                    (FULL, *rivals),
                    lambda run, gone=gone: run(FULL)["subsets"][f"without {gone}"],
                    lambda run, rivals=rivals: max(run(n)["accuracy"] for n in rivals) - 3,
                    f"≥ {text} − 3",
                )
            )
    shuffled, plain = "control: target pairs shuffled", "control: no loss on pairs"
    found += [
        (
            "gain from pairs that do not belong together",
            (shuffled, plain),
            lambda run: run(shuffled)["accuracy"] - run(plain)["accuracy"],
            lambda run: 1.0,
            "≤ 1",
        ),
        (
            "text alone, of the full model, held out",
            (FULL, *ORACLES),
            lambda run: run(FULL)["subsets"]["text only"],
            lambda run: max(run(name)["accuracy"] for name in ORACLES) + 3,
            "≤ text taught with target labels, the better way, + 3",
        ),
    ]
    return found


def learnt_by_heart(runs: Runs) -> str:
    """Each head of the full model on adapted and held-out rows."""
    lines = [line for line in runs.get(FULL, {}).values() if line["transductive"]]
    table = ["| full, mm-da, with | rows it adapted to | held-out rows | gap |", "|---|---|---|---|"]
    for name in ("all", *MISSING):
        seen = [100 * line["transductive"][name] for line in lines]
        held = [line["accuracy"] if name == "all" else line["subsets"][name] for line in lines]
        if lines:
            gap = statistics.mean(seen) - statistics.mean(held)
            table.append(f"| {name} | {statistics.mean(seen):.1f} | {statistics.mean(held):.1f} | {gap:+.1f} |")
    return "\n".join(table)
