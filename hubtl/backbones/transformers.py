"""transformers' image classifiers: the only place that imports transformers."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.surgery import last_linear, linear_names, replace, with_classifier
from hubtl.batch import Features, Inputs
from hubtl.errors import HubtlError

PIL_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


class TransformersBackbone(Backbone):
    """An ``AutoModelForImageClassification`` without its last linear layer."""

    def __init__(self, model: Any, info: BackboneInfo, classifier: str, processor: Any) -> None:
        super().__init__()
        self.model = model
        self.info = info
        self._classifier = classifier
        self._processor = processor

    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features:
        options = {"interpolate_pos_encoding": True} if self._other_size() else {}
        return Features(self.model(pixel_values=inputs["image"], **options).logits)

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        trunk = getattr(self.model, self.model.base_model_prefix, self.model)
        blocks: list[tuple[str, list[nn.Parameter]]] = []
        for name, child in trunk.named_children():
            layers = _repeated(child)
            for i, layer in enumerate(layers):
                blocks.append((f"{name}.{i}" if len(layers) > 1 else name, list(layer.parameters())))
        seen = {p for _, parameters in blocks for p in parameters}
        rest = [p for p in self.model.parameters() if p not in seen]
        blocks.append(("rest", rest))
        return [(name, parameters) for name, parameters in blocks if parameters]

    def lora_targets(self) -> list[str]:
        names = linear_names(self.model)
        attention = [n for n in names if n.rsplit(".", 1)[-1] in ("query", "value", "q_proj", "v_proj", "qkv")]
        if attention or names:
            return [f"model.{name}" for name in attention or names]
        return [f"model.{n}" for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]

    def save(self, folder: Path, classifier: nn.Linear, classes: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole: Any = with_classifier(self.model, self._classifier, classifier)
        whole.config.id2label = dict(enumerate(classes))
        whole.config.label2id = {name: i for i, name in enumerate(classes)}
        whole.config.hubtl = dict(meta)
        if self._other_size():
            whole.config.hubtl_image_size = self.info.input.size
        whole.save_pretrained(folder)
        self._processor.save_pretrained(folder)

    def snippet(self, where: str) -> str:
        argument = ", interpolate_pos_encoding=True" if self._other_size() else ""
        return (
            "from transformers import AutoImageProcessor, AutoModelForImageClassification\n\n"
            f'processor = AutoImageProcessor.from_pretrained("{where}")\n'
            f'model = AutoModelForImageClassification.from_pretrained("{where}").eval()\n'
            'inputs = processor(image.convert("RGB"), return_tensors="pt")\n'
            f"logits = model(**inputs{argument}).logits\n"
            "label = model.config.id2label[logits.argmax().item()]\n"
        )

    def _other_size(self) -> bool:
        own = getattr(self.model.config, "image_size", None)
        return isinstance(own, int) and own != self.info.input.size


def create(
    source: str, shown: str, request: BackboneRequest, *, revision: str | None, **known: Any
) -> TransformersBackbone:
    """Build from a Hub id or a folder. Code from the Hub is never run.

    Raises HubtlError for weights out of reach and for models that do not classify images.
    """
    ensure_torchvision()
    from transformers import AutoConfig, AutoModelForImageClassification

    names = dict(enumerate(request.classes))
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(source, **options)
        config.id2label, config.label2id = names, {name: i for i, name in names.items()}
        if request.pretrained:
            model = AutoModelForImageClassification.from_pretrained(
                source, config=config, ignore_mismatched_sizes=True, dtype="float32", **options
            )
        else:
            model = AutoModelForImageClassification.from_config(config)
        processor = _processor(source, config, options)
    except Exception as error:
        if "Unrecognized configuration class" in str(error):
            raise HubtlError(
                f"{shown} is a {config.model_type} model, which does not classify images", hint="choose another --model"
            ) from error
        raise out_of_reach(shown, error) from error
    classifier = last_linear(model, len(names))
    layer = replace(model, classifier, nn.Identity())
    assert isinstance(layer, nn.Linear)
    spec = _input(processor, config, request.image_size)
    info = BackboneInfo(
        name=shown,
        library="transformers",
        architecture=config.model_type,
        width=layer.in_features,
        input=spec,
        pretrained=request.pretrained,
        **known,
    )
    return TransformersBackbone(model.float(), info, classifier, _with_size(processor, spec, request.image_size))


def _processor(source: str, config: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoImageProcessor, ViTImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(source, backend="pil", **options)
    except (OSError, ValueError):
        size = getattr(config, "image_size", 224)
        return ViTImageProcessor(size={"height": size, "width": size})


def _input(processor: Any, config: Any, size: int | None) -> ImageInput:
    """What the processor does, in our words: squash to a square, or shorter side and centre crop."""
    shape = processor.size
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    edge = _get(shape, "shortest_edge")
    side = _get(crop, "height") or _get(shape, "height") or edge or getattr(config, "image_size", 224)
    pct = getattr(processor, "crop_pct", None)
    if pct is None:
        pct = side / edge if edge and crop else 1.0
    return ImageInput(
        size=size or int(side),
        channels=getattr(config, "num_channels", 3),
        mean=tuple(processor.image_mean) if getattr(processor, "do_normalize", True) else (0.0,) * 3,
        std=tuple(processor.image_std) if getattr(processor, "do_normalize", True) else (1.0,) * 3,
        interpolation=PIL_FILTERS.get(int(processor.resample), "bilinear"),
        crop_pct=1.0 if size else float(pct),
        crop_mode="center" if edge else "squash",
    )


def _with_size(processor: Any, spec: ImageInput, asked: int | None) -> Any:
    if asked is None:
        return processor
    changed = copy.deepcopy(processor)
    if _get(changed.size, "shortest_edge"):
        changed.size = {"shortest_edge": asked}
        if getattr(changed, "do_center_crop", False):
            changed.crop_size = {"height": asked, "width": asked}
        if getattr(changed, "crop_pct", None) is not None:
            changed.crop_pct = 1.0
    else:
        changed.size = {"height": asked, "width": asked}
    return changed


def _get(size: Any, key: str) -> Any:
    if size is None:
        return None
    return size.get(key) if isinstance(size, dict) else getattr(size, key, None)


def _repeated(module: nn.Module) -> list[nn.Module]:
    """A trunk's child as its repeated layers, where it has a list of them."""
    for child in module.modules():
        if isinstance(child, nn.ModuleList) and len(child) > 1:
            inside = {p for layer in child for p in layer.parameters()}
            if len(inside) >= 0.9 * len(list(module.parameters())):
                return list(child)
    return [module]
