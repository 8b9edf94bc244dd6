"""A linear probe on a frozen ResNet-18, against the plain loop. It has 20 epochs and goes through ``hubtl.adapt``.

    python benchmarks/probe.py DATA [--epochs 20] [--measured 2] [--size 160]

DATA holds ``photo``, PACS's photographs as parquet files with train and validation splits. Weights are random: speed
does not depend on them. The plain loop is what one would write: a DataLoader that decodes every image in every epoch,
the backbone in eval mode without gradients, a step of the head, and at the end one pass over the validation rows. A few
epochs of it are measured and scaled to all of them. hubtl's side is the whole call, from the recipe to the saved model
and its card, with its evaluations: once with an empty cache, then again from the cache, the best of three. Both sides
run in one process, one after the other, with the same threads and no loader processes; seconds are those of the wall
and, for a machine that others use too, those that the process worked.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import load_dataset
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.record import RunRecord

BATCH = 32
LR = 0.1
AGAIN = 3  # calls from the cache, of which the best counts: they are short, and a pause of the machine is not theirs


class Seconds(NamedTuple):
    wall: float
    cpu: float


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """Decoded, resized and normalised when asked for, as in any training script."""

    def __init__(self, rows: Any, size: int) -> None:
        self.rows, self.size = rows, size
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        row = self.rows[i]
        image = row["image"].convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(self.size, self.size, 3)
        return (pixels.permute(2, 0, 1).float() / 255 - self.mean) / self.std, row["label"]


class Clock:
    """Seconds on the wall and of this process's own work: the second hardly know a busy machine."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def read(self) -> Seconds:
        return Seconds(time.perf_counter() - self._began[0], time.process_time() - self._began[1])


def plain(data: Path, size: int, measured: int) -> tuple[Seconds, Seconds, int]:
    """Seconds of an epoch, and of the pass over validation rows; an epoch is the mean of those measured; and how many
    rows.
    """
    files = {split: str(next((data / "photo").glob(f"{split}*.parquet"))) for split in ("train", "validation")}
    splits = load_dataset("parquet", data_files=files)
    classes = len(splits["train"].features["label"].names)
    request = BackboneRequest([str(i) for i in range(classes)], pretrained=False, image_size=size)
    torch.manual_seed(0)
    backbone = backbones.resolve("resnet18", request).eval()
    head = nn.Linear(backbone.info.width, classes)
    optimizer = torch.optim.SGD(head.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=1e-3)
    train = DataLoader(Photos(splits["train"], size), batch_size=BATCH, shuffle=True)
    clock = Clock()
    for _ in range(measured):
        for images, labels in train:
            with torch.no_grad():
                features = backbone({"image": images}).pooled
            loss = nn.functional.cross_entropy(head(features), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    epochs = clock.read()
    clock, right = Clock(), 0
    with torch.no_grad():
        for images, labels in DataLoader(Photos(splits["validation"], size), batch_size=64):
            right += int((head(backbone({"image": images}).pooled).argmax(1) == labels).sum())
    return Seconds(*(value / measured for value in epochs)), clock.read(), len(splits["train"])


def ours(data: Path, size: int, epochs: int, folder: Path) -> tuple[Seconds, RunRecord]:
    """Seconds of the whole call, and its record."""
    clock = Clock()
    result = hubtl.adapt(
        model="resnet18",
        pretrained=False,
        image_size=size,
        target_dataset=str(data / "photo"),
        strategy="linear-probe",
        epochs=epochs,
        batch_size=BATCH,
        lr=LR,
        output_dir=str(folder),
        options={"run.plots": False},
    )
    return clock.read(), result.record


def measure(data: Path, size: int, epochs: int, measured: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HUBTL_HOME"] = f"{temporary}/cache"
        hubtl.adapt(  # imports are not what is compared
            model="lenet",
            pretrained=False,
            target_dataset="builtin:digits/uci",
            strategy="linear-probe",
            steps=2,
            output_dir=f"{temporary}/warm",
            options={"run.plots": False},
        )
        epoch, validation, rows = plain(data, size, measured)
        first, _ = ours(data, size, epochs, Path(temporary) / "first")
        again = [ours(data, size, epochs, Path(temporary) / f"again{i}") for i in range(AGAIN)]
    cached, record = min(again, key=lambda run: run[0].wall)
    whole = Seconds(*(epochs * e + v for e, v in zip(epoch, validation, strict=True)))
    return {
        "benchmark": "probe",
        "model": "resnet18",
        "size": size,
        "rows": rows,
        "epochs": epochs,
        "plain_epochs_measured": measured,
        "plain_scaled_by": round(epochs / measured, 3),
        "cached_calls_measured": AGAIN,
        "steps": record.training.steps,
        "wall": {"plain": round(whole.wall, 2), "first": round(first.wall, 2), "cached": round(cached.wall, 2)},
        "cpu": {"plain": round(whole.cpu, 2), "first": round(first.cpu, 2), "cached": round(cached.cpu, 2)},
        "cached_training_wall": round(record.training.seconds, 2),
        "ratio_first": {"wall": round(whole.wall / first.wall, 1), "cpu": round(whole.cpu / first.cpu, 1)},
        "ratio_cached": {"wall": round(whole.wall / cached.wall), "cpu": round(whole.cpu / cached.cpu)},
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--measured", type=int, default=2, help="epochs of the plain loop that are run")
    parser.add_argument("--size", type=int, default=160, help="pixels; PACS's images are 160 wide or high")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "probe.jsonl")
    args = parser.parse_args()
    if not list(args.data.glob("photo/train*.parquet")):
        sys.exit(f"{args.data} holds no photo/train*.parquet: DATA is a folder with PACS's domains as parquet files")
    line = json.dumps(measure(args.data, args.size, args.epochs, args.measured))
    print(line, flush=True)
    with args.output.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
