"""How far estimates of accuracy without labels were off: tables of docs/benchmarks.md, and what hubtl writes beside them."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

Lines = Sequence[dict[str, Any]]
KINDS = ("source-only", "adapted", "adapted, beside source-only")


def errors(lines: Lines, kind: str) -> np.ndarray:
    """Estimate less accuracy, in points; of source-only once for each of its runs."""
    found = {}
    for line in lines:
        if line["kind"] != "run":
            continue
        key = tuple(line[name] for name in ("family", "case", "backbone", "seed"))
        truth = line["source_only"] if kind == "source-only" else line["always"]
        found[key if kind == "source-only" else (*key, line["strategy"])] = line["estimate"][kind] - truth
    return np.array(list(found.values()))


def families(lines: Lines) -> list[str]:
    return sorted({line["family"] for line in lines})


def error(lines: Lines, kind: str) -> float:
    return float(np.abs(errors(lines, kind)).mean())


def reach(lines: Lines, kind: str) -> float:
    """Return the 90 % quantile of the errors: half the width of a 90 % interval."""
    return float(np.quantile(np.abs(errors(lines, kind)), 0.9))


def inside(lines: Lines, kind: str, family: str) -> np.ndarray:
    """Whether the interval holds the truth, for each model of a family: its width is that of the other families."""
    width = reach([line for line in lines if line["family"] != family], kind)
    return np.abs(errors([line for line in lines if line["family"] == family], kind)) <= width


def coverage(lines: Lines, kind: str) -> float:
    """How often in percent it does, over all families."""
    return 100 * float(np.concatenate([inside(lines, kind, family) for family in families(lines)]).mean())


def shown(lines: Lines) -> str:
    """The errors that hubtl writes beside its estimates. They are shares rounded to points."""
    found = {
        kind: {"error": round(error(lines, kind) / 100, 2), "reach": round(reach(lines, kind) / 100, 2)}
        for kind in KINDS
    }
    return json.dumps(found, indent=2) + "\n"


def bounds(lines: Lines) -> str:
    """How often a lower bound holds, and how often it decides.

    It decides where it separates an adapted model from source-only.
    """
    rows = [
        "| family | runs | looked for | holds | above source-only's estimate | of these better in truth | seconds, at most |"
    ]
    rows.append("|---" * 7 + "|")
    every = [line for line in lines if line["kind"] == "run"]
    for name in [*families(lines), "all"]:
        own = [line for line in every if name in (line["family"], "all")]
        found = [line for line in own if line["bound"]["least"] is not None]
        above = [line for line in found if line["bound"]["least"] > line["estimate"]["source-only"]]
        holds = f"{sum(line['bound']['least'] <= line['always'] for line in found)} of {len(found)}"
        better = f"{sum(line['always'] > line['source_only'] for line in above)} of {len(above)}"
        seconds = max((line["bound"]["seconds"] for line in found), default=0.0)
        rows.append(f"| {name} | {len(own)} | {len(found)} | {holds} | {len(above)} | {better} | {seconds:.1f} |")
    return "\n".join(rows)


def estimates(lines: Lines) -> str:
    names = families(lines)
    head = " | ".join(f"{name}: error, covered" for name in names)
    rows = [
        f"| estimate of | mean error | mean, signed | nine of ten below | covered | {head} |",
        "|---" * (5 + len(names)) + "|",
    ]
    for kind in KINDS:
        cells = []
        for name in names:
            own = [line for line in lines if line["family"] == name]
            cells.append(f"{error(own, kind):.1f}, {100 * inside(lines, kind, name).mean():.0f}%")
        figures = f"{error(lines, kind):.1f} | {errors(lines, kind).mean():+.1f} | {reach(lines, kind):.1f}"
        rows.append(f"| {kind} | {figures} | {coverage(lines, kind):.0f}% | {' | '.join(cells)} |")
    return "\n".join(rows)
