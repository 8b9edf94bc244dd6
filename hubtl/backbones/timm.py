"""Load timm's image models; only this module imports timm's models."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hubtl import plugins
from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.images import ImageBackbone
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.saved import as_timm
from hubtl.backbones.surgery import convolution_names, linear_names, take_out, weights_of, with_classifier
from hubtl.backbones.weights import HARMLESS, check_fit, check_source, matter
from hubtl.errors import HubtlError, nearest
from hubtl.hub.network import mind_the_network
from hubtl.io import jsontext, plain
from hubtl.settings import cache_dir

ensure_torchvision()
import timm as timm  # noqa: E402  (others import it from here, after ensure_torchvision)
from timm.data import resolve_model_data_config  # noqa: E402
from timm.models import _builder, group_parameters, save_for_hf  # noqa: E402

# What timm's registry says of the weights that an architecture is known for: these are others.
ORIGIN = ("tag", "origin_url", "paper_ids", "url", "hf_hub_id", "hf_hub_filename")


class TimmBackbone(ImageBackbone):
    """Wrap a timm classifier without its last linear layer. ``source`` is what timm calls the weights."""

    classifier_name: str

    def __init__(self, model: nn.Module, info: BackboneInfo, classifier: str, source: str) -> None:
        super().__init__()
        self.model = model
        self.info = info
        self.classifier_name = classifier
        self._source = source

    def see(self, images: Tensor) -> Tensor:
        found: Tensor = self.model(images)
        return found

    def maps(self, images: Tensor) -> list[Tensor]:
        if not hasattr(self.model, "forward_intermediates"):
            return super().maps(images)
        model: Any = self.model
        found: list[Tensor] = list(model.forward_intermediates(images, intermediates_only=True, output_fmt="NCHW"))
        return sorted(found[-4:] if len({m.shape[-1] for m in found}) == 1 else found, key=lambda m: -m.shape[-1])

    def described(self) -> dict[str, Any]:
        given: Any = self.model.pretrained_cfg or {}
        return {
            "library": "timm",
            "architecture": str(given.get("architecture") or self.info.architecture),
            "model_args": {**_recorded(self.model), **self._arguments()},
        }

    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        names = group_parameters(self.model, self.model.group_matcher(coarse=True), reverse=True)  # type: ignore[operator]
        parameters = dict(self.model.named_parameters())
        ordered: dict[int, list[nn.Parameter]] = {}
        for name, parameter in parameters.items():
            ordered.setdefault(names[name], []).append(parameter)
        return [(f"block{i}", ordered[key]) for i, key in enumerate(sorted(ordered))]

    def lora_targets(self) -> list[str]:
        attention = re.compile(r"\.(qkv|q_proj|k_proj|v_proj|q|kv|proj|fc1|fc2)$")
        linear = [name for name in linear_names(self.model) if attention.search(f".{name}")]
        return [f"model.{name}" for name in linear or convolution_names(self.model)]

    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        whole = with_classifier(self.model, self.classifier_name, classifier)
        whole.num_classes = len(names)  # type: ignore[assignment]
        spec = self.info.input
        data = data_config(spec)
        arguments = self._arguments()
        config = {
            **as_timm(names),
            "hubtl": dict(meta),
            "model_args": arguments,
        }
        save_for_hf(whole, folder, model_config=config, safe_serialization=True, data_config=data)
        path = folder / "config.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        # transformers passes num_classes too, and fails on meeting it twice
        written.get("model_args", {}).pop("num_classes", None)
        for key in ORIGIN if self.info.pretrained else (*ORIGIN, "license"):
            written["pretrained_cfg"].pop(key, None)
        jsontext.save(path, written)

    def snippet(self, where: str) -> str:
        source = f"local-dir:{where}" if Path(where).is_dir() or where == "." else f"hf-hub:{where}"
        return (
            "import timm\n\n"
            f"model = timm.create_model({json.dumps(source)}, pretrained=True).eval()\n"
            "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))\n"
            f'logits = model(transform(image.convert("{self._mode()}")).unsqueeze(0))\n'
            'names = model.pretrained_cfg["label_names"]\n'
        )

    def adapter_snippet(self, where: str, names: Sequence[str]) -> str | None:
        if not self.info.pretrained:
            return None
        source = self._source if ":" in self._source else self.info.weights or self._source
        if source.startswith("local-dir:") and "/" in self.info.name:  # a copy of what is on the Hub
            source = f"hf-hub:{self.info.base_model}@{self.info.revision}"
        given = {"num_classes": len(names), **self._arguments()}
        arguments = "".join(f", {key}={value}" for key, value in given.items())
        shown = "".join(f"    {key}={value!r},\n" for key, value in data_config(self.info.input).items())
        return (
            "import timm\nfrom peft import PeftModel\n\n"
            f"model = timm.create_model({json.dumps(source)}, pretrained=True{arguments})\n"
            f"model = PeftModel.from_pretrained(model, {json.dumps(where)}).eval()\n"
            f"transform = timm.data.create_transform(\n{shown})\n"
            f'logits = model(transform(image.convert("{self._mode()}")).unsqueeze(0))\n'
        )

    def _mode(self) -> str:
        return "L" if self.info.input.channels == 1 else "RGB"

    def _arguments(self) -> dict[str, Any]:
        """Return timm's arguments of the model beside its name."""
        return {"img_size": self.info.input.size} if _takes_size(self.model) else {}


def data_config(spec: ImageInput) -> dict[str, Any]:
    """Return the model's image input as timm's configuration."""
    return {
        "input_size": (spec.channels, spec.size, spec.size),
        "interpolation": spec.interpolation,
        "mean": spec.mean,
        "std": spec.std,
        "crop_pct": spec.crop_pct,
        "crop_mode": spec.crop_mode,
    }


def _recorded(model: Any) -> dict[str, Any]:
    """Return the arguments that timm built a model with; none before 1.0.31."""
    try:
        from timm.models._input import get_model_args  # since 1.0.31: what save_for_hf writes
    except ImportError:
        return {}
    given = dict(get_model_args(model, {}))
    return {key: value for key, value in given.items() if key not in ("num_classes", "in_chans")}


def described_by(described: Mapping[str, Any], spec: ImageInput) -> TimmBackbone:
    """Build the network of ``TimmBackbone.described`` with random weights, for an image input."""
    arguments = dict(described.get("model_args") or {})
    name = str(described.get("architecture"))
    if "img_size" in arguments:
        arguments["img_size"] = spec.size
    try:
        model = timm.create_model(name, pretrained=False, in_chans=spec.channels, num_classes=1, **arguments)
    except Exception as error:
        raise refused(name, name, error) from error
    classifier = _classifier(model)
    layer = take_out(model, classifier, spec, model)
    info = BackboneInfo(
        name=name, library="timm", architecture=name, width=layer.in_features, input=spec, pretrained=False
    )
    return TimmBackbone(model.float(), info, classifier, name)


def load(name: str, request: BackboneRequest) -> TimmBackbone:
    """Load a model by its timm name.

    Args:
        name: the name.
        request: the wishes for the model.

    Raises:
        HubtlError: for an unknown name and for missing weights.
    """
    if not timm.is_model(name):
        guess = nearest(name.split(".")[0], [*plugins.entries("backbones"), *model_names()])
        raise HubtlError(f"unknown model {name!r}: not a timm name, a folder or a Hub id", hint=guess or "hubtl doctor")
    return create(name, name, request)


def trained(name: str, image_size: int | None = None) -> tuple[TimmBackbone, nn.Linear, list[str] | None]:
    """Return a pretrained timm model with its classifier. Class names come with it if known.

    Raises:
        HubtlError: for an unknown name and for missing weights.
    """
    if not timm.is_model(name):
        guess = nearest(name.split(".")[0], [*plugins.entries("backbones"), *model_names()])
        raise HubtlError(f"unknown model {name!r}: not a timm name, a folder or a Hub id", hint=guess or "hubtl doctor")
    backbone, layer = _parts(name, name, BackboneRequest([], image_size=image_size), None)
    return backbone, layer, _imagenet_names(backbone.model)


def _imagenet_names(model: nn.Module) -> list[str] | None:
    """Return timm's names of the classes of ImageNet and its subsets.

    A name is the first synonym, or all where two start alike.
    """
    from timm.data import ImageNetInfo, infer_imagenet_subset

    if not (subset := infer_imagenet_subset(model)):
        return None
    info = ImageNetInfo(subset)
    full = [info.index_to_description(i) for i in range(info.num_classes())]
    short = [text.split(",")[0] for text in full]
    return [first if short.count(first) == 1 else text for first, text in zip(short, full, strict=True)]


def create(source: str, shown: str, request: BackboneRequest, *, base: str | None = None) -> TimmBackbone:
    """Build from a timm name, ``hf-hub:user/repo[@revision]`` or ``local-dir:folder``."""
    return _parts(source, shown, request, base)[0]


def _parts(source: str, shown: str, request: BackboneRequest, base: str | None) -> tuple[TimmBackbone, nn.Linear]:
    """Return the model without its classifier, and the classifier.

    Without classes in the request, it is the model's own.
    """
    if request.pretrained and ":" not in source and not timm.is_model_pretrained(source):
        tags = timm.list_pretrained(f"{source.split('.')[0]}.*")
        hint = f"{tags[0]}, or --no-pretrained" if tags else "--no-pretrained"
        raise HubtlError(f"timm has no pretrained weights {source!r}", hint=hint)
    options: dict[str, Any] = {"pretrained": request.pretrained}
    if request.names:
        options["num_classes"] = len(request.names)
    keeps = request.keep_classifier and request.pretrained
    if request.pretrained and not source.startswith("local-dir:"):
        mind_the_network()
    try:
        with whole(shown) as drawn:
            model = _build(source, {"pretrained": True} if keeps else options, request.image_size)
            if keeps and not model.num_classes:  # features alone were published
                keeps, model = False, _build(source, options, request.image_size)
    except HubtlError:
        raise
    except Exception as error:
        raise refused(source, shown, error) from error
    data = resolve_model_data_config(model)
    configuration = dict(model.pretrained_cfg or {})
    spec = ImageInput(
        size=request.image_size or int(data["input_size"][-1]),
        channels=int(data["input_size"][0]),
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        interpolation=str(data["interpolation"]),
        crop_pct=float(data["crop_pct"]) if request.image_size is None else 1.0,
        crop_mode="squash" if data.get("crop_mode") == "squash" else "center",
    )
    classifier = _classifier(model)
    layer = take_out(model, classifier, spec, model)
    hub_id = base or configuration.get("hf_hub_id") or None
    tag = configuration.get("tag")
    info = BackboneInfo(
        name=shown,
        library="timm",
        architecture=str(configuration.get("architecture") or source),
        width=layer.in_features,
        input=spec,
        pretrained=request.pretrained,
        base_model=_full_id(hub_id, configuration) if request.pretrained else None,
        revision=_commit(configuration) if request.pretrained and ":" not in source else None,
        weights=f"{configuration.get('architecture')}.{tag}" if tag and request.pretrained else None,
        license=configuration.get("license") if request.pretrained else None,
    )
    built = TimmBackbone(model.float(), info, classifier, source)
    built.kept = weights_of(layer) if keeps and not drawn else None
    built.drawn = frozenset(drawn)
    return built, layer.float()


@contextlib.contextmanager
def whole(shown: str) -> Iterator[set[str]]:
    """Check the weights of a model while it is created; yield the names that the classifier lacks.

    timm only logs missing and unexpected tensors once the number of classes differs.

    Raises:
        HubtlError: for missing or unexpected tensors outside the classifier.
    """
    drawn: set[str] = set()

    def load(model: Any, *args: Any, **kwargs: Any) -> None:
        given = model.get_classifier() if hasattr(model, "get_classifier") else None
        parts = given if isinstance(given, tuple | list) else (given,)
        heads = {name for name, module in model.named_modules() if any(module is part for part in parts)}
        said = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
        heads |= {said} if isinstance(said, str) else set(said)

        def note(_: nn.Module, keys: Any) -> None:
            lists = [[n for n in matter(names) if n.rpartition(".")[0] not in heads] for names in keys]
            check_fit(shown, *lists)
            drawn.update(matter(keys.missing_keys) if model.num_classes else ())
            for names in keys:  # counters and the like: not strict about them
                names[:] = [n for n in names if not HARMLESS.search(n)]

        handle = model.register_load_state_dict_post_hook(note)
        try:
            original(model, *args, **kwargs)
        finally:
            handle.remove()

    original, _builder.load_pretrained = _builder.load_pretrained, load
    try:
        yield drawn
    finally:
        _builder.load_pretrained = original


def refused(source: str, shown: str, error: Exception) -> HubtlError:
    """Return the error for a model of timm that does not load."""
    try:
        if ":" in source:
            check_source(source)
    except HubtlError as damage:
        return damage
    lacking = re.search(r"Missing key\(s\) in state_dict: (.*)", str(error))
    missing = re.findall(r'"([^"]+)"', lacking[1]) if lacking else []
    try:
        check_fit(shown, missing, [], re.findall(r"size mismatch for (\S+?):", str(error)))
    except HubtlError as misfit:
        return misfit
    return out_of_reach(shown, error)


def _build(source: str, options: dict[str, Any], size: int | None) -> Any:
    """Build a model; those with positions of a fixed size get the image size."""
    if size is None:
        return timm.create_model(source, **options)
    try:
        return timm.create_model(source, img_size=size, **options)
    except TypeError:
        return timm.create_model(source, **options)


def _classifier(model: Any) -> str:
    """Return the qualified name of the layer that timm calls the classifier. It is linear."""
    found = model.get_classifier()
    if not isinstance(found, nn.Linear):
        what = "several heads" if isinstance(found, tuple) else f"a {type(found).__name__} for a head"
        raise HubtlError(
            f"{type(model).__name__} has {what}, not one linear layer: its features cannot be told from its classifier",
            hint="choose another model; of a distilled one, its variant with one head",
        )
    names: Iterator[str] = (name for name, module in model.named_modules() if module is found)
    return next(names)


def _commit(configuration: Mapping[str, Any]) -> str | None:
    """Return the commit of the Hub's weights that timm loaded, or None. The cache tells it."""
    from huggingface_hub import try_to_load_from_cache

    repo = _full_id(configuration.get("hf_hub_id") or None, configuration)
    if repo is None:
        return None
    for name in (configuration.get("hf_hub_filename"), "model.safetensors", "pytorch_model.bin"):
        path = try_to_load_from_cache(repo, name) if name else None
        if isinstance(path, str):
            return Path(path).parent.name
    return None


def _takes_size(model: Any) -> bool:
    return hasattr(getattr(model, "patch_embed", None), "img_size")


def _full_id(hub_id: str | None, configuration: Mapping[str, Any]) -> str | None:
    if hub_id is None:
        return None
    if hub_id.endswith("/"):
        tag = configuration.get("tag")
        return f"{hub_id}{configuration.get('architecture')}" + (f".{tag}" if tag else "")
    return hub_id


def is_architecture(name: str) -> bool:
    """Return whether timm knows an architecture of that name."""
    return bool(timm.is_model(name))


def model_names() -> list[str]:
    """Return timm's registry, cached on disk for each version of timm. Listing takes seconds."""
    path = cache_dir() / f"timm-models-{version('timm')}.json"
    try:
        names: list[str] = plain.object_of(path)["names"]
    except (OSError, ValueError, KeyError):
        names = timm.list_models()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs the next process a second
            path.parent.mkdir(parents=True, exist_ok=True)
            jsontext.save(path, {"names": names}, indent=None)
    return names
