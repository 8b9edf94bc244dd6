"""Scale and place of drawn shapes: regression under a known shift, one JSON line per run.

    python benchmarks/regression.py --strategies source-only coral rsd --seeds 0 1 2

Nothing is downloaded: images like those of dSprites are drawn from a seed. A square, an ellipse or a heart, turned at
will, has a scale and a place (x, y), each uniform in 0 to 1: these are the labels. The source shows it in a colour on
black. The targets show it in a colour on noise, or as the negative of a smooth coloured texture, as the scream domain
does with a painting. 28 × 28 grey, LeNet from scratch, the last iterate, no target label in training or selection.
``oracle`` is the same network trained on the target's labels, ``constant`` predicts the mean of the source's labels.
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter

import hubtl
from hubtl.recipe.reading import parse_set

LABELS = ("scale", "x", "y")
DOMAINS = ("colour", "noise", "texture")
SIDE, FINE = 28, 4  # pixels, and how many times finer it is drawn
ROWS = {"train": 2000, "test": 500}
PLAIN = "source-only, no bottleneck"  # as rsd and dare-gram are, by their papers


def outline(shape: int) -> np.ndarray:
    """The corners of a square, an ellipse or a heart: [n, 2]."""
    if shape == 0:
        return np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]])
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    if shape == 1:
        return np.stack([1.1 * np.cos(t), 0.7 * np.sin(t)], axis=1)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1) / 16


def image(domain: str, scale: float, x: float, y: float, rng: np.random.Generator) -> Picture.Image:
    """One shape in one domain; shape, angle, colours and background are drawn."""
    turn, size = rng.uniform(0, 2 * math.pi), SIDE * FINE
    corners = outline(int(rng.integers(3))) @ np.array(
        [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    )
    corners = corners * (0.09 + 0.11 * scale) * size + (0.25 + 0.5 * np.array([x, y])) * size
    mask = Picture.new("L", (size, size))
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    inside = np.asarray(mask.resize((SIDE, SIDE), Picture.Resampling.BOX), dtype=np.float32)[..., None] / 255
    if domain == "texture":
        small = Picture.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = small.resize((SIDE, SIDE), Picture.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
        behind = 30 + 0.4 * np.asarray(smooth, dtype=np.float32)
        drawn = behind * (1 - inside) + (255 - behind) * inside
    else:
        colour = rng.uniform(128, 255, 3)
        behind = rng.uniform(0, 150, (SIDE, SIDE, 3)) if domain == "noise" else np.zeros((SIDE, SIDE, 3))
        drawn = behind * (1 - inside) + colour * inside
    return Picture.fromarray(drawn.clip(0, 255).astype(np.uint8))


def draw(folder: Path) -> None:
    """Write the domains, each with a train and a test split. Each split has images of its own."""
    columns = Features({"image": Image(), **dict.fromkeys(LABELS, Value("float32"))})
    for number, domain in enumerate(DOMAINS):
        splits = {}
        for part, (split, rows) in enumerate(ROWS.items()):
            rng = np.random.default_rng([number, part])
            labels = rng.uniform(size=(rows, 3))
            cells: dict[str, list[Any]] = {"image": [image(domain, *row, rng) for row in labels.tolist()]}
            cells |= {name: labels[:, k].tolist() for k, name in enumerate(LABELS)}
            splits[split] = Dataset.from_dict(cells, features=columns)
        DatasetDict(splits).save_to_disk(folder / domain)


def constant(folder: Path, source: str, target: str) -> float:
    """MAE of the source's training mean on the target's test split. The mean is that of its labels."""
    splits = [DatasetDict.load_from_disk(folder / name) for name in (source, target)]
    known, truth = (
        np.stack([np.array(data[split][name]) for name in LABELS], axis=1)
        for data, split in zip(splits, ("train", "test"), strict=True)
    )
    return float(np.abs(truth - known.mean(axis=0)).mean())


def run(
    folder: Path, source: str, target: str, strategy: str, seed: int, tried: dict[str, Any], steps: int
) -> dict[str, Any]:
    """The line of one run."""
    began, own = time.monotonic(), dict(tried)
    data: dict[str, Any] = {"target_dataset": str(folder / target), "strategy": strategy}
    if strategy == "oracle":
        data["strategy"] = "finetune"
    elif strategy == PLAIN:
        data["strategy"], own["model.bottleneck"] = "source-only", 0
    if strategy != "oracle":
        data["source_dataset"] = str(folder / source)
    result = hubtl.adapt(
        model="lenet",
        pretrained=False,
        **data,
        target_eval_split="test",
        label_column=",".join(LABELS),
        lr=0.01,
        schedule="inverse-decay",
        steps=steps,
        batch_size=32,
        seed=seed,
        baseline=False,
        validator="last",
        output_dir=str(folder / "run"),
        overwrite=True,
        options={"task.name": "regression", "run.plots": False, "run.evaluate_every": steps, **own},
    )
    record = result.record
    figures = record.adapted
    assert figures is not None
    return {
        "benchmark": "regression",
        "source": source,
        "target": target,
        "strategy": strategy,
        "seed": seed,
        "steps": steps,
        "rows": figures.n,
        "mae": round(figures.mae, 4),
        "r2": round(figures.r2, 4),
        "spearman": round(figures.spearman, 4),
        "source_mae": None if figures.source is None else round(figures.source, 4),
        "covered": None if figures.covered is None or strategy == "oracle" else round(figures.covered, 4),
        "outputs": {o.name: round(o.mae, 4) for o in figures.per_output},
        "constant": round(constant(folder, source, target), 4),
        "options": tried,
        "seconds": round(time.monotonic() - began, 1),
        "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["source-only", PLAIN, "coral", "dan", "dann", "rsd", "dare-gram", "oracle"]
    parser.add_argument("--strategies", nargs="+", default=every)
    parser.add_argument("--targets", nargs="+", default=["noise"], choices=DOMAINS[1:])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "regression.jsonl")
    parser.add_argument("--set", nargs="+", default=[], help="options to try, key=value; give another --output with it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        draw(Path(made))
        for target in args.targets:
            for strategy in args.strategies:
                for seed in args.seeds:
                    line = run(Path(made), DOMAINS[0], target, strategy, seed, parse_set(args.set), args.steps)
                    text = json.dumps(line)
                    print(text, flush=True)
                    with args.output.open("a") as file:
                        file.write(text + "\n")


if __name__ == "__main__":
    main()
