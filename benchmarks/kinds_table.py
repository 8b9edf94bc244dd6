"""The table of members that differ in kind, where the encoder learns."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

RULES = {
    "mcc 1": "mcc",
    "mcc+adamatch 1": "mcc+adamatch",
    "both 1": "both averaged",
    "mcc 0.5": "mcc, hedge 0.5",
    "mcc+adamatch 0.5": "mcc+adamatch, hedge 0.5",
    "both 0.5": "both, hedge 0.5",
    "both 0.7": "both, hedge 0.7",
}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """One row per case, mean over seeds.

    Mean and worst gain on source-only and the seconds of training stand under them.
    """
    cases: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        cases[run["case"]].append(run)
    heads = ["source-only", *RULES.values(), "shipped: both, hedge 0.5, one model"]
    rows = [f"| case | seeds | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for case, own in cases.items():
        cells = [f"{statistics.mean(values):.1f}" for values in zip(*map(_figures, own), strict=True)]
        rows.append(f"| {case.replace('-', ' → ')} | {len(own)} | {' | '.join(cells)} |")
    gains = [[value - run["source_only"] for value in _figures(run)] for run in runs]
    for title, of in (("mean gain", statistics.mean), ("worst", min)):
        rows.append(
            f"| {title} | {len(runs)} | {' | '.join(f'{of(column):+.1f}' for column in zip(*gains, strict=True))} |"
        )
    ratio = [run["training_seconds"][1] / run["training_seconds"][0] for run in runs]
    cost = f"Training mcc+adamatch takes {statistics.median(ratio):.1f} times as long as mcc (median; most {max(ratio):.1f})."
    return "\n".join([*rows, "", cost])


def _figures(run: dict[str, Any]) -> list[float]:
    return [run["source_only"], *(run["rules"][rule] for rule in RULES), run["shipped"]]
