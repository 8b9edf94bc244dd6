"""The table of source-only beside a plain loop."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cells import spread

FLAT = {"model.bottleneck": 0}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """One row per setting and pair, mean ± sd over seeds; a column for each share of an image that hubtl's crops show,
    and one for the head without the bottleneck."""
    found: dict[str, dict[str, dict[str, dict[int, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for x in runs:
        if set(x["options"]) <= {"data.crop_area"} or x["options"] == FLAT:
            found[_setting(x)][f"{x['source']} → {x['target']}"][_side(x)][x["seed"]] = x["accuracy"]
    sides = sorted(
        {side for pairs in found.values() for own in pairs.values() for side in own},
        key=lambda side: (side != "plain loop", not side.startswith("hubtl, no crops"), len(side), side),
    )
    rows = [f"| what learns | pair | {' | '.join(sides)} |", "|---" * (len(sides) + 2) + "|"]
    for setting, pairs in found.items():
        for pair, own in pairs.items():
            rows.append(f"| {setting} | {pair} | {' | '.join(spread(list(own[side].values())) for side in sides)} |")
        whole = [all(own["plain loop"].keys() == own[side].keys() for own in pairs.values()) for side in sides]
        means = [
            f"{statistics.mean(statistics.mean(own[side].values()) for own in pairs.values()):.1f}" if ok else "–"
            for side, ok in zip(sides, whole, strict=True)
        ]
        rows.append(f"| {setting} | mean | {' | '.join(means)} |")
    return "\n".join(rows)


def _setting(x: dict[str, Any]) -> str:
    """Describe the setting of a run: backbone, size, updates, and source rows where not all were taken."""
    names = {"mobilenetv2_035.keras_in1k_features": "MobileNetV2 0.35", "lenet": "LeNet"}
    name = f"{'head on ' if x.get('frozen') else ''}{names[x['model']]}"
    few = f", {x['source_rows']} source images" if x.get("source_rows") else ""
    return f"{name}, {x['size']} px, {x['steps']:,} updates of {x['batch_size']}{few}"


def _side(x: dict[str, Any]) -> str:
    if x["side"] == "plain":
        return "plain loop"
    if x["options"] == FLAT:
        return "hubtl, no crops, no bottleneck"
    return "hubtl, no crops" if x["crop_area"] is None else f"hubtl, crops of {100 * x['crop_area'][0]:g} to 100 %"
