"""Measure what ``--strategy auto`` ships, by whole runs of hubtl: PACS at 128 px, the head on one frozen backbone and on two,
and on one without the bottleneck.

    python benchmarks/auto.py DATA WEIGHTS RESULTS

Each line is a run: source-only, every member, what is shipped, how it was made, what it cost. A run that is in RESULTS is not
repeated. Target labels only score.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import hubtl

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
SMALL, LARGE = "mobilenetv2_035.keras_in1k_features", "mobilenetv2_100.tfslim_in1k"
STEPS = 300
FLAT = ", no bottleneck"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("results", type=Path)
    args = parser.parse_args()
    there = args.results.read_text(encoding="utf-8").splitlines() if args.results.exists() else []
    done = {(line["model"], line["source"], line["target"]) for line in map(json.loads, there)}
    alone = {"mobilenetv2_100": (LARGE,), "mobilenetv2_035": (SMALL,)}
    models = {**alone, "both": (LARGE, SMALL), **{f"{name}{FLAT}": own for name, own in alone.items()}}
    for model, (source, target) in itertools.product(models, itertools.permutations(DOMAINS, 2)):
        if (model, source, target) in done:
            continue
        folders = "+".join(str(args.weights / name) for name in models[model])
        found = ran(folders, args.data / "pacs", source, target, flat=model.endswith(FLAT))
        line = {"model": model, "source": source, "target": target, **found}
        with args.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line)


def ran(model: str, data: Path, source: str, target: str, *, flat: bool = False) -> dict[str, object]:
    """One run by auto, as its record tells it."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        record = hubtl.adapt(
            model=model,
            image_size=128,
            source_dataset=str(data / source),
            target_dataset=str(data / target),
            tuner="head",
            steps=STEPS,
            batch_size=64,
            options={"run.plots": False, **({"model.bottleneck": 0} if flat else {})},
            output_dir=str(Path(folder) / "run"),
        ).record
    found, verdict = record.ensemble, record.verdict
    assert found is not None
    assert verdict is not None
    assert record.source_only is not None
    assert record.adapted is not None
    return {
        "source_only": _share(record.source_only.value),
        "shipped": _share(record.adapted.value),
        "average": None if found.figures is None else _share(found.figures.value),
        "members": [[m.strategy, m.seed, m.model.split("/")[-1], _share(m.figures.value)] for m in found.members],
        "how": found.how,
        "hedge": found.hedge,
        "closeness": found.closeness,
        "agreement": found.agreement,
        "across": found.across,
        "across_source_only": found.across_source_only,
        "answer": verdict.answer,
        "seconds": round(time.perf_counter() - began, 1),
    }


def _share(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


if __name__ == "__main__":
    main()
