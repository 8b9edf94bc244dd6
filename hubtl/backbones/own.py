"""Read hubtl's own format, for architectures of neither timm nor transformers.

It is ``config.json`` and safetensors.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hubtl.backbones.base import Backbone, BackboneRequest, ImageInput
from hubtl.backbones.saved import read_config
from hubtl.backbones.weights import AGAIN, check_pointer, load_into
from hubtl.errors import HubtlError
from hubtl.record import Outputs


def rebuilt(
    folder: Path, outputs: Outputs, request: BackboneRequest | None, make: Callable[[BackboneRequest], Backbone]
) -> tuple[Backbone, nn.Linear]:
    """Return the backbone of a folder and its classifier; ``make`` builds the architecture with random weights.

    ``request`` is as in ``Loader.rebuild``: for images of another size, and without weights, where it says so. Raises
    HubtlError for weights that are not there or do not fit the architecture at that size.
    """
    config = read_config(folder)
    spec = image_input(config["input"], folder) if "input" in config else None
    if request is not None and not request.pretrained:
        backbone = make(request)
        return backbone, nn.Linear(backbone.info.width, len(request.names))
    size = (request.image_size if request else None) or (spec.size if spec else None)
    options = config.get("options")
    built_with = options if isinstance(options, dict) else {}
    backbone = make(BackboneRequest(outputs.names, pretrained=False, image_size=size, options=built_with))
    network: Any = getattr(backbone, "model", backbone)
    tensors = read_tensors(folder)
    head = linear_of(tensors, str(backbone.classifier_name), folder, biased=True)
    own = {k: v for k, v in tensors.items() if k.rpartition(".")[0] != backbone.classifier_name}
    resized = spec is not None and spec.size != size
    hint = f"--image-size {spec.size}" if spec and resized else "save the model again"
    load_into(network, own, str(folder), model=f"{config['architecture']} at {size} pixels", hint=hint)
    if head.in_features != backbone.info.width:
        raise HubtlError(
            f"the classifier in {folder} takes {head.in_features} features, and the model makes {backbone.info.width}",
            hint="save the model again",
        )
    if spec:
        backbone.info = dataclasses.replace(
            backbone.info, input=dataclasses.replace(spec, size=backbone.info.input.size)
        )
    backbone.info = dataclasses.replace(backbone.info, pretrained=True)
    return backbone, head


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a folder.

    Raises:
        HubtlError: where there are none, or not in safetensors.
    """
    path = folder / "model.safetensors"
    try:
        check_pointer(path)
        weights: dict[str, Tensor] = load_file(path)
        return weights
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise HubtlError(f"{path} cannot be read: {error.strerror or error}", hint="mend it") from error
        raise HubtlError(
            f"{folder} holds no model.safetensors: weights in other formats are not read",
            hint="save it again with safetensors, in one file",
        ) from error
    except SafetensorError as error:
        raise HubtlError(f"{path} is damaged: {error}", hint="save or download the model again") from error


def linear_of(tensors: Mapping[str, Tensor], name: str, folder: Path, *, biased: bool = False) -> nn.Linear:
    """Return the linear layer of a name among a model's weights.

    Some architectures have a classifier without a bias; ``biased`` requires one.

    Raises:
        HubtlError: where there is none that is complete.
    """
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if weight is None or weight.ndim != 2 or 0 in weight.shape:
        raise HubtlError(f"the weights in {folder} have no classifier {name}", hint="save the model again")
    if biased and bias is None:
        raise HubtlError(f"the weights in {folder} lack {name}.bias", hint="save the model again")
    if not weight.is_floating_point():
        raise HubtlError(f"the weights in {folder} have integers in {name}: quantised ones are not read", hint=AGAIN)
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    nn.init.zeros_(layer.bias)
    bias = layer.bias.detach() if bias is None else bias
    load_into(layer, {"weight": weight.float(), "bias": bias.float()}, f"the classifier {name} in {folder}")
    return layer


def image_input(values: Any, where: Path) -> ImageInput:
    """Parse the result of ``ImageInput.as_dict``.

    Raises:
        HubtlError: for anything else.
    """
    try:
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if lacking := [key for key in ("size", "channels", "mean", "std") if key not in plain]:
            raise TypeError(f"it lacks {', '.join(lacking)}")
        return ImageInput(**plain)
    except (AttributeError, TypeError, HubtlError) as error:
        raise HubtlError(f"{where}: its input cannot be used: {error}", hint="save or pull the model again") from error
