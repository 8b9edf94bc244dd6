"""Describe the tokens of a modality: places of a picture or spectrogram, instants, or words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hubtl.modalities.text.reader import TextReader

if TYPE_CHECKING:
    from hubtl_multimodal.backbone import MultimodalBackbone


def of(backbone: "MultimodalBackbone", modality: str, inputs: Mapping[str, Tensor], places: Tensor) -> dict[str, Any]:
    """Describe how to draw the tokens of one row.

    ``places`` are the positions of the real tokens in the encoder's sequence. ``kind`` is ``words`` (with the pieces as
    ``tokens``), ``grid`` (``rows`` and ``columns`` after ``prefix`` tokens, its ``axes`` named) or ``instants``.
    """
    found: dict[str, Any] = {"places": places.tolist()}
    if modality == "text":
        ids, reader = inputs["text"][0][places].tolist(), backbone.readers["text"]
        assert isinstance(reader, TextReader)
        return found | {"kind": "words", "tokens": reader.pieces(ids)}
    grid = backbone.tower(modality).grid(inputs)
    if grid is None:
        return found | {"kind": "instants"}
    return found | {
        "kind": "grid",
        "prefix": grid.prefix,
        "rows": grid.rows,
        "columns": grid.columns,
        "axes": list(grid.axes),
    }


def on_grid(values: list[float], layout: Mapping[str, Any]) -> Tensor:
    """Return values of the real tokens as a map [rows, columns]; other places are 0."""
    n = layout["prefix"] + layout["rows"] * layout["columns"]
    whole = torch.zeros(n)
    whole[torch.tensor(layout["places"])] = torch.tensor(values)
    return whole[layout["prefix"] :].reshape(layout["rows"], layout["columns"])


def words(tokens: list[str], values: list[float]) -> list[tuple[str, float]]:
    """Join subword pieces to words, their values added; special tokens are left out."""
    found: list[tuple[str, float]] = []
    for token, value in zip(tokens, values, strict=True):
        if token.startswith(("[", "<")) and token.endswith(("]", ">")):
            continue
        inside = token.startswith("##")
        plain = token.removeprefix("##").replace("▁", "").replace("Ġ", "")
        begins = token.startswith(("▁", "Ġ"))
        marked = any(t.startswith(("▁", "Ġ")) for t in tokens)
        if found and (inside or (marked and not begins)):
            word, so_far = found[-1]
            found[-1] = word + plain, so_far + value
        elif plain:
            found.append((plain, value))
    return found
