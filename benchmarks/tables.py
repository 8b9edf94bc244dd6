"""Writes the tables of docs/benchmarks.md from the result files: ``python benchmarks/tables.py [--check]``.

A figure in a document is never typed. ``--check`` writes nothing and fails where document and results differ.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
# Published reference implementation's own code at the short budget, MNIST → USPS, last iterate, seed 0.
REFERENCE = {"source-only": 76.4, "dann": 89.7, "cdan": 90.5, "mcc": 92.3, "dan": 82.8}


def lines(name: str) -> list[dict[str, object]]:
    path = HERE / "results" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def digits() -> str:
    """One row per strategy; a cell is the mean ± sd over seeds, or the one seed's figure."""
    cells: dict[tuple[str, str], dict[object, float]] = defaultdict(dict)
    published: dict[str, str] = {}  # options that are not the defaults, by strategy and, where it matters, direction
    for line in lines("digits.jsonl"):
        if (line["steps"], line["batch_size"]) == (2000, 64):
            direction = f"{line['source']} → {line['target']}"
            cells[str(line["strategy"]), direction][line["seed"]] = float(str(line["accuracy"]))
            if options := line.get("options"):
                assert isinstance(options, dict)
                said = ", ".join(f"{key} {value:g}" for key, value in sorted(options.items()))
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
            "Options that are not the defaults are those of the published digits recipes, and the momentum is this protocol's:",
            "",
        ]
        rows += [f"- {where}: {said}" for where, said in sorted(published.items())]
    return "\n".join(rows)


def throughput() -> str:
    rows = ["| what | bare loop, steps/s | hubtl, steps/s | ratio |", "|---|---|---|---|"]
    for line in {str(line["what"]): line for line in lines("throughput.jsonl")}.values():
        rows.append(f"| {line['what']} | {line['bare']} | {line['hubtl']} | {line['ratio']} |")
    return "\n".join(rows)


def _cell(values: list[float]) -> str:
    if not values:
        return "not measured"
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)} seeds)"


def filled(text: str) -> str:
    for name, table in (("digits", digits()), ("throughput", throughput())):
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = DOCUMENT.read_text(encoding="utf-8")
    new = filled(text)
    if not parser.parse_args().check:
        DOCUMENT.write_text(new, encoding="utf-8")
    elif new != text:
        sys.exit("docs/benchmarks.md does not say what benchmarks/results says: python benchmarks/tables.py")


if __name__ == "__main__":
    main()
