"""Decide random views that the recipe leaves open. Unused ones cause a warning."""

from collections.abc import Iterable
from dataclasses import replace

from hubtl.backbones.base import Backbone
from hubtl.modalities.image.transforms import SMALL, RandomViews
from hubtl.plugins import modalities
from hubtl.recipe.schema import CROP_AREA, CROP_RATIO, STRONG_VIEWS, Recipe
from hubtl.run.decisions import Decisions

CROPS = ("crop_area", "crop_ratio", "interpolation", "flip")
STRONG = ("views", "view_operations")
KEYS = tuple(f"data.{name}" for name in (*CROPS, *STRONG))


def by_views(decisions: Decisions, backbone: Backbone, asked: Iterable[str]) -> list[str]:
    """Decide crops, flips and strong views, and return warnings on unused settings.

    Args:
        decisions: the decisions so far.
        backbone: the backbone.
        asked: the random views that the strategy's phases ask for.
    """
    data, asked = decisions.recipe.data, set(asked)
    crops, strong = _crops(decisions.recipe, backbone, asked), "strong" in asked and _by_recipe(backbone)
    if crops:
        decisions.fill("data.crop_area", list(CROP_AREA), "the usual crop of ImageNet's training views")
        decisions.fill("data.crop_ratio", list(CROP_RATIO), "the usual shape of such a crop")
        decisions.fill("data.interpolation", backbone.info.input.interpolation, "as the model's own view is resized")
        decisions.fill("data.flip", 0.5, "photographs mirrored left to right mean the same")
    if strong:
        decisions.fill("data.views", STRONG_VIEWS, "two strong changes are usual where pseudo-labels are learnt")
    unused = [] if crops else [f"data.{name}" for name in CROPS if getattr(data, name) is not None]
    unused += [] if strong else [f"data.{name}" for name in STRONG if getattr(data, name) is not None]
    if not unused:
        return []
    why = "the model makes its own" if not _by_recipe(backbone) else "no stream of this run has such random views"
    return [f"{', '.join(unused)} changed nothing: {why}"]


def _crops(recipe: Recipe, backbone: Backbone, asked: set[str]) -> bool:
    """Return whether some training view is a random crop; small weak views are shifted instead."""
    if not _by_recipe(backbone):
        return False
    return recipe.data.augment == "standard" or (bool(asked) and backbone.info.input.size >= SMALL)


def _by_recipe(backbone: Backbone) -> bool:
    """Return whether the recipe decides the random views. Otherwise the model's own readers do."""
    known = modalities.known(backbone.info.modalities[0])
    return backbone.rows is None and known is not None and known.crops


def same_views(before: Recipe, now: Recipe) -> bool:
    """Return whether two recipes mean the same random views. One may leave out keys."""
    one, other = RandomViews.of(before.data), RandomViews.of(now.data)
    if None in (one.interpolation, other.interpolation):
        one, other = replace(one, interpolation=None), replace(other, interpolation=None)
    return one == other
