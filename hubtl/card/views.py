"""Describe the random views of a training, for a card."""

from collections.abc import Mapping, Sequence
from typing import Any

from hubtl.card import wording


def training_views(recipe: Mapping[str, Any]) -> str | None:
    """Describe crops, flips and strong views; None where a recipe has none."""
    data = recipe.get("data", {})
    parts = []
    if area := data.get("crop_area"):
        crops = "random crops" if data.get("augment") == "standard" else "random crops in weak and strong views"
        parts.append(f"{crops}, {_share(area)} of the area{_shape(data)}")
    if (flip := data.get("flip")) is not None and area:
        parts.append("never flipped" if flip == 0 else f"flipped with a chance of {flip:g}")
    if strong := data.get("views"):
        among = data.get("view_operations")
        kinds = f" among {', '.join(wording.md(name) for name in among)}" if among else ""
        parts.append(f"strong views {wording.code(strong)}{kinds}")
    return "; ".join(parts) or None


def _share(area: Sequence[float]) -> str:
    return f"{100 * area[0]:.3g} to {100 * area[1]:.3g}%"


def _shape(data: Mapping[str, Any]) -> str:
    ratio, method = data.get("crop_ratio"), data.get("interpolation")
    shape = f", {ratio[0]:.3g} to {ratio[1]:.3g} times as wide as high" if ratio else ""
    return shape + (f", resized {wording.md(method)}" if method else "")
