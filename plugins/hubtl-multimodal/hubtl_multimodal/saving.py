"""Save a model: encoders in their library's format, fusion and classifier beside them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import nn

from hubtl import HubtlError
from hubtl.backbones.base import BackboneRequest
from hubtl.backbones.saved import as_timm, read_config
from hubtl.backbones.weights import check_finite, check_fit, check_pointer, load_into
from hubtl.io import jsontext
from hubtl_multimodal import encoders
from hubtl_multimodal.options import ModelOptions

if TYPE_CHECKING:
    from hubtl_multimodal.backbone import MultimodalBackbone

WEIGHTS, ENCODERS = "model.safetensors", "encoders"
SETTLED = (  # options that were made use of when the encoders were
    "channels",
    "max_length",
    "seconds",
    "mels",
    "image_stage",
    "audio_stage",
    *(f"{modality}_pretrained" for modality in ("image", "text", "audio")),
)


def write(
    folder: Path, backbone: "MultimodalBackbone", classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]
) -> None:
    """Write ``config.json``, fusion and classifier, and each encoder. Encoders are in their own library's format."""
    infos = {m: dataclasses.asdict(backbone.tower(m).info) for m in backbone.modalities}
    config = {
        "architecture": "multimodal",
        "library_name": "hubtl",
        "plugin": "hubtl-multimodal",
        "modalities": list(backbone.modalities),
        **as_timm(names),
        "options": backbone.options.model_dump(mode="json"),
        "encoders": infos,
        "hubtl": dict(meta),
    }
    for modality in backbone.modalities:
        own = folder / ENCODERS / modality
        own.mkdir(parents=True, exist_ok=True)
        backbone.tower(modality).save(own)
    tensors = {f"fusion.{k}": v.detach().cpu().contiguous() for k, v in backbone.fusion.state_dict().items()}
    tensors |= {f"classifier.{k}": v.detach().cpu().contiguous() for k, v in classifier.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    jsontext.save(folder / "config.json", config)


def read(
    folder: Path,
    names: Sequence[str],
    cls: "type[MultimodalBackbone]",
    request: BackboneRequest | None = None,
) -> "tuple[MultimodalBackbone, nn.Linear]":
    """Return the model and its classifier; with a request it is made ready to learn, its options changed where weights allow.

    Raises HubtlError for a folder with parts missing or damaged, and for a request that its weights do not allow.
    """
    if request is not None and not request.pretrained:
        raise HubtlError(
            f"{folder.name} is a trained model of several modalities: it goes on from its weights",
            hint="leave --no-pretrained out, or name its encoders: image=NAME,text=NAME,audio=NAME",
        )
    changes = {} if request is None else request.options
    backbone = _backbone(folder, folder.name, cls, changes, learns=request is not None)
    own = backbone.tower("image").info.input["size"] if "image" in backbone.modalities else None
    if request is not None and request.image_size not in (None, own):
        raise HubtlError(
            f"{folder.name} does not take pictures of {request.image_size} pixels", hint="leave --image-size out"
        )
    tensors = _tensors(folder)
    _load(backbone.fusion, tensors, "fusion.", folder)
    head = nn.Linear(backbone.info.width, len(names))
    if len(tensors.get("classifier.bias", names)) != len(names):
        raise HubtlError(
            f"{folder} names {len(names)} outputs, and its classifier has {len(tensors['classifier.bias'])} outputs",
            hint="save the model again with a name for each class",
        )
    _load(head, tensors, "classifier.", folder)
    return backbone, head


def snippet(where: str, backbone: "MultimodalBackbone") -> str:
    """Return code that loads the model and predicts. It then loads its encoders without hubtl."""
    source = json.dumps(where)
    example = {"image": '"photo.jpg"', "text": '"What it says."', "audio": '"sound.wav"'}
    row = ", ".join(f'"{m}": {example[m]}' for m in backbone.modalities)
    return (
        "import hubtl  # pip install hubtl hubtl-multimodal\n\n"
        f"model = hubtl.load({source})\n"
        f"row = {{{row}}}  # leave out what a row lacks\n"
        "answer = model.predict(row)[0]\n"
    )


def _backbone(
    folder: Path, shown: str, cls: "type[MultimodalBackbone]", changes: Mapping[str, Any], *, learns: bool = True
) -> "MultimodalBackbone":
    config = read_config(folder)
    try:
        options = ModelOptions(**{**config["options"], **changes})
        infos = config["encoders"]
        towers = {m: encoders.rebuild(m, folder / ENCODERS / m, infos[m]) for m in config["modalities"]}
    except (KeyError, TypeError, ValueError) as error:
        raise HubtlError(
            f"{folder} is not a whole model of several modalities: {error}", hint="pull it again"
        ) from error
    if fixed := [key for key in SETTLED if key in changes and changes[key] != config["options"].get(key)]:
        raise HubtlError(
            f"model.{fixed[0]} was settled when {shown} was made", hint=f"leave --set model.{fixed[0]} out"
        )
    if learns:  # what follows starts from trained weights, whatever these began with
        for tower in towers.values():
            tower.info = dataclasses.replace(tower.info, pretrained=True)
    return cls(towers, options, shown, learns=learns)


def _tensors(folder: Path) -> dict[str, Any]:
    try:
        check_pointer(folder / WEIGHTS)
        found = dict(load_file(folder / WEIGHTS))
    except HubtlError:
        raise
    except Exception as error:
        raise HubtlError(f"{folder / WEIGHTS} cannot be read: {error}", hint="pull or save the model again") from error
    check_fit(str(folder), [], [name for name in found if name.partition(".")[0] not in ("fusion", "classifier")])
    check_finite(found, str(folder / WEIGHTS), hint="train or pull the model again")
    return found


def _load(module: nn.Module, tensors: Mapping[str, Any], prefix: str, folder: Path) -> None:
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    load_into(module, own, str(folder), model=f"its {prefix.rstrip('.')}", hint="leave --set model.* out")
