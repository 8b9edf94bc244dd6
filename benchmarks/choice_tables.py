"""The tables of docs/benchmarks.md on what is chosen without target labels: a checkpoint, and adapted or source-only."""

import statistics
from collections.abc import Sequence
from typing import Any

Runs = Sequence[dict[str, Any]]


def validators(runs: Runs) -> str:
    """Tell what each rule's choice of a checkpoint loses. It is compared with the best one, and with source-only."""
    rows = ["| rule | accuracy lost | worst | worse than source-only |", "|---|---|---|---|"]
    measured = []
    for rule in sorted({name for x in runs for name in x["chosen"]} - {"oracle"}):
        own = [x for x in runs if rule in x["chosen"]]
        lost = [x["chosen"]["oracle"] - x["chosen"][rule] for x in own]
        worse = sum(x["chosen"][rule] < x["source_only"]["accuracy"] for x in own)
        measured.append((statistics.mean(lost), rule, max(lost), f"{worse} of {len(own)}"))
    rows += [f"| {rule} | {mean:.1f} | {most:.1f} | {worse} |" for mean, rule, most, worse in sorted(measured)]
    return "\n".join(rows)


def verdicts(runs: Runs) -> str:
    """Tell what each rule ships of source-only and the ensemble's checkpoint. The trivial rules are among them."""
    gains = [x["chosen"]["ensemble"] - x["source_only"]["accuracy"] for x in runs]
    rules = {
        "never adapt": [False] * len(runs),
        "always adapt": [True] * len(runs),
        "vote": [x["verdict"]["adapted"] for x in runs],
        "oracle": [gain > 0 for gain in gains],
    }
    rows = ["| rule | right | mean change | worse by more than a point | worst |", "|---|---|---|---|---|"]
    for name, adapts in rules.items():
        right = sum((gain > 0) is adapted for gain, adapted in zip(gains, adapts, strict=True))
        shipped = [gain if adapted else 0.0 for gain, adapted in zip(gains, adapts, strict=True)]
        worse = sum(change < -1 for change in shipped)
        rows.append(
            f"| {name} | {right} of {len(runs)} | {statistics.mean(shipped):+.1f} | {worse} of {len(runs)} "
            f"| {min(shipped):+.1f} |"
        )
    return "\n".join(rows)
