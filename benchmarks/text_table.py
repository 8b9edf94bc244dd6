"""The table of a frozen text encoder beside logistic regression. Both use its embedding."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cells import spread


def table(runs: Sequence[dict[str, Any]]) -> str:
    """One row per pair: hubtl by its defaults, without the bottleneck, and by BERT's own pooler; mean ± sd over seeds."""
    pairs: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for x in runs:
        pairs[x["source"], x["target"]]["own" if x["pooling"] == "own" else "said"] = x
    rows = [
        "| pair | logistic regression | hubtl | hubtl, no bottleneck | hubtl, pooling own |",
        "|---|---|---|---|---|",
    ]
    means = []
    for (source, target), found in pairs.items():
        said, own = found.get("said"), found.get("own")
        each = [said["accuracy"], said["no_bottleneck"]] if said else [[], []]
        cells = [f"{said['logistic_regression']:.1f}" if said else "–"]
        cells += [spread(values) for values in (*each, own["accuracy"] if own else [])]
        rows.append(f"| {source} → {target} | {' | '.join(cells)} |")
        means += [(said["logistic_regression"], *map(statistics.mean, each))] if said else []
    if means:
        columns = [f"{statistics.mean(column):.1f}" for column in zip(*means, strict=True)]
        rows.append(f"| mean of {len(means)} | {' | '.join(columns)} | |")
    return "\n".join(rows)
