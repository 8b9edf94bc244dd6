"""torchvision's classifiers (``torchvision:alexnet``): the only place that imports torchvision."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.surgery import last_linear, linear_names, replace, with_classifier
from hubtl.batch import Features, Inputs
from hubtl.errors import unknown


class TorchvisionBackbone(Backbone):
    """A torchvision classifier without its last linear layer."""

    native = False  # neither timm nor transformers builds its architectures

    def __init__(self, model: nn.Module, info: BackboneInfo, classifier: str) -> None:
        super().__init__()
        self.model = model
        self.info = info
        self._classifier = classifier

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        seen = self.model(inputs["image"])
        return Features(seen if isinstance(seen, Tensor) else seen[0])  # Inception and GoogLeNet add auxiliary logits

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        blocks = []
        for name, child in self.model.named_children():
            layers = child.named_children() if isinstance(child, nn.Sequential) else [("", child)]
            for leaf, layer in layers:
                if parameters := list(layer.parameters()):
                    blocks.append((f"{name}.{leaf}".rstrip("."), parameters))
        return blocks

    def lora_targets(self) -> list[str]:
        linear = linear_names(self.model)
        if linear:
            return [f"model.{name}" for name in linear]
        return [f"model.{n}" for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]

    def save(self, folder: Path, classifier: nn.Linear, classes: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = with_classifier(self.model, self._classifier, classifier)
        config = {
            "architecture": f"torchvision:{self.info.architecture}",
            "num_classes": len(classes),
            "label_names": list(classes),
            "hubtl": dict(meta),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
        save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, folder / "model.safetensors")

    def snippet(self, where: str) -> str:
        return (
            "import hubtl\n\n"
            f'model = hubtl.load("{where}")\nlogits = model.logits([image])\nlabel = model.predict([image])[0].label\n'
        )


def load(name: str, request: BackboneRequest) -> TorchvisionBackbone:
    """Load by torchvision's name of a classifier. Raises HubtlError for unknown ones and for weights out of reach."""
    ensure_torchvision()
    from torchvision import models

    known = [n for n in models.list_models() if "." not in n and "/" not in n]
    classifiers = [n for n in known if models.get_model_builder(n).__module__.count(".") == 2]
    if name not in classifiers:
        error = unknown("torchvision model", name, classifiers)
        error.hint = f"torchvision:{error.hint}"
        raise error
    weights = models.get_model_weights(name).DEFAULT if request.pretrained else None  # type: ignore[attr-defined]
    options: dict[str, Any] = {"init_weights": True} if name in ("inception_v3", "googlenet") and not weights else {}
    try:
        model = models.get_model(name, weights=weights, **options)
    except Exception as error:
        raise out_of_reach(f"torchvision:{name}", error) from error
    if hasattr(model, "aux_logits"):
        model.aux_logits = False
        for leaf in ("AuxLogits", "aux1", "aux2"):
            if hasattr(model, leaf):
                setattr(model, leaf, None)
    classifier = last_linear(model, 1000)
    layer = replace(model, classifier, nn.Identity())
    assert isinstance(layer, nn.Linear)
    info = BackboneInfo(
        name=f"torchvision:{name}",
        library="torchvision",
        architecture=name,
        width=layer.in_features,
        input=_input(name, weights, request.image_size),
        pretrained=request.pretrained,
        weights=str(weights) if weights else None,
    )
    return TorchvisionBackbone(model.float(), info, classifier)


def _input(name: str, weights: Any, size: int | None) -> ImageInput:
    """What the weights' own transforms say; from scratch, ImageNet's usual ones."""
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
