"""Write models in hubtl's own format, which ``hubtl.backbones.own`` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.torch import save_file
from torch import nn

from hubtl.backbones.base import BackboneInfo, ImageInput
from hubtl.backbones.saved import as_timm
from hubtl.io import jsontext


def write(
    folder: Path,
    architecture: str,
    info: BackboneInfo,
    network: nn.Module,
    names: Sequence[str],
    meta: Any,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a network with its classifier and the options that built it."""
    config = {
        "architecture": architecture,
        **({"options": dict(options)} if options else {}),
        **as_timm(names),
        **(
            {"input": info.input.as_dict()} if isinstance(info.input, ImageInput) else {}
        ),  # another's follows from options
        "hubtl": dict(meta),
    }
    jsontext.save(folder / "config.json", config)
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
