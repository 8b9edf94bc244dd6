"""Several digits on one canvas, MNIST → UCI: which of five occur. One JSON line per run, mAP of the last iterate.

    python benchmarks/multilabel.py --strategies source-only coral dan dann oracle --seeds 0 1 2

The canvases are composed of the embedded digits 0 to 4: 28 × 28 pixels, up to three different digits of 14 × 14, each in
one of four places; no digit image is in two splits. ``oracle`` is finetune on the target's labels, for a bound from above.
A bottleneck and a head on the features of a random LeNet that stays as it is: minutes of one core for all runs. Adam, no
target label in training or selection of any other row.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as Picture

import hubtl
from hubtl.data import builtin

CLASSES = 5
SIZES = {"mnist": {"train": 2000, "test": 300}, "uci": {"train": 1500, "test": 500}}
CELL = 14
SEEDS = {"train": 1, "test": 2}  # of the composition: the same canvases in every run


def compose(name: str, split: str) -> Dataset:
    """Canvases with up to three digits, and the digits' names. Digits differ and are of one embedded sample."""
    digits = builtin.load(f"builtin:digits/{name}")[split]
    drawn = [
        np.asarray(image.convert("L").resize((CELL, CELL), Picture.Resampling.BILINEAR)) for image in digits["image"]
    ]
    of = [np.flatnonzero(np.array(digits["label"]) == number) for number in range(CLASSES)]
    rng = np.random.default_rng([SEEDS[split], len(name)])
    images, labels = [], []
    for _ in range(SIZES[name][split]):
        count = int(rng.integers(0, 4))
        chosen, places = rng.choice(CLASSES, count, replace=False), rng.permutation(4)[:count]
        canvas = np.zeros((2 * CELL, 2 * CELL), dtype=np.uint8)
        for number, place in zip(chosen.tolist(), places.tolist(), strict=True):
            top, left = (CELL * x for x in divmod(place, 2))
            canvas[top : top + CELL, left : left + CELL] = drawn[int(rng.choice(of[number]))]
        images.append(Picture.fromarray(canvas))
        labels.append(sorted(str(number) for number in chosen.tolist()))
    features = Features({"image": Image(), "labels": List(Value("string"))})
    return Dataset.from_dict({"image": images, "labels": labels}, features=features)


def run(data: Path, strategy: str, seed: int, args: argparse.Namespace) -> dict[str, object]:
    alone = strategy == "oracle"
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = hubtl.adapt(
            model="lenet",
            pretrained=False,
            tuner="head",
            source_dataset=None if alone else str(data / "mnist"),
            target_dataset=str(data / "uci"),
            strategy="finetune" if alone else strategy,
            optimizer="adam",
            lr=1e-3,
            schedule="constant",
            steps=args.steps,
            batch_size=args.batch_size,
            seed=seed,
            baseline=False,
            validator="last",
            output_dir=str(Path(folder) / "run"),
            options={
                "task.name": "multi-label",
                "model.bottleneck": 256,
                "run.plots": False,
                "run.evaluate_every": args.steps,
            },
        )
    record = result.record
    figures = record.adapted
    assert figures is not None
    assert figures.figures is not None
    assert record.target_labels == ("training" if alone else "none")
    known = figures.figures.numbers()
    return {
        "benchmark": "multilabel",
        "strategy": strategy,
        "seed": seed,
        "rows": figures.n,
        **{name: round(100 * float(known[name] or 0.0), 2) for name in ("map", "macro_f1", "micro_f1", "constant_map")},
        "source_map": None if figures.source is None else round(100 * figures.source, 2),
        "steps": args.steps,
        "batch_size": args.batch_size,
        "cpu_seconds": round(time.process_time() - began, 1),
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", default=["source-only", "coral", "dan", "dann", "oracle"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "multilabel.jsonl")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for name, sizes in SIZES.items():
            DatasetDict({split: compose(name, split) for split in sizes}).save_to_disk(str(Path(root) / name))
        for seed in args.seeds:
            for strategy in args.strategies:
                line = run(Path(root), strategy, seed, args)
                with args.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    f"{strategy:12} seed {seed}: mAP {line['map']}, source {line['source_map']}, {line['cpu_seconds']} s"
                )


if __name__ == "__main__":
    main()
