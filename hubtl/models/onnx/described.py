"""Describe an exported model in plain values: preparation, outputs, origin."""

import hashlib
from pathlib import Path
from typing import Any

import hubtl
from hubtl.backbones.saved import read_facts
from hubtl.models.onnx.graph import OUTPUT
from hubtl.plugins import modalities

FORMAT = 1
ADAPTER = "adapter"  # the folder of a run's LoRA weights, which are merged into the model beside it


def described(model: Any, program: Any) -> dict[str, Any]:
    """Return what a program needs to know to use the file.

    Args:
        model: the loaded model.
        program: the traced one.
    """
    task, info = model.task, model.info
    (made,) = program.model.graph.outputs
    return {
        "format_version": FORMAT,
        "hubtl": hubtl.__version__,
        "task": task.name,
        "inputs": {value.name: _tensor(value) for value in program.model.graph.inputs},
        "preprocessing": {name: _preparation(model, name) for name in info.modalities},
        "outputs": {OUTPUT: _tensor(made)},
        "answers": {"names": task.outputs.names, **task.readout()},
        "model": {
            "architecture": info.architecture,
            "library": info.library,
            "averaged": len(model.parts()),
            **_origin(model.folder),
        },
    }


def _tensor(value: Any) -> dict[str, Any]:
    shape = [n if isinstance(n, int) else str(getattr(n, "value", n)) for n in value.shape]
    return {"shape": shape, "dtype": str(value.dtype.numpy())}


def _preparation(model: Any, modality: str) -> dict[str, Any]:
    backbone: Any = model.backbone
    if modality not in backbone.readers:
        plain: dict[str, Any] = modalities.of(modality, shown=model.info.name).preparation(backbone)
        return plain
    found: dict[str, Any] = backbone.readers[modality].preparation()
    if "files" in found and model.folder is not None:  # those that the model has, by their places in its folder
        own = sorted(p.relative_to(model.folder) for p in model.folder.rglob("*") if p.name in found["files"])
        found["files"] = [p.as_posix() for p in own if ADAPTER not in p.parts]
    return found


def _origin(folder: Path | None) -> dict[str, Any]:
    """Return where a model comes from: the weights' digest, a Hub commit, the base model."""
    if folder is None:
        return {}
    parts = sorted(p for p in folder.rglob("*.safetensors") if ADAPTER not in p.relative_to(folder).parts)
    facts = read_facts(folder)
    known = {name: facts[name] for name in ("strategy", "base_model", "revision") if facts.get(name)}
    digests = {p.relative_to(folder).as_posix(): _digest(p) for p in parts}
    commit = {"commit": folder.name} if folder.parent.name == "snapshots" else {}
    return {**known, **commit, "sha256": digests}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
