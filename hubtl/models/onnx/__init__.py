"""Write saved models as ONNX, verified against PyTorch."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.io import files, jsontext
from hubtl.io.places import check_file
from hubtl.models.onnx import verify
from hubtl.models.onnx.described import described
from hubtl.models.onnx.graph import Graph, program
from hubtl.models.onnx.samples import first_twice, samples

KEY = "hubtl"  # of the file's metadata: what is described, as JSON
DATA = ".data"  # the end of the name of a file of weights
MOST = 2**31 - 2**24  # bytes of weights in one file: protobuf allows 2 GiB in all


@dataclass(frozen=True)
class Exported:
    """Report an ONNX file that was written.

    Attributes:
        path: the file.
        data: the file of its weights beside it; None: they are inside.
        difference: the largest difference to PyTorch's outputs, relative for outputs above 1; None: not verified.
        about: preprocessing, outputs and origin, as in the file's metadata.
    """

    path: Path
    data: Path | None
    difference: float | None
    about: dict[str, Any]


def export(model: Any, path: str | Path, *, external_data: bool = False, opset: int | None = None) -> Exported:
    """Write a loaded model as one ONNX file.

    Its batch size is dynamic. It is compared with PyTorch on two made-up rows, together and one by one, before it takes
    its name. Without onnxruntime it is not.

    Args:
        model: the loaded model.
        path: the file.
        external_data: write the weights to ``PATH.data``; those of 2 GiB and more always are.
        opset: the version of ONNX's operators; None: PyTorch's default.

    Raises:
        HubtlError: without the packages, for a model that cannot be written, and for outputs that differ.
    """
    verify.check_installed()
    path = Path(path).expanduser()
    check_file(path, flag="FILE")
    beside = path.with_name(path.name + DATA)
    check_file(beside, flag="FILE")
    graph = Graph([(part.classifier, factor) for part, factor in _alike(model)])
    rows = samples(model)
    made = program(
        graph, graph.takes(rows if graph.backbone.graph_mixes else first_twice(rows)), model.info.name, opset
    )
    about = described(model, made)
    made.model.metadata_props[KEY] = json.dumps(about, ensure_ascii=False)
    apart = external_data or graph.bytes >= MOST
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        folder = Path(name)
        made.save(folder / path.name, external_data=apart)
        difference = verify.difference(graph, folder / path.name, rows, model.info.name)
        if difference is not None and not difference <= verify.MOST:
            raise HubtlError(
                f"the ONNX file of {model.info.name} answers otherwise than PyTorch: its outputs differ by "
                f"{difference:.2g}. It is not written",
                hint="another version of torch, onnxscript or onnxruntime; --opset",
            )
        files.move(folder, path.parent)
    if not apart:
        beside.unlink(missing_ok=True)  # of an earlier file of that name
    return Exported(path, beside if apart else None, difference, about)


def _alike(model: Any) -> list[tuple[Any, float]]:
    """Return a model's parts with their factors.

    Raises:
        HubtlError: for parts that take different inputs.
    """
    parts: list[tuple[Any, float]] = model.parts()
    seen = {jsontext.text([part.info.modalities, part.info.input.as_dict()]) for part, _ in parts}
    if len(seen) > 1:
        raise HubtlError(
            "the models of this folder prepare their inputs in different ways, and one ONNX file has one input",
            hint="export one of them, FOLDER/0, or the model above the folder",
        )
    return parts
