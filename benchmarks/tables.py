"""Writes the tables of docs/benchmarks.md from the result files: ``python benchmarks/tables.py [--check]``.

A figure in a document is never typed. ``--check`` writes nothing and fails where document and results differ.
"""

import argparse
import hashlib
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import adapted_table
import auto_table
import choice_tables
import kinds_table
import plain_loop_table
import shipping_estimates
import shipping_frontier
import shipping_goals
import shipping_table
import text_table
import trirate_table
from cells import spread

from hubtl.tasks.classification.estimate import ERRORS

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
# Published reference implementation's own code at the short budget, MNIST → USPS, last iterate, seed 0.
REFERENCE = {"source-only": 76.4, "dann": 89.7, "cdan": 90.5, "mcc": 92.3, "dan": 82.8}
AVERAGED = ", averaged weights"  # in the name of a row


def lines(name: str) -> list[dict[str, Any]]:
    path = HERE / "results" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def digits() -> str:
    """One row per strategy; a cell is the mean ± sd over seeds, or the one seed's figure."""
    cells: dict[tuple[str, str], dict[object, float]] = defaultdict(dict)
    published: dict[str, str] = {}  # options that are not the defaults, by strategy and, where it matters, direction
    for line in lines("digits.jsonl"):
        if (line["steps"], line["batch_size"]) == (2000, 64) and AVERAGED not in line["strategy"]:
            direction = f"{line['source']} → {line['target']}"
            cells[str(line["strategy"]), direction][line["seed"]] = float(str(line["accuracy"]))
            if options := line.get("options"):
                assert isinstance(options, dict)
                said = ", ".join(
                    f"{key} {value if isinstance(value, str) else f'{value:g}'}"
                    for key, value in sorted(options.items())
                )
                published[f"{line['strategy']}, {direction}"] = said
    directions = sorted({direction for _, direction in cells})
    names = sorted({name for name, _ in cells}, key=lambda n: (not n.startswith("source-only"), n))
    rows = [
        "| strategy | " + " | ".join(directions) + " | reference, mnist → usps |",
        "|---" * (len(directions) + 2) + "|",
    ]
    for name in names:
        shown = [_cell(list(cells.get((name, d), {}).values())) for d in directions]
        rows.append(f"| {name} | " + " | ".join(shown) + f" | {REFERENCE.get(name, '–')} |")
    if published:
        rows += [
            "",
            "Options that are not the defaults are those of the published digits recipes; the momentum is this protocol's, and "
            "aad's rate is the highest of its authors':",
            "",
        ]
        rows += [f"- {where}: {said}" for where, said in sorted(published.items())]
    return "\n".join(rows)


def averaging() -> str:
    """Equal runs, seed for seed, with and without averaged weights. The others have the last weights."""
    known = {(x["strategy"], x["source"], x["seed"]): x for x in lines("digits.jsonl")}
    rows = ["| strategy | direction | last weights | averaged |", "|---|---|---|---|"]
    for (name, source, seed), x in known.items():
        if AVERAGED in name and (last := known.get((name.replace(AVERAGED, ""), source, seed))):
            where = f"{source} → {x['target']}"
            rows.append(f"| {name.replace(AVERAGED, '')} | {where} | {last['accuracy']:.1f} | {x['accuracy']:.1f} |")
    return "\n".join(rows)


def throughput() -> str:
    rows = ["| what | bare loop, steps/s | hubtl, steps/s | ratio |", "|---|---|---|---|"]
    for line in {str(line["what"]): line for line in lines("throughput.jsonl")}.values():
        rows.append(f"| {line['what']} | {line['bare']} | {line['hubtl']} | {line['ratio']} |")
    return "\n".join(rows)


def probe() -> str:
    """Seconds of each case's latest run, wall and own work."""
    rows = [
        "| what | seconds | plain loop | hubtl, first time | ratio | hubtl, from the cache | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in {(str(x["model"]), str(x["size"]), str(x["epochs"])): x for x in lines("probe.jsonl")}.values():
        for clock, shown in (("wall", "wall"), ("cpu", "process")):
            plain, first, cached = (line[clock][part] for part in ("plain", "first", "cached"))
            ratios = [line[ratio][clock] for ratio in ("ratio_first", "ratio_cached")]
            what = f"{line['model']}, {line['size']} px, {line['rows']} images, {line['epochs']} epochs"
            rows.append(f"| {what} | {shown} | {plain} | {first} | {ratios[0]} | {cached} | {ratios[1]} |")
    return "\n".join(rows)


def pacs(file: str) -> str:
    """Accuracy of each strategy for each pair; ``auto`` names what it shipped."""
    runs = {(x["source"], x["target"], x["strategy"], x["seed"]): x for x in lines(file)}.values()
    if not runs:
        return "Not measured."
    names = list(dict.fromkeys(str(x["strategy"]) for x in runs))
    pairs = list(dict.fromkeys((str(x["source"]), str(x["target"])) for x in runs))
    rows = ["| pair | source-only | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    columns: dict[str, list[float]] = defaultdict(list)
    for source, target in pairs:
        own = [x for x in runs if (x["source"], x["target"]) == (source, target)]
        shown = [spread([float(str(x["source_only"])) for x in own if x["strategy"] == own[0]["strategy"]])]
        for name in names:
            values = [float(str(x["accuracy"])) for x in own if x["strategy"] == name]
            kept = [str(x["kept"]) for x in own if x["strategy"] == name and name == "auto"]
            shown.append(spread(values) + (f" ({', '.join(dict.fromkeys(kept))})" if kept else ""))
            columns[name] += [statistics.mean(values)] if values else []
        columns[""].append(
            statistics.mean(float(str(x["source_only"])) for x in own if x["strategy"] == own[0]["strategy"])
        )
        rows.append(f"| {source} → {target} | " + " | ".join(shown) + " |")
    means = [f"{statistics.mean(columns[n]):.1f}" if len(columns[n]) == len(pairs) else "–" for n in ["", *names]]
    return "\n".join([*rows, "| mean | " + " | ".join(means) + " |"])


def comparison() -> str:
    rows = ["| what | compare, s | again, from the cache, s | one fine-tuning, s | ratio |", "|---|---|---|---|---|"]
    for x in {str(x["what"]): x for x in lines("compare.jsonl")}.values():
        seconds = f"{x['compare_seconds']} | {x['cached_seconds']} | {x['finetune_seconds']}"
        rows.append(f"| {x['what']} | {seconds} | {x['ratio']} |")
    return "\n".join(rows)


def explanations() -> str:
    rows = [
        "| model | rows | area, most relevant first | area, random | difference | rows with a smaller area |",
        "|---|---|---|---|---|---|",
    ]
    for x in {str(x["model"]): x for x in lines("explain.jsonl")}.values():
        areas = f"{x['top_area']:.3f} | {x['random_area']:.3f} | {x['gap']:.3f} ± {x['gap_error']:.3f}"
        rows.append(f"| {x['model']} on {x['dataset']} | {x['rows']} | {areas} | {x['ahead']} of {x['rows']} |")
    return "\n".join(rows)


def label_sets() -> str:
    """Partial and open sets; an open one's figures count the rows of unknown where the method has a name for them."""
    titles = {
        "accuracy": "accuracy",
        "balanced_accuracy": "mean recall",
        "known_recall": "OS*",
        "unknown_recall": "UNK",
    }
    titles["hos"] = "HOS"
    rows = [f"| set | strategy | {' | '.join(titles.values())} |", "|---" * (len(titles) + 2) + "|"]
    for x in {(str(x["relation"]), str(x["strategy"]), str(x["seed"])): x for x in lines("label_sets.jsonl")}.values():
        cells = ["–" if x[name] is None else f"{x[name]:.1f}" for name in titles]
        rows.append(f"| {x['relation']} | {x['strategy']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def corrupted() -> str:
    """Each model with one modality corrupted, frozen and adapting online.

    Figures are mean ± sd over orders of the rows.
    """
    runs: dict[tuple[str, str], dict[str, dict[object, float]]] = defaultdict(lambda: defaultdict(dict))
    for x in lines("corrupted.jsonl"):
        own = runs[str(x["strategy"]), str(x["rows"])]
        own[str(x["method"])][x["seed"]] = float(str(x["online"]))
        own["frozen"][0] = float(str(x["frozen"]))
    methods = [*dict.fromkeys(str(x["method"]) for x in lines("corrupted.jsonl"))]
    rows = [f"| model | rows | frozen | {' | '.join(methods)} |", "|---" * (len(methods) + 3) + "|"]
    for (model, name), own in runs.items():
        cells = [spread([*own[method].values()]) for method in ("frozen", *methods)]
        rows.append(f"| {model} | {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def segmentation() -> str:
    """Mean IoU of each method on held-out target pixels."""
    runs = lines("segmentation.jsonl")
    cells: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for x in runs:
        cells[str(x["strategy"])].append(x)
    base = statistics.mean(x["mean_iou"] for x in cells["source-only"])
    rows = ["| strategy | mIoU | against source-only | seeds |", "|---|---|---|---|"]
    for name, own in cells.items():
        values = [float(x["mean_iou"]) for x in own]
        gain = f"{statistics.mean(values) - base:+.1f}" if name != "source-only" else "–"
        rows.append(f"| {name} | {spread(values)} | {gain} | {len(own)} |")
    return "\n".join(rows)


def regression() -> str:
    """Error of each method on the target, beside that of a constant; the smallest of those without target labels first."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines("regression.jsonl"):
        runs[line["strategy"]].append(line)
    constants = {line["constant"] for own in runs.values() for line in own}
    columns = ("MAE", "of scale", "of x", "of y", "R²", "source MAE", "target values inside the source's 90% interval")
    rows = [f"| strategy | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, own in sorted(runs.items(), key=lambda item: statistics.mean(x["mae"] for x in item[1])):
        source, inside = ([x[key] for x in own if x[key] is not None] for key in ("source_mae", "covered"))
        errors = [spread([x["outputs"][label] for x in own], 3) for label in ("scale", "x", "y")]
        cells = [
            spread([x["mae"] for x in own], 3),
            *(e.partition(" ±")[0] for e in errors),
            spread([x["r2"] for x in own], 3),
        ]
        cells += [spread(source, 3), spread([100 * share for share in inside]) + ("%" if inside else "")]
        rows.append(f"| {name} ({len(own)} seeds) | {' | '.join(cells)} |")
    rows += [
        f"| the mean of the source's labels | {value:.3f} | – | – | – | – | – | – |" for value in sorted(constants)
    ]
    return "\n".join(rows)


def trirate() -> trirate_table.Runs:
    return trirate_table.runs_of(lines("trirate.jsonl"))


def multilabel() -> str:
    """mAP on target and source, and F1, mean ± sd over seeds; F1 is at the source's thresholds; between two bounds."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for x in {(str(x["strategy"]), x["seed"]): x for x in lines("multilabel.jsonl")}.values():
        runs[str(x["strategy"])].append(x)
    rows = ["| strategy | target mAP | macro F1 | micro F1 | source mAP |", "|---|---|---|---|---|"]
    constant = {round(x["constant_map"], 1) for own in runs.values() for x in own}
    rows.append(f"| the same answer for every row | {' or '.join(map(str, sorted(constant)))} | – | – | – |")
    for name, own in runs.items():
        shown = "oracle: finetune on the target's labels" if name == "oracle" else name
        known = [
            [float(x[key]) for x in own if x[key] is not None] for key in ("map", "macro_f1", "micro_f1", "source_map")
        ]
        cells = [_cell(values) if values else "–" for values in known]
        rows.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(rows)


SHIPPING = {
    "": shipping_table.single,
    "-together": shipping_table.together,
    "-kinds": shipping_table.by_kind,
    "-left-out": shipping_table.leave_out,
    "-estimates": shipping_estimates.estimates,
    "-bounds": shipping_estimates.bounds,
    "-checkpoints": shipping_table.checkpoints,
    "-labels": shipping_table.labels,
    "-goals": shipping_goals.goals,
}


def demo() -> str:
    """Each seed of the demo's present recipe, and their mean."""
    recipe = hashlib.sha256((HERE.parent / "examples" / "digits.yaml").read_bytes()).hexdigest()[:12]
    runs = {(x["seed"], x["threads"]): x for x in lines("demo.jsonl") if x["recipe"] == recipe}
    if not runs:
        return "Not measured."
    rows = [
        "| seed | threads | source-only | its estimate | adapted | its estimate | verdict without labels | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (seed, threads), x in sorted(runs.items()):
        told = ["–" if value is None else f"{value:.1f}" for value in x["estimates"]]
        figures = f"{x['source_only']:.1f} | {told[0]} | {x['adapted']:.1f} | {told[1]}"
        rows.append(f"| {seed} | {threads} | {figures} | {x['verdict']} | {x['cpu_seconds']:.0f} |")
    single = [x for (_, threads), x in runs.items() if threads == 1]
    before, after = ([float(x[side]) for x in single] for side in ("source_only", "adapted"))
    return "\n".join([*rows, f"| mean | 1 | {spread(before)} | | {spread(after)} | | | |"])


TABLES = {
    "auto": lambda: auto_table.table(lines("auto.jsonl")),
    "demo": demo,
    "plain-loop": lambda: plain_loop_table.table(lines("plain_loop.jsonl")),
    "text": lambda: text_table.table(lines("text.jsonl")),
    "text-adapted": lambda: adapted_table.table(
        lines("text_adapted.jsonl"), ("source", "target"), "logistic_regression"
    ),
    "audio": lambda: adapted_table.table(lines("audio.jsonl"), ("target",)),
    "kinds": lambda: kinds_table.table(lines("kinds.jsonl")),
    "multilabel": multilabel,
    "digits": digits,
    "averaging": averaging,
    "pacs": lambda: pacs("pacs.jsonl"),
    "pacs-features": lambda: pacs("pacs_features.jsonl"),
    "validators": lambda: choice_tables.validators(lines("validators.jsonl")),
    "verdicts": lambda: choice_tables.verdicts(lines("validators.jsonl")),
    **{f"shipping{name}": lambda table=table: table(lines("shipping.jsonl")) for name, table in SHIPPING.items()},
    "throughput": throughput,
    "probe": probe,
    "compare": comparison,
    "trirate": lambda: trirate_table.rows(trirate()),
    "trirate-gates": lambda: trirate_table.gates(trirate()),
    "trirate-corrupted": lambda: trirate_table.corrupted(trirate()),
    "explain": explanations,
    "regression": regression,
    "segmentation": segmentation,
    "label-sets": label_sets,
    "corrupted": corrupted,
    "trirate-heart": lambda: trirate_table.learnt_by_heart(trirate()),
}


def _cell(values: list[float]) -> str:
    """Return ``spread`` with the number of seeds."""
    return spread(values) + (f" ({len(values)} seeds)" if len(values) > 1 else "") if values else "not measured"


def filled(text: str) -> str:
    for name, table in TABLES.items():
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = DOCUMENT.read_text(encoding="utf-8")
    new, errors = filled(text), shipping_estimates.shown(lines("shipping.jsonl"))
    if not parser.parse_args().check:
        DOCUMENT.write_text(new, encoding="utf-8")
        ERRORS.write_text(errors, encoding="utf-8")
        shipping_frontier.draw(lines("shipping.jsonl"), DOCUMENT.parent / "plots")
    elif new != text:
        sys.exit("docs/benchmarks.md does not say what benchmarks/results says: python benchmarks/tables.py")
    elif errors != ERRORS.read_text(encoding="utf-8"):
        sys.exit(f"{ERRORS.name} does not say what benchmarks/results says: python benchmarks/tables.py")


if __name__ == "__main__":
    main()
