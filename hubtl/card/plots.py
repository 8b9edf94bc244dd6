"""Draw the plots of a card as PNG files.

It imports no torch; matplotlib and scikit-learn are imported when a plot is drawn.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hubtl import plugins
from hubtl.card.themes import LIGHT, Theme
from hubtl.card.wording import plain

DPI = 200
NUMBERED = 20  # names: up to here a picture shows all of them
LONGEST_NAME = 22
NOT_CURVES = ("step", "phase", "epoch", "seconds", "lr")


@dataclass(frozen=True)
class FeatureSample:
    """Hold features of both domains' rows under one model. Target labels are no part of it."""

    source: np.ndarray  # [n, d]
    target: np.ndarray  # [m, d]
    source_labels: np.ndarray | None = None  # [n] places among the outputs, -1: none of them; None: there are none
    target_predictions: np.ndarray | None = None  # [m] the same


def curves(
    points: Sequence[Mapping[str, float]],
    path: Path,
    theme: Theme = LIGHT,
    judged: Sequence[Mapping[str, float]] = (),
) -> None:
    """Plot losses by name over the updates, and scores beside them.

    Losses are on the left, scores, if any, on the right.

    Args:
        points: points of the curves.
        path: the PNG file.
        theme: colours.
        judged: scores of each checkpoint, with its ``step``; a single one that selected has an axis of its own.
    """
    panels = _panels(points)
    names = {name for point in judged for name in point} - set(NOT_CURVES)
    if len(names) == 1:
        (name,) = names
        panels.append(("what selected", {name: [(point["step"], point[name]) for point in judged if name in point]}))
    longest = max((len(shown) for _, shown in panels), default=0)
    figure = blank(4.4 * max(1, len(panels)), 3.2 + 0.2 * math.ceil(longest / 3))
    for number, (title, shown) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        for (name, seen), colour in zip(shown.items(), _palette(len(shown), theme), strict=True):
            line = np.array(seen)
            marker = "o" if len(line) <= 12 else None
            axes.plot(line[:, 0], line[:, 1], color=colour, lw=1.6, marker=marker, ms=3.5, label=short(name))
        axes.set_title(title)
        axes.set_xlabel("updates")
        axes.margins(x=0.02)
        axes.tick_params(axis="y", labelsize=8)
        grid(axes, theme)
        _legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=min(3, len(shown)))  # never on a line
    save(figure, path, theme)


def _panels(points: Sequence[Mapping[str, float]]) -> list[tuple[str, dict[str, list[tuple[float, float]]]]]:
    """Return (step, value) of every curve, losses apart from scores.

    A method may log a loss under a validator's name.
    """
    losses: dict[str, list[tuple[float, float]]] = {}
    scores: dict[str, list[tuple[float, float]]] = {}
    validators = plugins.entries("validators")
    for point in points:
        for name in (key for key in point if key not in NOT_CURVES):
            scored = name.endswith("critic_accuracy") or (name in validators and "loss" not in point)
            (scores if scored else losses).setdefault(name, []).append((point["step"], point[name]))
    return [(t, found) for t, found in (("losses", losses), ("scores", scores)) if found]


def features(
    models: Mapping[str, FeatureSample],
    names: Sequence[str],
    path: Path,
    method: Literal["pca", "tsne"] = "pca",
    theme: Theme = LIGHT,
) -> None:
    """Plot both domains' features in two dimensions. Colours are source labels and target predictions.

    Args:
        models: features under one model or two.
        names: names of the outputs.
        path: the PNG file.
        method: the projection.
        theme: colours.
    """
    figure = blank(2.2 + 3.6 * len(models), 4.4)
    palette, c = _palette(len(names), theme), len(names)
    for number, (title, sample) in enumerate(models.items(), 1):
        axes = figure.add_subplot(1, len(models), number)
        n = len(sample.source)
        flat = _flat(np.concatenate([sample.source, sample.target]), method)
        for rows, kinds, marker, alpha in (
            (flat[:n], sample.source_labels, "o", 0.55),
            (flat[n:], sample.target_predictions, "^", 0.9),
        ):
            plain = theme.before if marker == "o" else theme.after  # of a task whose labels are no groups: by domain
            known = [-1] * len(rows) if kinds is None else kinds
            colours = [palette[int(k)] if 0 <= k < c else plain if kinds is None else theme.muted for k in known]
            edge = {"linewidths": 0} if marker == "o" else {"linewidths": 0.4, "edgecolors": theme.edge}
            axes.scatter(rows[:, 0], rows[:, 1], c=colours, marker=marker, s=14, alpha=alpha, **edge)
        axes.set_title(short(title), parse_math=False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(theme.grid)
        axes.set_xlabel({"pca": "two principal components", "tsne": "t-SNE"}[method], color=theme.muted)
    grouped = any(sample.source_labels is not None for sample in models.values())
    _feature_legend(figure, names if grouped else [], palette, theme, grouped=grouped)
    save(figure, path, theme)


def _flat(rows: np.ndarray, method: str) -> np.ndarray:
    """Project [n, d] features to two dimensions; equal features give an equal plot."""
    from sklearn.decomposition import PCA

    rows = np.asarray(rows, dtype=np.float64)
    if rows.shape[1] < 2:
        return np.column_stack([rows[:, 0], np.zeros(len(rows))])
    if method == "tsne" and len(rows) > 10:
        from sklearn.manifold import TSNE

        narrow = PCA(min(50, *rows.shape), random_state=0).fit_transform(rows)
        perplexity = min(30.0, (len(rows) - 1) / 3)
        return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(narrow))
    return np.asarray(PCA(2, random_state=0, svd_solver="full").fit_transform(rows))


def _feature_legend(figure: Any, names: Sequence[str], palette: Sequence[Any], theme: Theme, *, grouped: bool) -> None:
    from matplotlib.lines import Line2D

    def mark(label: str, colour: Any, marker: str) -> Line2D:
        return Line2D(
            [],
            [],
            ls="",
            marker=marker,
            ms=5,
            color=colour,
            mec=theme.edge if marker == "^" else colour,
            mew=0.4,
            label=label,
        )

    if not grouped:
        shown = [mark("source", theme.before, "o"), mark("target", theme.after, "^")]
    else:
        shown = [mark("source (labels)", theme.muted, "o"), mark("target (predictions)", theme.muted, "^")]
        if len(names) <= NUMBERED:
            shown += [mark(short(name), colour, "s") for name, colour in zip(names, palette, strict=True)]
    legend = figure.legend(handles=shown, loc="outside right upper", frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _palette(n: int, theme: Theme) -> list[Any]:
    """Return ``n`` distinct colours; up to 10 are safe for colour-blind readers."""
    from matplotlib import colormaps

    if n <= len(theme.series):
        return list(theme.series[:n])
    if n <= 20:
        return [colormaps["tab20"](i) for i in range(n)]
    return [tuple(colour) for colour in colormaps["hsv"](np.arange(n) / n * 0.97)]


def colormap(name: str, theme: Theme) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(theme.shares)).with_extremes(bad=theme.empty)


def on(colour: Any) -> str:
    """Return black or white, whichever is read more easily on a colour."""
    r, g, b = colour[:3]
    return "black" if 0.299 * r + 0.587 * g + 0.114 * b > 0.55 else "white"


def blank(width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained") -> Any:
    """Return a figure outside pyplot. It needs no display and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def grid(axes: Any, theme: Theme, axis: str = "both") -> None:
    axes.grid(color=theme.grid, lw=0.8, axis=axis)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.grid)
    axes.tick_params(axis="x", labelsize=8)


def _legend(axes: Any, **where: Any) -> None:
    legend = axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8, **where)
    for text in legend.get_texts():
        text.set_parse_math(False)


def short(name: str, most: int = LONGEST_NAME) -> str:
    line = plain(name)
    return line if len(line) <= most else line[: most - 1] + "…"


def save(figure: Any, path: Path, theme: Theme) -> None:
    """Write the PNG, with page, ink and sizes for all plots."""
    figure.set_facecolor(theme.page)
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend in legends:
        legend.get_frame().set_facecolor(theme.page)
        for text in legend.get_texts():
            text.set_color(theme.ink)
    for axes in figure.axes:
        axes.set_facecolor(theme.page)
        axes.tick_params(colors=theme.ink)
        axes.xaxis.label.set(color=theme.ink, fontsize=9)
        axes.yaxis.label.set(color=theme.ink, fontsize=9)
        axes.title.set(color=theme.ink, fontsize=10, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from"
        )  # a class name in a script that the font lacks
        figure.savefig(path, metadata={"Software": None})
