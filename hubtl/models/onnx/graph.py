"""Trace a model, or the weighted sum of several, as one graph."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hubtl.errors import HubtlError
from hubtl.modules import Classifier

BATCH = "batch"
OUTPUT = "logits"
Axes = Mapping[str, Mapping[int, str]]  # input -> axis -> name, where its length may vary


class Graph(nn.Module):
    """Map the inputs of ``Backbone.graph_inputs`` to outputs [b, …]. All is float32 on the CPU."""

    def __init__(self, parts: Sequence[tuple[Classifier, float]]) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList([_plain(classifier) for classifier, _ in parts])
        self.factors = [factor for _, factor in parts]
        self.eval()

    def forward(self, given: Mapping[str, Tensor]) -> Tensor:
        first, *rest = (
            classifier(given) * factor if factor != 1 else classifier(given)
            for classifier, factor in zip(self.classifiers, self.factors, strict=True)
        )
        total: Tensor = sum(rest, first)
        return total

    @property
    def backbone(self) -> Any:
        first: Any = self.classifiers[0]
        return first.encoder.backbone

    @torch.no_grad()
    def outputs(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs of hubtl's own inputs, as in training."""
        return self(rows)  # type: ignore[no-any-return]

    @property
    def bytes(self) -> int:
        """Return the bytes of its tensors."""
        return sum(t.numel() * t.element_size() for t in self.state_dict().values())

    def takes(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return hubtl's inputs as the graph takes them."""
        with torch.no_grad():
            return {name: x.contiguous() for name, x in self.backbone.graph_inputs(rows).items()}


def _plain(classifier: Classifier) -> Classifier:
    whole = [*classifier.parameters(), *classifier.buffers()]
    if all(t.device.type == "cpu" and (not t.is_floating_point() or t.dtype == torch.float32) for t in whole):
        return classifier
    return copy.deepcopy(classifier).cpu().float()


def program(graph: Graph, given: dict[str, Tensor], shown: str, opset: int | None) -> Any:
    """Trace a graph.

    Args:
        graph: the graph.
        given: inputs of two rows.
        shown: the model's name, for errors.
        opset: the version of ONNX's operators; None: PyTorch's default.

    Returns:
        The program (``torch.onnx.ONNXProgram``).

    Raises:
        HubtlError: for a model that cannot be traced.
    """
    axes = {name: {0: BATCH, **graph.backbone.graph_lengths.get(name, {})} for name in given}
    failure: Exception | None = None
    for attention in (None, "eager"):  # the fused attention of some models, such as Swin's, has no ONNX of its own
        try:
            with _quiet(), _attention(graph, attention) as changed:
                if attention and not changed:
                    break
                made = _traced(graph, given, axes, opset)
            if opset not in (None, found := made.model.opset_imports[""]):
                raise HubtlError(
                    f"{shown} cannot be written in opset {opset}", hint=f"--opset {found}, or leave it out"
                )
            for value in (*made.model.graph.inputs, *made.model.graph.outputs):
                _name(value, axes.get(value.name, {0: BATCH}))
            return made
        except HubtlError:
            raise
        except Exception as error:  # noqa: BLE001  (torch.export and its decompositions raise of all kinds)
            failure = failure or error
    first = str(failure).strip().splitlines()
    raise HubtlError(
        f"{shown} cannot be written as ONNX: {first[0] if first else type(failure).__name__}",
        hint="another model; --debug shows where",
    ) from failure


def _traced(graph: Graph, given: dict[str, Tensor], axes: Axes, opset: int | None) -> Any:
    shapes = {name: dict.fromkeys(own, torch.export.Dim.DYNAMIC) for name, own in axes.items()}
    with torch.no_grad():
        traced = torch.export.export(graph, (given,), dynamic_shapes=(shapes,))
        return torch.onnx.export(
            traced,
            dynamo=True,
            input_names=list(given),
            output_names=[OUTPUT],
            opset_version=opset,
            verbose=False,
        )


def _name(value: Any, axes: Mapping[int, str]) -> None:
    """Name the axes of an input or output. PyTorch calls them s17."""
    for axis, name in axes.items():
        if not isinstance(value.shape[axis], int):
            value.shape[axis] = name


@contextlib.contextmanager
def _attention(graph: Graph, kind: str | None) -> Iterator[bool]:
    """Switch the attention of transformers' models while it is open; yield whether there are any."""
    found: list[Any] = [m for m in graph.modules() if hasattr(m, "set_attn_implementation")] if kind else []
    was = [m.config._attn_implementation for m in found]
    try:
        for model in found:
            model.set_attn_implementation(kind)
        yield bool(found)
    finally:
        for model, before in zip(found, was, strict=True):
            model.set_attn_implementation(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter. It speaks of its own steps and deprecations."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx", "torch.export")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
