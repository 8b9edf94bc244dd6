"""The suite for a loader of backbones: what it loads makes features, learns, and is there again after it was saved."""

import contextlib
import copy
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hubtl import plugins
from hubtl.backbones import check_backbone, made_by, rebuilds
from hubtl.backbones.base import Backbone, BackboneRequest, ImageInput
from hubtl.backbones.loader import ready
from hubtl.errors import HubtlError
from hubtl.models import saved
from hubtl.models.trained import opened
from hubtl.modules import Classifier, Encoder
from hubtl.plugins import modalities
from hubtl.plugins.modalities import USUAL
from hubtl.testing.kinds.suite import Suite, declared, documented

NAMES = ("a", "b", "c")
ROWS, CLOSE = 3, 1e-3


def _registered(load: Any) -> str | None:
    """Return the name under which a loader is registered; None where it is not."""
    for name, entry in plugins.entries("backbones").items():
        with contextlib.suppress(HubtlError):  # of another package that does not load
            if entry.load() is load:
                return name
    return None


class LoaderSuite(Suite):
    """The suite for one loader of models of one modality.

    Args:
        load: the loader.
        model: what follows the loader's name and a colon in ``--model``.
        pretrained: load weights; without, they are drawn.
        image_size: side of the images; by default the model's own.
        **options: those of the loader.
    """

    kind = "backbones"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": "write a docstring for the function, and Field(…, description=…) for each option",
        "loads": "return a hubtl.Backbone whose info says its width, input and modalities; draw weights from torch's own seed",
        "represents": "forward(inputs) returns Features(pooled [b, width]); in eval mode a row does not depend on its batch",
        "divides": "blocks() lists every parameter once, in pairs (name, parameters) from input to output",
        "learns": "use every parameter in the forward, without torch.no_grad() and detach()",
        "adapts": "lora_targets() gives names of linear layers or convolutions, as named_modules() has them",
        "saves": "save(folder, classifier, names, meta) writes backbone and classifier, and the loader's rebuild opens them; or "
        "the format of timm or transformers. See docs/plugins.md, A backbone",
    }

    def __init__(
        self,
        load: Any,
        model: str = "",
        *,
        pretrained: bool = False,
        image_size: int | None = None,
        **options: Any,
    ) -> None:
        self.load, self.model = load, model
        self.request = BackboneRequest(NAMES, pretrained=pretrained, image_size=image_size, options=options)

    def _fresh(self) -> Backbone:
        torch.manual_seed(0)
        found: Backbone = ready(self.load).load(self.model, self.request)
        return found

    @cached_property
    def backbone(self) -> Backbone:
        found = self._fresh()
        check_backbone(found, self.load)
        if found.loader is None and (name := _registered(self.load)) is not None and rebuilds(ready(self.load)):
            found.loader = made_by(name)  # as a run has it
        return found.eval()

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs of some rows, of noise."""
        info = self.backbone.info
        if isinstance(spec := info.input, ImageInput):
            shape = (ROWS, spec.channels, spec.size, spec.size)
            return {USUAL: torch.randn(*shape, generator=torch.Generator().manual_seed(1))}
        names = ", ".join(info.modalities)
        assert len(info.modalities) == 1, f"this suite is for models of one modality, and this one takes {names}"
        modality = modalities.of(names, shown=info.name)
        cells = list(modality.samples(spec, np.random.default_rng(1)))[:ROWS]
        if len(cells) < ROWS:
            raise HubtlError(
                f"the modality {names} has {len(cells)} samples, and {ROWS} are needed", hint="Modality.samples"
            )
        return dict(modality.intake(self.backbone).batch([{names: cell} for cell in cells]))

    def documents(self) -> None:
        """The loader has a docstring, and every option is described. Each option's default is within its bounds."""
        declared(self.kind, self.load)
        documented(self.load)

    def loads(self) -> None:
        """It loads a backbone of what it declares. Equal seeds give equal weights."""
        takes, declares = self.backbone.info.modalities, tuple(ready(self.load).modalities)
        assert takes == declares, f"modalities of the loader are {declares}, and its backbone takes {takes}"
        size, asked = getattr(self.backbone.info.input, "size", None), self.request.image_size
        assert asked in (None, size), f"{asked} pixels asked for, {size} given"
        ours, theirs = self.backbone.state_dict(), self._fresh().state_dict()
        odd = [name for name in ours if not torch.equal(ours[name], theirs[name])]
        assert not odd, f"with the same seed other weights: {', '.join(odd[:5])}"

    def represents(self) -> None:
        """In eval mode it makes finite features [b, width]. Each row's are its own."""
        rows = [{key: tensor[row : row + 1] for key, tensor in self.inputs.items()} for row in range(ROWS)]
        with torch.no_grad():
            whole = Encoder(self.backbone)(self.inputs).pooled
            alone = torch.cat([self.backbone(row).pooled for row in rows])
        assert bool(whole.isfinite().all()), "features that are not finite"
        gap = float((whole - alone).abs().max())
        assert gap < CLOSE * max(1.0, float(whole.abs().max())), (
            f"a row's features depend on its batch, by up to {gap:.3g}"
        )
        assert float(whole.std(dim=0).max()) > 0, "every row has the same features"

    def divides(self) -> None:
        """Its blocks hold every parameter once, and have names of their own."""
        blocks = self.backbone.blocks()
        names = [name for name, _ in blocks]
        assert len(set(names)) == len(names), f"two blocks of the same name: {', '.join(names)}"
        listed = [p for _, parameters in blocks for p in parameters]
        assert len(set(listed)) == len(listed), "a parameter is in two blocks"
        known = dict(self.backbone.named_parameters())
        lost = [name for name, p in known.items() if p not in set(listed)]
        assert not lost, f"in no block: {', '.join(lost[:5])}"
        assert set(listed) <= set(known.values()), "a block holds a parameter that is not the backbone's"

    def learns(self) -> None:
        """A gradient reaches every block; a copy learns by itself."""
        other = copy.deepcopy(self.backbone).train()
        assert not set(other.parameters()) & set(self.backbone.parameters()), (
            "a copy shares parameters with the original"
        )
        other.requires_grad_(True)
        features = other(self.inputs).pooled
        (features * torch.randn(features.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        idle = [name for name, ps in other.blocks() if not any(p.grad is not None and bool(p.grad.any()) for p in ps)]
        assert not idle, f"no gradient reaches {', '.join(idle)}"

    def adapts(self) -> None:
        """The layers that LoRA adapts are there."""
        layers = dict(self.backbone.named_modules())
        odd = [
            name
            for name in self.backbone.lora_targets()
            if not isinstance(layers.get(name), nn.Linear | nn.Conv1d | nn.Conv2d)
        ]
        assert not odd, f"lora_targets names no linear layer or convolution: {', '.join(odd[:5])}"

    def saves(self) -> None:
        """Saved with a classifier and loaded again, it answers as before. Saving leaves it as it was."""
        torch.manual_seed(3)
        head = nn.Linear(self.backbone.info.width, len(NAMES))
        before = {name: value.clone() for name, value in self.backbone.state_dict().items()}
        with torch.no_grad():
            wanted = Classifier(Encoder(self.backbone), head).eval()(self.inputs)
        with tempfile.TemporaryDirectory() as folder:
            saved.save(Path(folder), self.backbone, head, NAMES, {"task": "classification", "strategy": "finetune"})
            changed = [n for n, value in self.backbone.state_dict().items() if not torch.equal(value, before[n])]
            assert not changed, f"save() changes the model: {', '.join(changed[:5])}"
            try:
                again = opened(Path(folder))
            except HubtlError as error:
                raise AssertionError(
                    f"what save() wrote cannot be loaded: {error}".replace(folder, "FOLDER")
                ) from error
            assert again.outputs.names == list(NAMES), f"the outputs are called {again.outputs.names}"
            spec = again.backbone.info.input.as_dict()
            assert spec == self.backbone.info.input.as_dict(), "it wants other inputs after it was loaded"
            with torch.no_grad():
                found = Classifier(Encoder(again.backbone), again.head).eval()(self.inputs)
        gap = float((found - wanted).abs().max())
        assert gap < CLOSE * max(1.0, float(wanted.abs().max())), f"loaded again, its outputs differ by up to {gap:.3g}"
