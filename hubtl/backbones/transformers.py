"""Load transformers' image classifiers; only this module imports transformers."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hubtl._compat import ensure_torchvision
from hubtl.backbones import processors
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.images import ImageBackbone
from hubtl.backbones.loader import loader
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.surgery import (
    convolution_names,
    last_linear,
    linear_names,
    take_out,
    weights_of,
    with_classifier,
)
from hubtl.backbones.weights import cached, check_report, check_source, named
from hubtl.errors import HubtlError
from hubtl.plugins import modalities
from hubtl.plugins.modalities import USUAL

NAMES = ("id2label", "label2id")  # of the outputs, in a configuration
POOLER = r"(^|\.)pooler\."  # of the trunk: left out while some models are pretrained


class TransformersBackbone(ImageBackbone):
    """Wrap an ``AutoModelForImageClassification`` without its last linear layer. ``origin`` loads the same weights again."""

    classifier_name: str

    def __init__(
        self, model: Any, info: BackboneInfo, classifier: str, prepared: processors.Preparation, origin: str | None
    ) -> None:
        super().__init__()
        self.model = model
        self.info = info
        self.classifier_name = classifier
        self._origin = origin
        self._processor = prepared.processor
        self._blue_first = prepared.blue_first

    def see(self, images: Tensor) -> Tensor:
        found: Tensor = self.model(pixel_values=images.flip(1) if self._blue_first else images).logits
        return found

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
        return [f"model.{name}" for name in attention or names or convolution_names(self.model)]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole: Any = with_classifier(self.model, self.classifier_name, classifier)
        name_outputs(whole.config, names)
        if problem_type := meta.get("problem_type"):
            whole.config.problem_type = problem_type
        whole.config.hubtl = {key: value for key, value in meta.items() if key != "problem_type"}
        whole.save_pretrained(folder)
        self.save_preparation(folder)

    def save_preparation(self, folder: Path) -> None:
        processors.write(self._processor, folder)

    def snippet(self, where: str) -> str:
        source, mode = json.dumps(where), "L" if self.info.input.channels == 1 else "RGB"
        return (
            "from transformers import AutoImageProcessor, AutoModelForImageClassification\n\n"
            f"processor = AutoImageProcessor.from_pretrained({source})\n"
            f"model = AutoModelForImageClassification.from_pretrained({source}).eval()\n"
            f'inputs = processor(image.convert("{mode}"), return_tensors="pt")\n'
            "logits = model(**inputs).logits\n"
            "names = model.config.id2label\n"
        )

    def adapter_snippet(self, where: str, names: Sequence[str]) -> str | None:
        if self._origin is None:
            return None
        mode = "L" if self.info.input.channels == 1 else "RGB"
        return (
            "from peft import PeftModel\n"
            "from transformers import AutoImageProcessor, AutoModelForImageClassification\n\n"
            "model = AutoModelForImageClassification.from_pretrained(\n"
            f"    {self._origin}, num_labels={len(names)}, ignore_mismatched_sizes=True\n)\n"
            f"model = PeftModel.from_pretrained(model, {json.dumps(where)}).eval()\n"
            f"processor = AutoImageProcessor.from_pretrained({json.dumps(where)})\n"
            f'logits = model(**processor(image.convert("{mode}"), return_tensors="pt")).logits\n'
        )


def name_outputs(config: Any, names: Sequence[str]) -> None:
    """Write the names of the outputs into a configuration, in their order."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}


def outputs_of(config: Any) -> list[str]:
    """Return the names of the outputs in a configuration, in their order."""
    return [config.id2label[number] for number in sorted(config.id2label)]


def modality_of(model_type: str) -> str | None:
    """Return the modality of a model type that has a classifier; None: for none that is registered."""
    ensure_torchvision()
    from transformers.models.auto import modeling_auto

    for one in modalities.every():
        if model_type in one.model_types or (one.auto and model_type in getattr(modeling_auto, one.auto[1], {})):
            return str(one.name)
    return None


def create(source: str, shown: str, request: BackboneRequest, *, revision: str | None) -> Backbone:
    """Build from a Hub id or a folder; code from the Hub is never run.

    A classifier of texts or recordings is built by the loader that a package registers under ``transformers``.

    Raises:
        HubtlError: where there is none, for missing weights, and for models that do not classify.
    """
    ensure_torchvision()
    from transformers import AutoConfig, PretrainedConfig

    try:
        told = PretrainedConfig.get_config_dict(source, revision=revision)[0].get("model_type")
        for one in modalities.every():
            if told in one.model_types:
                one.register()
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except Exception as error:
        raise _refused(source, revision, shown, error) from error
    modality = modality_of(config.model_type)
    if modality not in (USUAL, None):
        modalities.of(str(modality), shown=shown)
        built: Backbone = loader("transformers").create(modality, source, shown, request, revision=revision)
        return built
    return _classifier_of_images(source, shown, request, revision, config)


def _refused(source: str, revision: str | None, shown: str, error: Exception, kind: str = "") -> HubtlError:
    """Return the error for a model that does not load."""
    if "Unrecognized configuration class" in str(error):
        return HubtlError(f"{shown} is a {kind} model, which does not classify images", hint="choose another --model")
    if "trust_remote_code" in str(error):
        return HubtlError(
            f"{shown} needs its own code to run, and hubtl runs none from the Hub", hint="choose another model"
        )
    try:
        check_source(source, revision)
    except HubtlError as damage:
        return damage
    return out_of_reach(shown, error)


def _classifier_of_images(
    source: str, shown: str, request: BackboneRequest, revision: str | None, config: Any
) -> TransformersBackbone:
    from transformers import AutoModelForImageClassification

    names = list(request.names)
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        if request.keep_classifier and request.pretrained:
            names = outputs_of(config)
        name_outputs(config, names)
        fresh: set[str] = set()
        if request.pretrained:
            model, loaded = AutoModelForImageClassification.from_pretrained(
                source,
                config=config,
                ignore_mismatched_sizes=True,
                dtype="float32",
                output_loading_info=True,
                **options,
            )
            fresh = set(check_report(shown, model, loaded, fresh=POOLER))
        else:
            if request.image_size is not None:
                _set_size(config, request.image_size)
            model = AutoModelForImageClassification.from_config(config)
        processor = _processor(source, config, options)
    except HubtlError:
        raise
    except Exception as error:
        raise _refused(source, revision, shown, error, config.model_type) from error
    prepared = processors.prepare(processor, config, request.image_size)
    spec = prepared.spec
    origin: str | None = json.dumps(source) + (f', revision="{revision}"' if revision else "")
    if request.pretrained and request.image_size is not None and not _takes(model, spec):
        model, origin = _at_size(model, request.image_size), None
    classifier = last_linear(model, len(names))
    layer = take_out(model, classifier, spec, lambda images: model(pixel_values=images).logits)
    info = BackboneInfo(
        name=shown,
        library="transformers",
        architecture=config.model_type,
        width=layer.in_features,
        input=spec,
        pretrained=request.pretrained,
        notes=(*([prepared.note] if prepared.note else []), *_drawn(fresh, classifier)),
    )
    origin = origin if request.pretrained else None
    built = TransformersBackbone(model.float(), info, classifier, prepared, origin)
    built.drawn = frozenset(fresh)
    if request.keep_classifier and request.pretrained and f"{classifier}.weight" not in fresh:
        built.kept = weights_of(layer)
    return built


def _drawn(fresh: set[str], classifier: str) -> list[str]:
    """Return a note on layers before the classifier that the weights lack."""
    layers = sorted({name.rpartition(".")[0] for name in fresh} - {classifier})
    return [f"{named(layers)}: without pretrained weights, from random ones"] if layers else []


def _processor(source: str, config: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoImageProcessor, ViTImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(source, backend="pil", **options)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        # for one that says how it wants its images, what others want would be a guess
        if written := prepares(source, options["revision"]):
            first = " ".join(str(error).split())[:120]
            raise HubtlError(f"{written} cannot be used: {first}", hint="download or save the model again") from error
        size = processors.own_size(config) or 224
        return ViTImageProcessor(size={"height": size, "width": size})


def prepares(source: str, revision: str | None) -> Path | None:
    """Return the file on a model's image preparation, if it has one."""
    folder = Path(source) if Path(source).is_dir() else cached(source, revision)
    names = ("preprocessor_config.json", "processor_config.json")
    return next((folder / name for name in names if (folder / name).is_file()), None) if folder is not None else None


def _set_size(config: Any, size: int) -> None:
    if processors.own_size(config) is not None:
        processors.vision_of(config).image_size = size


@torch.no_grad()
def _takes(model: Any, spec: ImageInput) -> bool:
    try:
        model.eval()(pixel_values=torch.zeros(1, spec.channels, spec.size, spec.size))
    except (RuntimeError, ValueError):
        return False
    return True


@torch.no_grad()
def _at_size(model: Any, size: int) -> Any:
    """Return the model for another image size, its learned positions resampled.

    The export then takes that size without further arguments. A model that cannot resample is returned unchanged.
    """
    config = copy.deepcopy(model.config)
    _set_size(config, size)
    other = type(model)(config)
    tensors = dict(model.state_dict())
    for name, wanted in other.state_dict().items():
        if tensors[name].shape == wanted.shape:
            continue
        path = name.split(".")
        owners = (model.get_submodule(".".join(path[:end])) for end in range(len(path) - 1, 0, -1))
        resample = next((o.interpolate_pos_encoding for o in owners if hasattr(o, "interpolate_pos_encoding")), None)
        if resample is None:
            return model
        tokens = torch.zeros(1, wanted.shape[-2], wanted.shape[-1])
        tensors[name] = resample(tokens, size, size).view(wanted.shape)
    other.load_state_dict(tensors)
    return other


def _repeated(module: nn.Module) -> list[nn.Module]:
    """Return a trunk's child as its repeated layers. It has to have a list of them."""
    for child in module.modules():
        if isinstance(child, nn.ModuleList) and len(child) > 1:
            inside = {p for layer in child for p in layer.parameters()}
            if len(inside) >= 0.9 * len(list(module.parameters())):
                return list(child)
    return [module]
