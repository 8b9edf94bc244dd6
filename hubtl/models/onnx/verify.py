"""Compare an ONNX file with PyTorch, by onnxruntime."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.models.onnx.graph import Graph

MOST = 1e-4  # difference of outputs, relative for those above 1


def check_installed() -> None:
    """Raise HubtlError where a package is missing that writes ONNX."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise HubtlError(
            f"ONNX is written by {' and '.join(missing)}, which is not installed", hint='pip install "hubtl[onnx]"'
        )


def difference(graph: Graph, path: Path, rows: Mapping[str, Tensor], shown: str) -> float | None:
    """Return the largest difference between a file's outputs and PyTorch's.

    It is relative for outputs above 1, and infinite for outputs of other shapes. None: onnxruntime is missing.

    Args:
        graph: the model.
        path: the file.
        rows: hubtl's inputs of two rows.
        shown: the model's name, for errors.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own classes, without a public base
        raise HubtlError(
            f"onnxruntime does not run the ONNX file of {shown}, and it is not written: {error}",
            hint="another version of onnxruntime; --opset",
        ) from error
    known = {value.name for value in session.get_inputs()}
    worst = 0.0
    for places in _batches(graph):
        batch = {name: x[places] for name, x in rows.items()}
        given = {name: x.numpy() for name, x in graph.takes(batch).items() if name in known}
        (made,) = session.run(None, given)
        wanted = graph.outputs(batch).numpy()
        if made.shape != wanted.shape:
            return float("inf")
        apart = np.abs(made - wanted) / np.maximum(1.0, np.abs(wanted))
        worst = max(worst, float(np.nan_to_num(apart, nan=np.inf).max()))
    return worst


def _batches(graph: Graph) -> list[list[int]]:
    """Return the rows of each batch: both, each alone, and three."""
    return [[0, 1], [0], [1], [1, 0, 1]] if graph.backbone.graph_mixes else [[0, 0], [0], [1], [1, 1, 1]]
