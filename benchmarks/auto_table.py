"""The table of what ``--strategy auto`` ships, beside simpler rules. A user could follow those instead."""

import statistics
from collections.abc import Sequence
from typing import Any

NAMES = {
    "mobilenetv2_100": "MobileNetV2 1.0",
    "mobilenetv2_035": "MobileNetV2 0.35",
    "both": "both, a student on 1.0",
    "mobilenetv2_100, no bottleneck": "MobileNetV2 1.0, no bottleneck",
    "mobilenetv2_035, no bottleneck": "MobileNetV2 0.35, no bottleneck",
}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """One row per backbone: what each rule gains on source-only, in points, and how often it hurts by more than one."""
    rows = [
        "| backbone | pairs | source-only | mcc, one seed | mean member | best member (oracle) | auto | gain | hurt | worst |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model, name in NAMES.items():
        own = [run for run in runs if run["model"] == model]
        if not own:
            continue
        gains = [run["shipped"] - run["source_only"] for run in own]
        each = [[member[3] for member in run["members"]] for run in own]
        means = [
            statistics.mean(run["source_only"] for run in own),
            statistics.mean(values[0] for values in each),
            statistics.mean(statistics.mean(values) for values in each),
            statistics.mean(max(values) for values in each),
            statistics.mean(run["shipped"] for run in own),
        ]
        figures = " | ".join(f"{mean:.1f}" for mean in means)
        hurt = sum(gain < -1 for gain in gains)
        rows.append(
            f"| {name} | {len(own)} | {figures} | {statistics.mean(gains):+.1f} | {hurt} of {len(own)} | {min(gains):+.1f} |"
        )
    both = [run for run in runs if run["model"] == "both"]
    if both:
        cost = statistics.mean(run["shipped"] - run["average"] for run in both)
        close = statistics.mean(run["closeness"] for run in both)
        rows.append("")
        rows.append(
            f"The student of two backbones is {cost:+.1f} points beside the average itself, and answers as it on "
            f"{100 * close:.0f}% of the target's training rows."
        )
    return "\n".join(rows)
