"""hubtl's source-only beside a plain PyTorch loop with the field's usual recipe: one JSON line for each pair, seed and side.

    python benchmarks/plain_loop.py pacs DATA MODEL --pairs photo-art_painting cartoon-art_painting --seeds 0 1
    python benchmarks/plain_loop.py digits DATA lenet --pairs mnist-usps usps-mnist --seeds 0 1

DATA holds a folder of parquet files for each domain; MODEL is whatever ``--model`` takes. The plain loop is what one would
write: a DataLoader that decodes every image in every pass and drops the last batch, ``Resize(8/7 size)``, ``RandomCrop(size)``,
a flip (digits: ``Resize(size)`` alone), the backbone and a linear layer in train mode, SGD with Nesterov's momentum of 0.9 and a
weight decay of 1e-3, ``lr · (1 + 0.001 step)^-0.75``, a tenth of it for pretrained weights. hubtl's side is ``hubtl.adapt`` with
``source-only`` beside an adaptation's defaults: what the recipe leaves open is decided by hubtl. Both have the same backbone,
updates, rows in a batch and rate of the head, one process, the same threads, and are measured on the same rows of the target;
seconds are those that the process worked, from the first row that is opened to the last that is predicted.
``--set`` changes a key of hubtl's side, and names it in the line; ``--sides hubtl`` leaves the plain loop out. ``--frozen``
trains the head alone, on both sides. ``--rows N`` keeps that many source rows, spread over the training split, for both.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset as Table
from datasets import load_dataset
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import hubtl
from hubtl import backbones
from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import BackboneRequest, ImageInput
from hubtl.recipe.reading import parse_set

ensure_torchvision()
from torchvision import transforms  # noqa: E402

BORDER = 8 / 7  # 256 over 224
LR = {"mnist-usps": 0.01, "usps-mnist": 0.1}


class Images(Dataset[tuple[Tensor, int]]):
    """Decoded and transformed when asked for, as in any training script."""

    def __init__(self, table: Table, transform: Any, channels: int) -> None:
        self.table, self.transform, self.mode = table, transform, "L" if channels == 1 else "RGB"

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        row = self.table[i]
        return self.transform(row["image"].convert(self.mode)), row["label"]


def split(data: Path, domain: str, name: str) -> Table:
    files = sorted(str(path) for path in (data / domain).glob(f"{name}*.parquet"))
    return load_dataset("parquet", data_files={name: files}, split=name)


def views(spec: ImageInput, photographs: bool) -> tuple[Any, Any]:
    """The transforms of training and of evaluation."""
    as_tensor = [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    if not photographs:
        plain = transforms.Compose([transforms.Resize(spec.size), *as_tensor])
        return plain, plain
    larger = transforms.Resize(round(spec.size * BORDER))
    train = [larger, transforms.RandomCrop(spec.size), transforms.RandomHorizontalFlip(), *as_tensor]
    return transforms.Compose(train), transforms.Compose([larger, transforms.CenterCrop(spec.size), *as_tensor])


def fewer(data: Path, domain: str, rows: int, folder: Path) -> None:
    """Write a domain with ``rows`` of its training rows. They are spread over them; other splits stay."""
    (folder / domain).mkdir(parents=True)
    train = split(data, domain, "train")
    step = len(train) / rows
    train.select([int(i * step) for i in range(rows)]).to_parquet(folder / domain / "train.parquet")
    for path in (data / domain).glob("*.parquet"):
        if not path.name.startswith("train"):
            shutil.copy(path, folder / domain)


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def plain(args: argparse.Namespace, source: str, target: str, lr: float, seed: int) -> tuple[float, int]:
    """Accuracy of the plain loop on the target's rows, in percent. The number of rows comes second."""
    torch.manual_seed(seed)
    tables = split(args.source_data, source, "train"), split(args.data, target, args.eval_split)
    names = tables[0].features["label"].names
    request = BackboneRequest(names, args.pretrained, image_size=args.size)
    backbone = backbones.resolve(args.model, request)
    spec = backbone.info.input
    net = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(backbone.info.width, len(names))})
    train, evaluate = views(spec, args.kind == "pacs")
    rows = DataLoader(Images(tables[0], train, spec.channels), batch_size=args.batch_size, shuffle=True, drop_last=True)
    groups = [
        {"params": list(backbone.parameters()), "lr": lr * (0.1 if args.pretrained else 1.0)},
        {"params": list(net["head"].parameters()), "lr": lr},
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + 0.001 * step) ** -0.75)
    net.train()
    if args.frozen:
        backbone.eval().requires_grad_(False)
    batches = endless(rows)
    for _ in range(args.steps):
        images, labels = next(batches)
        loss = nn.functional.cross_entropy(net["head"](backbone({"image": images}).pooled), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()
    right = 0
    with torch.no_grad():
        for images, labels in DataLoader(Images(tables[1], evaluate, spec.channels), batch_size=64):
            right += int((net["head"](backbone({"image": images}).pooled).argmax(1) == labels).sum())
    return 100 * right / len(tables[1]), len(tables[1])


def ours(
    args: argparse.Namespace, source: str, target: str, lr: float, seed: int, changes: dict[str, Any]
) -> tuple[float, int, Any]:
    """The same of hubtl's source-only, and the shares of its crops: None where there are none."""
    with tempfile.TemporaryDirectory() as folder:
        record = hubtl.adapt(
            model=args.model,
            pretrained=args.pretrained,
            image_size=args.size,
            source_dataset=str(args.source_data / source),
            target_dataset=str(args.data / target),
            target_eval_split=args.eval_split,
            strategy="source-only",
            tuner="head" if args.frozen else None,
            lr=lr,
            steps=args.steps,
            batch_size=args.batch_size,
            seed=seed,
            num_workers=0,
            output_dir=str(Path(folder) / "run"),
            options={"run.plots": False, "run.evaluate_every": args.steps, **changes},
        ).record
    assert record.adapted is not None
    return 100 * (record.adapted.accuracy or 0.0), record.adapted.n, record.recipe["data"].get("crop_area")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["pacs", "digits"])
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--sides", nargs="+", default=["plain", "hubtl"], choices=["plain", "hubtl"])
    parser.add_argument("--size", type=int)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--eval-split", help="of the target; default: train for PACS, whose other split is small, else test"
    )
    parser.add_argument("--frozen", action="store_true", help="train the head alone")
    parser.add_argument("--rows", type=int, help="of the source, spread over its training split; default: all")
    parser.add_argument("--set", nargs="+", default=[], help="options of hubtl's side to try, key=value")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "plain_loop.jsonl")
    args = parser.parse_args()
    args.pretrained = args.kind == "pacs"
    args.size = args.size or (96 if args.kind == "pacs" else 28)
    args.eval_split = args.eval_split or ("train" if args.kind == "pacs" else "test")
    changes = parse_set(args.set)
    for pair in args.pairs:
        source, target = pair.split("-")
        lr = LR.get(pair, 0.01)
        kept = tempfile.TemporaryDirectory()
        args.source_data = args.data
        if args.rows:
            args.source_data = Path(kept.name)
            fewer(args.data, source, args.rows, args.source_data)
        for seed in args.seeds:
            for side in args.sides:
                began = time.process_time()
                found = (
                    (*plain(args, source, target, lr, seed), None)
                    if side == "plain"
                    else ours(args, source, target, lr, seed, changes)
                )
                line = {
                    "benchmark": "plain loop",
                    "kind": args.kind,
                    "model": Path(args.model).name,
                    "source": source,
                    "target": target,
                    "side": side,
                    "options": changes if side == "hubtl" else {},
                    "crop_area": found[2],
                    "seed": seed,
                    "size": args.size,
                    "steps": args.steps,
                    "batch_size": args.batch_size,
                    "frozen": args.frozen,
                    "source_rows": args.rows,
                    "rows": found[1],
                    "accuracy": round(found[0], 2),
                    "cpu_seconds": round(time.process_time() - began, 1),
                    "versions": {"hubtl": hubtl.__version__, "torch": torch.__version__},
                }
                print(json.dumps(line), flush=True)
                with args.output.open("a") as file:
                    file.write(json.dumps(line) + "\n")
        kept.cleanup()


if __name__ == "__main__":
    main()
