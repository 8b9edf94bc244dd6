"""A DANN step through the engine against a bare PyTorch loop: same networks, same losses, batches already in memory.

    python benchmarks/throughput.py [--steps 40] [--rounds 5]

The two alternate in one process, and each keeps its best round, so that a busy machine disturbs both alike. hubtl's
side is
``hubtl adapt``'s own path: prepared from a recipe, its loader reading an image folder through ``datasets``.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.losses import domain_loss
from hubtl.modules import reverse_gradient
from hubtl.recipe.reading import merge, parse
from hubtl.run.prepare import Prepared, prepare


def folder(root: Path, name: str, size: int, rows: int, seed: int) -> str:
    """Random images in class folders: speed does not depend on what they show."""
    rng = np.random.default_rng(seed)
    for i in range(rows):
        where = root / name / "train" / f"class{i % 4}"
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(where / f"{i}.png")
    return str(root / name)


def bare(prepared: Prepared, batch: int, size: int, channels: int, steps: int) -> float:
    """Steps per second of the loop that one would write by hand."""
    strategy = prepared.build("dann").train()
    groups = [{"params": p.parameters(), "lr": 1e-2} for p in (strategy.encoder, strategy.head, strategy.critic)]
    optimizer = torch.optim.SGD(groups, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3)
    source, target = torch.randn(8, batch, channels, size, size), torch.randn(8, batch, channels, size, size)
    labels = torch.randint(0, len(prepared.task.outputs.names), (8, batch))
    began = 0.0
    for i in range(steps + 2):
        if i == 2:
            began = time.perf_counter()
        x = torch.cat([source[i % 8], target[i % 8]])
        z = strategy.encoder({"image": x}).pooled
        task = nn.functional.cross_entropy(strategy.head(z[:batch]), labels[i % 8])
        verdict = strategy.critic(reverse_gradient(z, 0.5))
        loss = task + domain_loss(verdict[:batch], verdict[batch:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return steps / (time.perf_counter() - began)


def ours(prepared: Prepared, steps: int) -> float:
    """Steps per second of the engine. The first two are left out on both sides."""
    accelerator = make_accelerator(prepared.recipe.run, None)
    began: list[float] = []

    strategy = prepared.build("dann")
    original = strategy.step

    def step(source: object, target: object, *, at: object) -> object:
        if at.step == 2:  # type: ignore[attr-defined]
            began.append(time.perf_counter())
        return original(source, target, at=at)  # type: ignore[arg-type]

    strategy.step = step  # type: ignore[assignment,method-assign]
    run = prepared.recipe.run.model_copy(update={"steps": steps + 2})
    Engine(accelerator, prepared.recipe.optim, run).train(strategy, prepared.streams.train)
    return steps / (time.perf_counter() - began[0])


def case(what: str, model: str, size: int, batch: int, steps: int, rounds: int, augment: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        raw = {
            "model": {"name": model, "pretrained": False, "image_size": size},
            "source": folder(root, "source", size, 256, 0),
            "target": folder(root, "target", size, 256, 1),
            "strategy": "dann",
            "run": {"batch_size": batch, "steps": steps, "device": "cpu"},
        }
        prepared = prepare(parse(merge(raw, {"data.augment": augment})))
        channels = prepared.backbone.info.input.channels
        ours(prepared, 2)
        pairs = [(bare(prepared, batch, size, channels, steps), ours(prepared, steps)) for _ in range(rounds)]
    best_bare, best_ours = max(b for b, _ in pairs), max(o for _, o in pairs)
    return {
        "benchmark": "throughput",
        "what": what,
        "bare": round(best_bare, 2),
        "hubtl": round(best_ours, 2),
        "ratio": round(best_ours / best_bare, 3),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "throughput.jsonl")
    args = parser.parse_args()
    cases = [
        ("DANN, ResNet-18 at 64 px, 32 + 32", "resnet18", 64, 32, args.steps, "none"),
        ("DANN, ResNet-18 at 64 px, 32 + 32, augmented views", "resnet18", 64, 32, args.steps, "standard"),
        ("DANN, LeNet at 28 px, 64 + 64", "lenet", 28, 64, 5 * args.steps, "none"),
    ]
    for what, model, size, batch, steps, augment in cases:
        line = json.dumps(case(what, model, size, batch, steps, args.rounds, augment))
        print(line, flush=True)
        with args.output.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
