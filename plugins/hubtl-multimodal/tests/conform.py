"""hubtl's conformance suite on a backbone of two modalities. Both are made of the suite's own vectors."""

from types import SimpleNamespace

import torch
from hubtl_multimodal.fusion import Fusion
from torch import nn

from hubtl.batch import Features
from hubtl.modules import Encoder
from hubtl.tasks.classification import Classification
from hubtl.testing.suite import Conformance
from hubtl.testing.toy import ToyWorld

SEEN = {"left": [0, 1, 2, 3, 4], "right": [0, 1, 5, 6, 7]}  # of the eight numbers of a row


class Halves(nn.Module):
    """Two modalities of one token each."""

    def __init__(self, kind="bottleneck"):
        super().__init__()
        self.modalities = tuple(SEEN)
        self.encoders = nn.ModuleDict({n: nn.Sequential(nn.Linear(5, 8), nn.ReLU()) for n in SEEN})
        widths = dict.fromkeys(SEEN, 8)
        self.fusion = Fusion(widths, kind=kind, width=8, layers=1, heads=2, bottlenecks=2, latents=2, dropout=0.0)
        self.info = SimpleNamespace(width=self.fusion.joint_width, pretrained=False)

    def forward(self, inputs, present=None):
        x = inputs["image"]
        every = x.new_ones(len(x), 1, dtype=torch.bool)
        out = self.fusion({n: (self.encoders[n](x[:, None, at]), every) for n, at in SEEN.items()}, present or {})
        parts = dict(out.parts) | ({} if out.fused is None else {"fused": out.fused})
        for n in SEEN:
            own = {"local": out.local, "weights": out.weights, "mask": out.masks, "tokens": out.tokens}
            parts |= {f"{n}.{key}": value[n] for key, value in own.items()} | {f"{n}.present": out.present[n]}
        return Features(self.fusion.joint(out), tokens=torch.cat(list(out.tokens.values()), 1), parts=parts)

    def blocks(self):
        return [("encoders", list(self.encoders.parameters())), ("fusion", list(self.fusion.parameters()))]


class World(ToyWorld):
    """The suite's two domains, seen by a strategy on ``Halves``."""

    def strategy(self, *, plain=False):
        # of weights at which an untrained critic's say on features outweighs that on predictions, which CDAN detaches
        torch.manual_seed(1)
        encoder = Encoder(Halves())
        task = Classification(["a", "b"])
        made = self.cls(encoder, task.head(encoder.width), task, self.cls.Options(**self.options))
        made.setting = self.setting
        return made


def check(cls, told, **options):
    """The suite; ``told``: options under which critics can tell the domains, and what they say weighs enough to be seen."""
    suite = Conformance(cls, **options)
    suite.world = World(cls, **options)
    suite.documents()
    suite.learns()
    suite.blind()
    suite.resumes()
    apart = Conformance(cls, **options | told)
    apart.world = World(cls, **options | told)
    apart.adversaries()
