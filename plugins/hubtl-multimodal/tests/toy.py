"""A world of three modalities and two domains. A method trains on it in seconds.

Four classes. ``image`` and ``audio`` tell the class by a direction in a plane that the target turns; each also shifts and
scales its channels there. ``text`` says nothing. Given the class the modalities are independent of each other.
"""

import gc
import math
from types import SimpleNamespace

import numpy as np
import torch
from hubtl_multimodal.fusion import Fusion
from torch import nn

from hubtl.batch import Batch, Features
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.sweep import outputs
from hubtl.modules import Encoder
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.tasks.classification import Classification

CLASSES = ["1", "2", "4", "5"]
MODALITIES = ("image", "text", "audio")
TOKENS, WIDTH = 4, 6
TURN = {"image": 28.0, "audio": -32.0}  # degrees, in the target
NOISE = {"image": 0.75, "audio": 0.75}  # radius 2: how far classes are apart


class Rows:
    """Vectors in memory, in place of images, texts and recordings. Sealed, its labels reach no batch."""

    cached, augment, note = True, False, None
    bad: list[str] = []

    def __init__(self, inputs, labels, present, *, sealed=False):
        self.inputs, self.hidden, self.present = inputs, labels, present
        self.labels = None if sealed else labels
        self.plain = self
        generator = torch.Generator().manual_seed(7)
        self.noise = {n: torch.randn(x.shape, generator=generator) for n, x in inputs.items() if x.is_floating_point()}

    def __len__(self):
        return len(self.hidden)

    def fetch(self, rows, *, seed=None):
        at = list(rows)
        inputs = {n: x[at] for n, x in self.inputs.items()}

        def view(size):
            return {n: x + size * self.noise[n][at] if n in self.noise else x for n, x in inputs.items()}

        labels = None if self.labels is None else torch.from_numpy(self.labels[at])
        present = {n: r[at] for n, r in self.present.items()}
        views = {"weak": view(0.02)}
        if labels is None:  # as in a run: no method of this package asks for strong views of its source
            views["strong"] = view(0.3)
        return Batch(inputs, labels, torch.tensor(at), present=present, views=views)

    def without(self, *names):
        """The same rows, some modalities taken away."""
        present = self.present | dict.fromkeys(names, torch.zeros(len(self), dtype=torch.bool))
        return Rows(self.inputs, self.hidden, present, sealed=self.labels is None)

    def sealed(self):
        return Rows(self.inputs, self.hidden, self.present, sealed=True)

    def shuffled(self, seed=0):
        """The modalities of different rows put together: nothing corresponds, and the labels are those of the images."""
        generator = torch.Generator().manual_seed(seed)
        order = {n: torch.arange(len(self)) for n in MODALITIES}
        order |= {n: torch.randperm(len(self), generator=generator) for n in MODALITIES[1:]}
        inputs = {n: x[order[n.split(".")[0]]] for n, x in self.inputs.items()}
        present = {n: r[order[n]] for n, r in self.present.items()}
        return Rows(inputs, self.hidden, present, sealed=self.labels is None)

    def corrupted(self, name, size, seed=0):
        """One modality under noise."""
        noise = torch.randn(self.inputs[name].shape, generator=torch.Generator().manual_seed(seed))
        return Rows(self.inputs | {name: self.inputs[name] + size * noise}, self.hidden, self.present)


def domain(target=False, seed=0, n=240, missing=0.0):
    """Rows of one domain; each modality of a row is absent with probability ``missing``, but never the image."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % len(CLASSES)
    inputs, present = {}, {}
    for name in MODALITIES:
        x = 0.5 * torch.randn(n, TOKENS, WIDTH, generator=generator)
        if name in TURN:
            angle = math.pi / 2 * y + math.radians(TURN[name] * target)
            where = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
            where = where + NOISE[name] * torch.randn(n, 2, generator=generator)
            x[:, :2, :2] += where[:, None]  # two of the tokens tell it
        if target:  # of each channel
            own = torch.Generator().manual_seed(99 + len(name))
            x = x * (0.7 + 0.6 * torch.rand(WIDTH, generator=own)) + torch.randn(WIDTH, generator=own)
        inputs[name] = x
        present[name] = torch.rand(n, generator=generator) >= (0.0 if name == "image" else missing)
    ends = torch.randint(2, TOKENS + 1, (n, 1), generator=generator)
    inputs["text.mask"] = torch.arange(TOKENS) < ends
    return Rows(inputs, y.numpy(), present, sealed=target)


class ToyMultimodal(nn.Module):
    """A layer for each modality, and fusion: the smallest backbone of several modalities."""

    def __init__(self, kind="bottleneck", modalities=MODALITIES, **options):
        super().__init__()
        self.modalities = tuple(modalities)
        self.encoders = nn.ModuleDict({n: nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU()) for n in self.modalities})
        shape = {"width": 16, "layers": 1, "heads": 2, "bottlenecks": 2, "latents": 4, "dropout": 0.0} | options
        self.fusion = Fusion(dict.fromkeys(self.modalities, 16), kind=kind, **shape)
        self.info = SimpleNamespace(width=self.fusion.joint_width, pretrained=False, modalities=self.modalities)

    def forward(self, inputs, present=None):
        tokens = {}
        for n in self.modalities:
            x = inputs[n]
            tokens[n] = (self.encoders[n](x), inputs.get(f"{n}.mask", x.new_ones(x.shape[:2], dtype=torch.bool)))
        out = self.fusion(tokens, present or {})
        parts = dict(out.parts)
        if out.fused is not None:
            parts["fused"] = out.fused
        for n in self.modalities:
            own = {"local": out.local, "weights": out.weights, "mask": out.masks, "tokens": out.tokens}
            parts |= {f"{n}.{key}": value[n] for key, value in own.items()} | {f"{n}.present": out.present[n]}
        return Features(self.fusion.joint(out), tokens=torch.cat(list(out.tokens.values()), dim=1), parts=parts)

    def blocks(self):
        return [("encoders", list(self.encoders.parameters())), ("fusion", list(self.fusion.parameters()))]


def make(cls, kind="bottleneck", modalities=MODALITIES, seed=0, fusion=None, classes=CLASSES, **options):
    """A strategy on a fresh model; the same weights at each call."""
    torch.manual_seed(seed)
    encoder = Encoder(ToyMultimodal(kind, modalities, **(fusion or {})))
    task = Classification(classes)
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def train(strategy, streams, *, steps=200, lr=5e-3, batch_size=32, seed=0, **engine):
    """Train on the CPU as a run would."""
    optim = OptimSection(
        name="adamw", lr=lr, backbone_lr_scale=1.0, schedule="cosine", weight_decay=0.01, clip_norm=1.0
    )
    run = RunSection(
        steps=steps, batch_size=batch_size, device="cpu", seed=seed, evaluate_every=engine.pop("every", 10_000)
    )
    resume = engine.pop("resume", False)
    torch.manual_seed(seed + 1)
    gc.freeze()  # the engine collects after each phase, and there is much that will not go
    return Engine(make_accelerator(run, None), optim, run, **engine).train(strategy, streams, resume=resume)


def logits(strategy, rows):
    """Return the deployed model's outputs on rows."""
    return outputs(strategy.deployed(), rows, make_accelerator(RunSection(device="cpu"), None)).logits


def accuracy(strategy, rows):
    return float((logits(strategy, rows).argmax(1).numpy() == rows.hidden).mean())


def shares(labels):
    return np.bincount(labels, minlength=len(CLASSES)) / len(labels)
