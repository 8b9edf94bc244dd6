"""Saved models: writing one, loading one (a run directory, a folder, or a Hub id), and predicting with it."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from hubtl import backbones
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.local import read_config
from hubtl.data.columns import SUFFIXES
from hubtl.data.images import UNREADABLE, decode
from hubtl.data.transforms import evaluation_view, to_bytes, to_channels
from hubtl.errors import HubtlError
from hubtl.modules import Classifier, Encoder
from hubtl.record import FORMAT_VERSION


@dataclass(frozen=True)
class Prediction:
    """What a model says of one input."""

    input: str
    label: str
    index: int
    confidence: float
    probabilities: dict[str, float]


class AdaptedModel:
    """A loaded classifier: ``predict`` takes files, folders, PIL images, arrays or a dataset."""

    def __init__(self, classifier: Classifier, info: BackboneInfo, classes: Sequence[str]) -> None:
        self.classifier = classifier.eval()
        self.info = info
        self.classes = list(classes)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.classifier.to(self.device)

    @torch.inference_mode()
    def logits(self, images: Sequence[Image.Image]) -> Tensor:
        """Logits [b, c] of PIL images, on the CPU."""
        spec = self.info.input
        views = [to_bytes(evaluation_view(to_channels(image, spec.channels), spec)) for image in images]
        pixels = torch.from_numpy(np.stack(views)).float() / 255
        mean, std = torch.tensor(spec.mean).view(-1, 1, 1), torch.tensor(spec.std).view(-1, 1, 1)
        logits: Tensor = self.classifier({"image": ((pixels - mean) / std).to(self.device)})
        return logits.float().cpu()

    def predict(self, inputs: Any, *, batch_size: int = 32, on_bad_sample: str = "error") -> list[Prediction]:
        """One prediction for each image, in order.

        ``inputs`` is an image, a path of a file or of a folder (searched for images, sorted), a ``datasets.Dataset`` with
        an image column, or a sequence of these. Raises HubtlError for an unreadable image, unless ``on_bad_sample="skip"``.
        """
        found: list[Prediction] = []
        names: list[str] = []
        images: list[Image.Image] = []

        def flush() -> None:
            if images:
                for name, row in zip(names, self.logits(images).softmax(dim=1), strict=True):
                    best = int(row.argmax())
                    probabilities = dict(zip(self.classes, row.tolist(), strict=True))
                    found.append(Prediction(name, self.classes[best], best, float(row[best]), probabilities))
            names.clear()
            images.clear()

        for name, value in each_image(inputs):
            try:
                image = value if isinstance(value, Image.Image) else decode(value)
            except UNREADABLE as error:
                if on_bad_sample == "skip":
                    continue
                raise HubtlError(f"cannot read {name}: {error}", hint="mend it, or --on-bad-sample skip") from error
            names.append(name)
            images.append(image)
            if len(images) == batch_size:
                flush()
        flush()
        return found


def each_image(inputs: Any) -> Iterable[tuple[str, Any]]:
    """Names and images (or what ``decode`` reads) of whatever ``predict`` takes."""
    if isinstance(inputs, Image.Image):
        yield "image", inputs
    elif isinstance(inputs, np.ndarray):
        yield "array", Image.fromarray(inputs)
    elif isinstance(inputs, Dataset):
        from datasets import Image as ImageFeature

        from hubtl.data.columns import image_column

        column = image_column(inputs, None, "the dataset")
        encoded = inputs.select_columns([column]).cast_column(column, ImageFeature(decode=False))
        for i, row in enumerate(encoded):
            yield f"row {i}", row[column]
    elif isinstance(inputs, str | Path):
        path = Path(inputs).expanduser()
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not files:
                raise HubtlError(f"{path} holds no images", hint="give a folder with images")
            yield from ((str(p), str(p)) for p in files)
        elif path.is_file():
            yield str(path), str(path)
        else:
            raise HubtlError(f"there is no file or folder {path}", hint="mind the path")
    else:
        for position, item in enumerate(inputs):
            for name, image in each_image(item):
                yield (f"{name} {position}" if name in ("image", "array") else name), image


def save(
    folder: Path, backbone: Backbone, classifier: nn.Linear, classes: Sequence[str], meta: Mapping[str, Any]
) -> None:
    """Write a model in its library's own format, and ``hubtl.json`` beside it. ``meta``: task, strategy, base model."""
    folder.mkdir(parents=True, exist_ok=True)
    info = backbone.info
    facts = {
        "format_version": FORMAT_VERSION,
        "library": info.library,
        "architecture": info.architecture,
        "classes": list(classes),
        "input": info.input.as_dict(),
        **meta,
        "native": type(backbone).native,
    }
    backbone.save(folder, classifier, classes, {k: v for k, v in meta.items() if v is not None})
    (folder / "hubtl.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(name: str | Path, *, revision: str | None = None) -> AdaptedModel:
    """Load a classifier: a run directory, another folder of timm's or transformers' format, or a Hub id.

    Raises HubtlError for a folder without a model, a format from the future, and a repository out of reach.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if str(name).startswith((".", "/", "~")) or "/" not in str(name):
            raise HubtlError(f"there is no folder {name}, and it is no Hub id", hint="RUN_DIR, or user/repo")
        from hubtl.hub import pull

        folder = pull(f"{name}@{revision}" if revision else str(name))
    config = read_config(folder)
    facts = read_facts(folder)
    classes = facts.get("classes") or _classes(config)
    if not classes:
        raise HubtlError(f"{folder} does not say what its classes are", hint="a classifier with label names")
    backbone, head = _whole(folder, config, classes)
    if "input" in facts:
        backbone.info = dataclasses.replace(backbone.info, input=_input(facts["input"]))
    return AdaptedModel(Classifier(Encoder(backbone), head), backbone.info, classes)


def read_facts(folder: Path) -> dict[str, Any]:
    """``hubtl.json``, or nothing. Raises HubtlError for a format from the future."""
    path = folder / "hubtl.json"
    if not path.exists():
        return {}
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if int(facts.get("format_version", 1)) > FORMAT_VERSION:
        raise HubtlError(
            f"{folder} was written by a newer hubtl (format {facts['format_version']}, this one reads {FORMAT_VERSION})",
            hint="pip install --upgrade hubtl",
        )
    return facts


def backbone_of(folder: Path, classes: Sequence[str]) -> Backbone:
    """The backbone of a folder in hubtl's own format (lenet, torchvision), its weights loaded."""
    config = read_config(folder)
    own = _whole(folder, config, _classes(config) or list(classes))[0]
    own.info = dataclasses.replace(own.info, pretrained=True)
    return own


def _whole(folder: Path, config: Mapping[str, Any], classes: Sequence[str]) -> tuple[Backbone, nn.Linear]:
    """Backbone and classifier, with the folder's weights."""
    architecture = str(config.get("architecture", ""))
    facts = read_facts(folder)
    own = architecture == "lenet" or architecture.startswith("torchvision:")
    size = facts["input"]["size"] if own and "input" in facts else None
    request = BackboneRequest(classes, pretrained=not own, image_size=size)
    source = architecture if own else f"local:{folder}"
    backbone = backbones.resolve(source, request)
    tensors = load_file(folder / "model.safetensors")
    prefix = "classifier" if architecture == "lenet" else backbone._classifier  # type: ignore[attr-defined]
    if prefix not in {key.rsplit(".", 1)[0] for key in tensors}:
        raise HubtlError(f"{folder}/model.safetensors has no classifier {prefix}", hint="save the model again")
    weight, bias = tensors.pop(f"{prefix}.weight"), tensors.pop(f"{prefix}.bias")
    if own:
        inner = backbone if architecture == "lenet" else backbone.model  # type: ignore[attr-defined]
        inner.load_state_dict(tensors)
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return backbone, head


def _classes(config: Mapping[str, Any]) -> list[str]:
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    if names:
        return list(names)
    mapping = config.get("id2label") or {}
    return [mapping[key] for key in sorted(mapping, key=int)]


def _input(values: Mapping[str, Any]) -> ImageInput:
    return ImageInput(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
