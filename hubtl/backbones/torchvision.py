"""Load torchvision's classifiers (``torchvision:alexnet``); only this module imports torchvision."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from torch import Tensor, nn

from hubtl._compat import ensure_torchvision
from hubtl.backbones import own
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.images import ImageBackbone
from hubtl.backbones.loader import Loader
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.saved import read_config
from hubtl.backbones.surgery import (
    convolution_names,
    last_linear,
    linear_names,
    take_out,
    weights_of,
    with_classifier,
)
from hubtl.backbones.weights import check_file
from hubtl.backbones.writer import write
from hubtl.errors import HubtlError, unknown
from hubtl.record import Outputs


class TorchvisionBackbone(ImageBackbone):
    """Wrap a torchvision classifier without its last linear layer. Its export loads with torchvision and safetensors."""

    classifier_name: str

    def __init__(self, model: nn.Module, info: BackboneInfo, classifier: str) -> None:
        super().__init__()
        self.model = model
        self.info = info
        self.classifier_name = classifier

    def see(self, images: Tensor) -> Tensor:
        found: Tensor = self.model(images)
        return found

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        blocks = [(name, list(part.parameters())) for name, part in _parts(self.model)]
        blocks = [(name, parameters) for name, parameters in blocks if parameters]
        seen = {p for _, parameters in blocks for p in parameters}
        blocks[0][1].extend(p for p in self.model.parameters() if p not in seen)  # a class token: it enters first
        return blocks

    def lora_targets(self) -> list[str]:
        return [f"model.{name}" for name in linear_names(self.model) or convolution_names(self.model)]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = with_classifier(self.model, self.classifier_name, classifier)
        write(folder, f"torchvision:{self.info.architecture}", self.info, whole, names, meta)

    def snippet(self, where: str) -> str:
        spec = self.info.input
        scaled = int(spec.size / spec.crop_pct)
        folder = json.dumps(where) if _is_folder(where) else f"snapshot_download({json.dumps(where)})"
        download = "" if _is_folder(where) else "from huggingface_hub import snapshot_download\n"
        options = "".join(f", {k}={v}" for k, v in _options(self.info.architecture, spec.size).items())
        return (
            "import json\n\n"
            f"{download}"
            "from safetensors.torch import load_file\n"
            "from torchvision import models, transforms\n\n"
            f"folder = {folder}\n"
            'names = json.load(open(f"{folder}/config.json"))["label_names"]\n'
            f'model = models.get_model("{self.info.architecture}", num_classes=len(names){options})\n'
            'model.load_state_dict(load_file(f"{folder}/model.safetensors"))\n'
            "model.eval()\n"
            "transform = transforms.Compose(\n    [\n"
            f'        transforms.Resize({scaled}, transforms.InterpolationMode("{spec.interpolation}")),\n'
            f"        transforms.CenterCrop({spec.size}),\n"
            "        transforms.ToTensor(),\n"
            f"        transforms.Normalize({list(spec.mean)}, {list(spec.std)}),\n"
            "    ]\n)\n"
            'logits = model(transform(image.convert("RGB"))[None])\n'
        )


class TorchvisionLoader(Loader):
    """Load torchvision's classifiers by their names, ``torchvision:alexnet``."""

    def load(self, name: str, request: BackboneRequest) -> TorchvisionBackbone:
        return _loaded(name, request)

    def rebuild(
        self, folder: Path, outputs: Outputs, request: BackboneRequest | None = None
    ) -> tuple[Backbone, nn.Linear]:
        name = str(read_config(folder)["architecture"]).removeprefix("torchvision:")
        return own.rebuilt(folder, outputs, request, lambda asked: _loaded(name, asked))


load = TorchvisionLoader()


def _loaded(name: str, request: BackboneRequest) -> TorchvisionBackbone:
    """Load by torchvision's name of a classifier. Raises HubtlError for unknown ones and for weights out of reach."""
    ensure_torchvision()
    from torchvision import models

    known = [n for n in models.list_models() if "." not in n and "/" not in n]
    classifiers = [n for n in known if models.get_model_builder(n).__module__.count(".") == 2]
    if name not in classifiers:
        error = unknown("torchvision model", name, classifiers)
        error.hint = f"torchvision:{error.hint}"
        raise error
    weights = models.get_model_weights(name).DEFAULT if request.pretrained else None
    spec = _input(name, weights, request.image_size)
    try:
        model = models.get_model(name, weights=weights, **({} if weights else _options(name, spec.size)))
    except Exception as error:
        raise _refused(name, weights, error) from error
    if getattr(model, "aux_logits", False):
        model.aux_logits = False
        for leaf in ("AuxLogits", "aux1", "aux2"):
            if hasattr(model, leaf):
                setattr(model, leaf, None)
    if getattr(model, "transform_input", False):
        # the network turns ImageNet's normalisation into this one itself, which no saved weight tells
        model.transform_input = False
        spec = replace(spec, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    classifier = last_linear(model, 1000)
    layer = take_out(model, classifier, spec, model)
    info = BackboneInfo(
        name=f"torchvision:{name}",
        library="torchvision",
        architecture=name,
        width=layer.in_features,
        input=spec,
        pretrained=request.pretrained,
        weights=str(weights) if weights else None,
    )
    built = TorchvisionBackbone(model.float(), info, classifier)
    built.kept = weights_of(layer) if weights and request.keep_classifier else None
    return built


def _refused(name: str, weights: Any, error: Exception) -> HubtlError:
    """Return the error for a model that does not load: torch keeps any cached file, even a damaged one."""
    from torch import hub

    file = Path(hub.get_dir()) / "checkpoints" / Path(getattr(weights, "url", "none")).name
    if isinstance(error, HTTPError | URLError) or not file.is_file():
        return out_of_reach(f"torchvision:{name}", error)
    try:
        check_file(file)
    except HubtlError as damage:
        return HubtlError(str(damage), hint="remove the file: it is then downloaded again")
    first = " ".join(str(error).split())[:160]
    return HubtlError(
        f"{file} is no file of torchvision:{name}: {first}", hint="remove it: it is then downloaded again"
    )


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield children in order, the members of sequences one by one."""
    for name, child in model.named_children():
        inside: Any = child
        if isinstance(getattr(child, "layers", None), nn.Sequential):
            inside = child.layers
        if isinstance(inside, nn.Sequential):
            yield from ((f"{name}.{leaf}", layer) for leaf, layer in inside.named_children())
            if inside is not child:
                yield from ((f"{name}.{leaf}", m) for leaf, m in child.named_children() if m is not inside)
        else:
            yield name, child


def _options(name: str, size: int) -> dict[str, Any]:
    """Return the arguments of an architecture that is built without torchvision's weights."""
    if name in ("inception_v3", "googlenet"):
        return {"aux_logits": False, "init_weights": True}
    return {"image_size": size} if name.startswith("vit_") and size != 224 else {}


def _is_folder(where: str) -> bool:
    return where == "." or Path(where).is_dir()


def _input(name: str, weights: Any, size: int | None) -> ImageInput:
    """Return the input by the weights' own transforms; from scratch, ImageNet's usual one."""
    if weights is None:
        return ImageInput(size=size or (299 if name == "inception_v3" else 224), interpolation="bilinear")
    preset = weights.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    return ImageInput(
        size=size or crop,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=str(preset.interpolation.value),
        crop_pct=1.0 if size else crop / resize,
    )
