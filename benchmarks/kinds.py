"""Members of different kind where the encoder learns: mcc, and mcc with strong views, each alone, hedged, and together.

    python benchmarks/kinds.py DATA WEIGHTS RESULTS [--cases mnist-usps photo-cartoon] [--seeds 0 1]

The cases are LeNet from scratch on digits, 1,000 updates of 64 + 64, and MobileNetV2 0.35 with ImageNet weights, learning whole,
on PACS at 64 px, 300 updates of 32 + 32. ``photographs`` are MNIST's digits blended with crops of PACS's photographs, as MNIST-M's
are with others, and read in grey. One JSON line for each case and seed: what every rule would ship on the target's held-out rows,
what the run shipped (``--members mcc,mcc+adamatch --hedge 0.5``), and seconds. Target labels only score. A line that is there is
not repeated.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_dataset
from PIL import Image

import hubtl

SMALL = "mobilenetv2_035.keras_in1k_features"
DIGITS = ("mnist-usps", "usps-mnist", "mnist-photographs")
PACS = ("photo-art_painting", "art_painting-cartoon", "photo-cartoon", "cartoon-sketch")
MEMBERS = ("mcc", "mcc+adamatch")
SHARES = (0.5, 0.7, 1.0)


def table_of(folder: Path, split: str) -> Dataset:
    files = sorted(str(path) for path in folder.glob(f"{split}*.parquet"))
    return load_dataset("parquet", data_files={split: files}, split=split)


def photographs(digits: Path, photos: Path, folder: Path) -> None:
    """Write MNIST's digits blended with crops of photographs, ``|photo − digit|``, at 28 × 28; no crop twice in a row."""
    generator = np.random.default_rng(0)
    backgrounds = [
        np.asarray(row["image"].convert("RGB")) for row in table_of(photos, "train").select(range(0, 1400, 7))
    ]
    folder.mkdir(parents=True)
    for split, rows in (("train", 6000), ("test", 2000)):
        table = table_of(digits, split)
        table = table.select(range(0, len(table), len(table) // rows)).select(range(rows))

        def blended(row: dict[str, Any]) -> dict[str, Any]:
            photo = backgrounds[int(generator.integers(len(backgrounds)))]
            y, x = (int(generator.integers(size - 28)) for size in photo.shape[:2])
            digit = np.asarray(row["image"].convert("L"), dtype=np.int16)[:, :, None]
            made = np.abs(photo[y : y + 28, x : x + 28].astype(np.int16) - digit)
            return {"image": Image.fromarray(made.astype(np.uint8))}

        table.map(blended, features=table.features, keep_in_memory=True).to_parquet(folder / f"{split}.parquet")


def options_of(case: str, data: Path, weights: Path, home: Path) -> tuple[dict[str, Any], Path]:
    """Return the arguments of the run, and the folder of its target."""
    source, target = case.split("-", 1)
    if case in PACS:
        source_folder, target_folder = data / "pacs" / source, data / "pacs" / target
        given = {"model": str(weights / SMALL), "image_size": 64, "steps": 300, "batch_size": 32, "lr": 0.01}
    else:
        source_folder, target_folder = data / "digits" / source, data / "digits" / target
        if target == "photographs":
            target_folder = home / target
            if not target_folder.exists():
                photographs(source_folder, data / "pacs" / "photo", target_folder)
        given = {"model": "lenet", "pretrained": False, "image_size": 28, "steps": 1000, "batch_size": 64, "lr": 0.01}
    return {**given, "source_dataset": str(source_folder), "target_dataset": str(target_folder)}, target_folder


def ran(case: str, seed: int, data: Path, weights: Path, home: Path) -> dict[str, Any]:
    given, target = options_of(case, data, weights, home)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        record = hubtl.adapt(
            **given,
            strategy=MEMBERS[0],
            members=list(MEMBERS),
            hedge=0.5,
            keep_ensemble=True,
            seed=seed,
            num_workers=0,
            options={"run.plots": False},
            output_dir=str(Path(folder) / "run"),
        ).record
        seconds = time.perf_counter() - began
        split = "test" if case in DIGITS else "validation"
        rows = table_of(target, split)
        labels = np.array(rows["label"])
        kept = hubtl.load(Path(folder) / "run" / "ensemble").members  # the two adapted, then source-only
        with torch.no_grad():
            seen = [model.logits(list(rows["image"])) for model, _ in kept]
    assert record.ensemble is not None
    assert record.adapted is not None
    assert record.source_only is not None
    scaled = [z * count / share for z, (_, count), share in zip(seen, kept, (0.25, 0.25, 0.5), strict=True)]
    found = {}
    for share in SHARES:
        found[f"mcc {share:g}"] = share * scaled[0] + (1 - share) * scaled[2]
        found[f"mcc+adamatch {share:g}"] = share * scaled[1] + (1 - share) * scaled[2]
        found[f"both {share:g}"] = share * (scaled[0] + scaled[1]) / 2 + (1 - share) * scaled[2]
    return {
        "source_only": round(100 * (record.source_only.accuracy or 0.0), 2),
        "rules": {name: round(100 * float((z.argmax(dim=1).numpy() == labels).mean()), 2) for name, z in found.items()},
        "shipped": round(100 * (record.adapted.accuracy or 0.0), 2),
        "how": record.ensemble.how,
        "closeness": record.ensemble.closeness,
        "training_seconds": [round(member.seconds, 1) for member in record.ensemble.members],
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--cases", nargs="+", default=[*DIGITS, *PACS], choices=[*DIGITS, *PACS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    args = parser.parse_args()
    there = args.results.read_text(encoding="utf-8").splitlines() if args.results.exists() else []
    done = {(line["case"], line["seed"]) for line in map(json.loads, there)}
    with tempfile.TemporaryDirectory() as home:
        for seed, case in itertools.product(args.seeds, args.cases):
            if (case, seed) in done:
                continue
            line = {"case": case, "seed": seed, **ran(case, seed, args.data, args.weights, Path(home))}
            with args.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
