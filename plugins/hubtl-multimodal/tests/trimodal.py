"""A made-up dataset of pictures, sentences and sounds, and tiny encoders. Each tells the same three classes."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Audio, ClassLabel, Dataset, Features, Image, Value
from PIL import Image as Picture
from tiny_encoders import audio_model, image_model, text_model, wav

CLASSES = ["red", "green", "blue"]
WORDS = ["good", "bad", "boring"]  # of the tiny tokenizer
HERTZ = [300.0, 900.0, 2500.0]
COLOUR = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
SMALL = (  # fusion and inputs of a size that trains in seconds
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.bottlenecks=2",
    "model.latents=4",
    "model.max_length=12",
    "model.seconds=0.3",
    "run.plots=false",
)


class Models(NamedTuple):
    """Folders."""

    image: Path
    text: Path
    audio: Path

    def named(self, *modalities: str) -> str:
        """Return the value of ``--model``."""
        return ",".join(f"{m}={getattr(self, m)}" for m in modalities or self._fields)


def models_in(root: Path) -> Models:
    return Models(
        image_model("vit", root / "tiny-vit"),
        text_model("bert", root / "tiny-bert"),
        audio_model("ast", root / "tiny-ast"),
    )


def picture(y: int, rng: np.random.Generator, *, turned: bool = False) -> Picture.Image:
    pixels = COLOUR[y] + rng.normal(0, 25, (32, 32, 3)) + (30 if turned else 0)
    return Picture.fromarray(pixels.clip(0, 255).astype(np.uint8))


def png(image: Picture.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def sentence(y: int, rng: np.random.Generator) -> str:
    return f"the film was {'very ' * int(rng.integers(3))}{WORDS[y]} a film"


def sound(y: int, rng: np.random.Generator, *, turned: bool = False, rate: int = 16000) -> bytes:
    seconds = rng.uniform(0.2, 0.35)
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * HERTZ[y] * time) + (0.05 if turned else 0.02) * rng.standard_normal(len(time))
    return wav(wave.astype(np.float32), rate)


def row(y: int, seed: int = 0) -> dict[str, Any]:
    """Return the inputs of ``predict``."""
    rng = np.random.default_rng([seed, y])
    return {"image": picture(y, rng), "text": sentence(y, rng), "audio": sound(y, rng)}


def table(n: int, seed: int, *, turned: bool = False, missing: float = 0.15) -> Dataset:
    """``image``, ``text``, ``audio`` and ``label``; a cell is missing with a chance of ``missing``, never a whole row."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {"image": [], "text": [], "audio": [], "label": []}
    for i in range(n):
        y = i % len(CLASSES)
        own = {
            "image": {"bytes": png(picture(y, rng, turned=turned)), "path": None},
            "text": sentence(y, rng),
            "audio": {"bytes": sound(y, rng, turned=turned), "path": f"{i}.wav"},
        }
        gone = [m for m in own if rng.random() < missing][:2]
        for m, cell in own.items():
            rows[m].append(None if m in gone else cell)
        rows["label"].append(y)
    file = {"bytes": Value("binary"), "path": Value("string")}  # an Audio feature encodes with torchcodec alone
    features = Features({"image": file, "text": Value("string"), "audio": file, "label": ClassLabel(names=CLASSES)})
    made = Dataset.from_dict(rows, features=features)
    return made.cast_column("image", Image()).cast_column("audio", Audio(decode=False))


def write(folder: Path, *, turned: bool = False) -> None:
    folder.mkdir(parents=True)
    table(48, 1 + turned, turned=turned).to_parquet(folder / "train.parquet")
    table(30, 11 + turned, turned=turned).to_parquet(folder / "test.parquet")


def adapting(
    models: Models, data: Path, out: Path, *modalities: str, strategy: str = "dann", steps: int = 6
) -> list[str]:
    """The words of ``hubtl adapt`` on the dataset."""
    words = ["adapt", "--model", models.named(*modalities), "--no-pretrained", "--strategy", strategy]
    words += ["--source-dataset", str(data / "source"), "--target-dataset", str(data / "target")]
    words += ["--steps", str(steps), "--batch-size", "12", "--device", "cpu", "--quiet", "--output-dir", str(out)]
    return [*words, *(word for setting in SMALL for word in ("--set", setting))]
