"""Turn timm's models into maps: [b, c, h, w] to [b, prefix + h' · w', d], for any layout."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.backbones.timm import refused, timm, whole
from hubtl.errors import HubtlError
from hubtl.hub.network import mind_the_network

# hubtl makes torchvision importable beside a torch of another build before timm meets it
from hubtl.io import jsontext
from hubtl.modalities.native.source import Source
from hubtl_multimodal.encoders.base import Grid, ModalityEncoder


def load(source: Source, pretrained: bool, *, channels: int | None, size: int | tuple[int, int] | None) -> Any:
    """Load a timm model without its classifier. It is for ``size`` pixels where positions are fixed.

    Raises:
        HubtlError: for missing weights.
    """
    if pretrained and ":" not in source.where and not timm.is_model_pretrained(source.where):
        tags = timm.list_pretrained(f"{source.where.split('.')[0]}.*")
        hint = f"{tags[0]}, or --no-pretrained" if tags else "--no-pretrained"
        raise HubtlError(f"timm has no pretrained weights {source.where!r}", hint=hint)
    if pretrained and not source.where.startswith("local-dir:"):
        mind_the_network()
    arguments: dict[str, Any] = {"pretrained": pretrained, "num_classes": 0, "in_chans": channels}
    try:
        with whole(source.shown):
            if size is not None:
                try:
                    return timm.create_model(source.where, img_size=size, **arguments).float()
                except TypeError:  # its maps take any size
                    pass
            return timm.create_model(source.where, **arguments).float()
    except HubtlError:
        raise
    except Exception as error:
        raise refused(source.where, source.shown, error) from error


class TimmEncoder(ModalityEncoder):
    """Share the code of encoders on timm's models.

    Args:
        model: without a classifier.
        stage: the stage whose map is taken; None takes the whole model's before its pooling.
    """

    def __init__(self, model: Any, stage: int | None) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        if stage is not None and not hasattr(model, "forward_intermediates"):
            raise HubtlError(f"{type(model).__name__} gives no maps of earlier stages", hint="leave out stage")

    def look(self, pictures: Tensor) -> tuple[Tensor, tuple[int, int] | None]:
        """Return tokens [b, n, d] and the map's shape, if any. Prefix tokens come first, then the rows of the map."""
        if self.stage is None:
            made = self.model.forward_features(pictures)
            if isinstance(made, tuple | list):
                made = made[0]
        else:
            made = self._intermediate(pictures)
        if made.ndim == 4:
            if self.stage is None and str(getattr(self.model, "output_fmt", "NCHW")) == "NHWC":
                made = made.permute(0, 3, 1, 2)
            return made.flatten(2).transpose(1, 2), (made.shape[2], made.shape[3])
        return made, self._grid(made.shape[1] - self.prefix)

    def _intermediate(self, pictures: Tensor) -> Tensor:
        try:
            maps: list[Tensor] = self.model.forward_intermediates(
                pictures, indices=[self.stage], stop_early=True, output_fmt="NCHW", intermediates_only=True
            )
            return maps[0]
        except AssertionError as error:
            raise HubtlError(f"stage {self.stage}: {error}", hint="a stage that there is") from error

    @property
    def prefix(self) -> int:
        """Return the number of prefix tokens. They are class and register tokens before those of the map."""
        return int(getattr(self.model, "num_prefix_tokens", 0)) if self.stage is None else 0

    def _grid(self, tokens: int) -> tuple[int, int] | None:
        grid = getattr(getattr(self.model, "patch_embed", None), "grid_size", None)
        return tuple(grid) if grid is not None and grid[0] * grid[1] == tokens else None

    @torch.no_grad()
    def lies(self, pictures: Tensor, axes: tuple[str, str]) -> Grid | None:
        """Return the layout of such pictures' tokens."""
        shape = self.look(pictures[:1])[1]
        return None if shape is None else Grid(self.prefix, *shape, axes)

    @torch.no_grad()
    def try_on(self, pictures: Tensor, hint: str) -> tuple[int, tuple[int, int] | None]:
        """Return the width of such pictures' tokens, and the map's shape.

        Raises:
            HubtlError: for an unsupported size.
        """
        training = self.training
        self.eval()
        try:
            made, grid = self.look(pictures)
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            first, shape = " ".join(str(error).split())[:160], "×".join(map(str, pictures.shape[1:]))
            raise HubtlError(f"{type(self.model).__name__} does not take {shape} inputs: {first}", hint=hint) from error
        finally:
            self.train(training)
        if made.ndim != 3:
            raise HubtlError(f"{type(self.model).__name__} makes no tokens: {tuple(made.shape)}", hint="another model")
        return made.shape[2], grid

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        named = dict(self.model.named_parameters())
        if hasattr(self.model, "group_matcher"):
            from timm.models import group_parameters

            places = group_parameters(self.model, self.model.group_matcher(coarse=True), reverse=True)
        else:
            of = {name: ".".join(name.split(".")[: 2 if f"{name}.".split(".")[1].isdigit() else 1]) for name in named}
            parts = list(dict.fromkeys(of.values()))  # in the order of their making
            places = {name: parts.index(part) for name, part in of.items()}
        ordered: dict[int, list[nn.Parameter]] = {}
        for name, parameter in named.items():
            ordered.setdefault(places[name], []).append(parameter)
        return [(f"block{i}", ordered[key]) for i, key in enumerate(sorted(ordered))]

    def write(self, folder: Path, data: dict[str, Any]) -> None:
        """Write timm's own format; ``data`` describes the preprocessing."""
        from timm.models import save_for_hf

        meta = {"base_model": self.info.base_model, "revision": self.info.revision, "stage": self.stage}
        save_for_hf(self.model, str(folder), model_config={"hubtl": meta}, safe_serialization=True, data_config=data)
        path = folder / "config.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        # transformers passes num_classes too, and fails on meeting it twice
        written.get("model_args", {}).pop("num_classes", None)
        jsontext.save(path, written)


def facts(source: Source, model: Any, pretrained: bool) -> dict[str, Any]:
    """Return timm's facts on the weights, for EncoderInfo."""
    configuration = dict(getattr(model, "pretrained_cfg", None) or {})
    architecture = str(configuration.get("architecture") or source.where)
    known: dict[str, Any] = {"architecture": architecture}
    if not pretrained:
        return known
    hub, tag = configuration.get("hf_hub_id"), configuration.get("tag")
    if hub and hub.endswith("/"):
        hub = f"{hub}{architecture}" + (f".{tag}" if tag else "")
    known |= {"base_model": hub or None, "license": configuration.get("license")}
    if hub and ":" not in source.where:
        known["revision"] = _commit(hub, configuration.get("hf_hub_filename"))
    return {**known, **source.facts}


def _commit(repo: str, file: str | None) -> str | None:
    """Return the commit of the Hub's weights that timm loaded. The cache tells it."""
    from huggingface_hub import try_to_load_from_cache

    for name in (file, "model.safetensors", "pytorch_model.bin"):
        if name and isinstance(path := try_to_load_from_cache(repo, name), str):
            return Path(path).parent.name
    return None
