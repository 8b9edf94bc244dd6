"""The pictures of a card, as PNG files. No torch; matplotlib and scikit-learn are imported when a picture is drawn."""

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
from hubtl.record import ClassScore, Evaluation

DPI = 200
NUMBERED = 20  # classes: up to here a confusion matrix has its numbers written in
WHOLE = 400  # classes: up to here a confusion matrix shows all of them, then the MOST_CONFUSED
MOST_CONFUSED = 60
LISTED = 150  # classes: up to here each has its line, then those that changed most
LONGEST_NAME = 22
NOT_CURVES = ("step", "phase", "epoch", "seconds", "lr")


@dataclass(frozen=True)
class FeatureSample:
    """Features of some rows of both domains under one model. Target labels have no place in it."""

    source: np.ndarray  # [n, d]
    target: np.ndarray  # [m, d]
    source_labels: np.ndarray  # [n] class indices, -1: none of the classes
    target_predictions: np.ndarray  # [m] class indices


def confusion(evaluation: Evaluation, classes: Sequence[str], path: Path, title: str, theme: Theme = LIGHT) -> None:
    """The confusion matrix in shares of each true class; with numbers up to 20 classes. Grey rows have no images.

    Of more than 400 classes it shows the 60 that are mistaken most; shares are of all rows of a class.
    """
    shown = list(range(len(classes)))
    if len(shown) > WHOLE:
        shown = _most_confused(evaluation)
        title = f"{_short(title, 40)}: the {len(shown)} of {len(classes):,} classes mistaken most"
    classes = [classes[number] for number in shown]
    matrix = np.array(evaluation.confusion_among(shown), dtype=float).reshape(len(shown), len(shown))
    rows: dict[int, int] = {}
    for truth, _, n in evaluation.confusion_cells:
        rows[truth] = rows.get(truth, 0) + n
    total = np.array([[rows.get(number, 0)] for number in shown], dtype=float)
    shares = np.divide(matrix, total, out=np.full_like(matrix, np.nan), where=total > 0)
    c = len(classes)
    side = min(9.0, max(3.4, 2.2 + 0.36 * c))
    figure = _figure(side + 0.5, side, "compressed")
    axes = figure.add_subplot()
    colours = _colormap("shares", theme)
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    every = max(1, int(np.ceil(8.5 / (0.72 * side * 72 / c))))
    ticks = list(range(0, c, every))
    names = [_short(classes[i]) for i in ticks]
    size = 8.5 if c <= 12 else 7
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class" + (f" (one name in {every})" if every > 1 else ""))
    if c <= NUMBERED:
        for row, column in zip(*np.nonzero(shares > 0.005), strict=True):
            share = shares[row, column]
            axes.text(
                column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=size - 0.5,
                color=_on(colours(share)),
            )  # fmt: skip
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0%", "50%", "100%"], fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    axes.set_title(_short(title, 90), parse_math=False)
    _save(figure, path, theme)


def _most_confused(evaluation: Evaluation) -> list[int]:
    """The classes with most rows in a wrong place, as truth or as prediction, in their order."""
    wrong: dict[int, int] = {}
    for truth, predicted, n in evaluation.confusion_cells:
        for number in (truth, predicted):
            wrong[number] = wrong.get(number, 0) + (n if truth != predicted else 0)
    return sorted(sorted(wrong, key=lambda number: (-wrong[number], number))[:MOST_CONFUSED])


def curves(points: Sequence[Mapping[str, float]], path: Path, theme: Theme = LIGHT) -> None:
    """Losses by name over the updates on the left; accuracies and label-free scores, if any, on the right."""
    panels = _panels(points)
    longest = max((len(shown) for _, shown in panels), default=0)
    figure = _figure(4.4 * max(1, len(panels)), 3.2 + 0.2 * math.ceil(longest / 3))
    for number, (title, shown) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        for (name, seen), colour in zip(shown.items(), _palette(len(shown), theme), strict=True):
            line = np.array(seen)
            marker = "o" if len(line) <= 12 else None
            axes.plot(line[:, 0], line[:, 1], color=colour, lw=1.6, marker=marker, ms=3.5, label=_short(name))
        axes.set_title(title)
        axes.set_xlabel("updates")
        axes.margins(x=0.02)
        axes.tick_params(axis="y", labelsize=8)
        _grid(axes, theme)
        _legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=min(3, len(shown)))  # never on a line
    _save(figure, path, theme)


def _panels(points: Sequence[Mapping[str, float]]) -> list[tuple[str, dict[str, list[tuple[float, float]]]]]:
    """(step, value) of every curve, losses apart from scores; a method may log a loss under a validator's name."""
    losses: dict[str, list[tuple[float, float]]] = {}
    scores: dict[str, list[tuple[float, float]]] = {}
    validators = plugins.entries("validators")
    for point in points:
        for name in (key for key in point if key not in NOT_CURVES):
            scored = "accuracy" in name or (name in validators and "loss" not in point)
            (scores if scored else losses).setdefault(name, []).append((point["step"], point[name]))
    return [(t, found) for t, found in (("losses", losses), ("accuracies and label-free scores", scores)) if found]


def features(
    models: Mapping[str, FeatureSample],
    classes: Sequence[str],
    path: Path,
    method: Literal["pca", "tsne"] = "pca",
    theme: Theme = LIGHT,
) -> None:
    """Both domains' features in two dimensions, under one model or two, by source labels and target predictions."""
    figure = _figure(2.2 + 3.6 * len(models), 4.4)
    palette, c = _palette(len(classes), theme), len(classes)
    for number, (title, sample) in enumerate(models.items(), 1):
        axes = figure.add_subplot(1, len(models), number)
        n = len(sample.source)
        flat = _flat(np.concatenate([sample.source, sample.target]), method)
        for rows, kinds, marker, alpha in (
            (flat[:n], sample.source_labels, "o", 0.55),
            (flat[n:], sample.target_predictions, "^", 0.9),
        ):
            colours = [palette[int(k)] if 0 <= k < c else theme.muted for k in kinds]
            edge = {"linewidths": 0} if marker == "o" else {"linewidths": 0.4, "edgecolors": theme.edge}
            axes.scatter(rows[:, 0], rows[:, 1], c=colours, marker=marker, s=14, alpha=alpha, **edge)
        axes.set_title(_short(title), parse_math=False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(theme.grid)
        axes.set_xlabel({"pca": "two principal components", "tsne": "t-SNE"}[method], color=theme.muted)
    _feature_legend(figure, classes, palette, theme)
    _save(figure, path, theme)


def per_class(before: Evaluation, after: Evaluation, path: Path, theme: Theme = LIGHT) -> None:
    """Recall of every class, source-only against adapted, the worst change on top; what got worse is red.

    Of more than 150 classes it shows those that changed most.
    """
    known: dict[str, ClassScore] = {score.name: score for score in before.per_class}
    found = [
        (score.name, known[score.name], score.recall)
        for score in after.per_class
        if score.recall is not None and score.name in known
    ]
    rows = [(name, old.recall, new) for name, old, new in found if old.recall is not None]
    every = len(rows)
    if every > LISTED:
        rows = sorted(rows, key=lambda row: abs(row[2] - row[1]), reverse=True)[:LISTED]
    rows.sort(key=lambda row: row[2] - row[1], reverse=True)
    n = len(rows)
    step = 0.26 if n <= 30 else 0.15
    figure = _figure(6.6, 1.3 + step * max(3, n))
    axes = figure.add_subplot()
    places = np.arange(n)
    olds, news = (100 * np.array([row[column] for row in rows], dtype=float) for column in (1, 2))
    for there, colour in ((news < olds, theme.worse), (news >= olds, theme.after)):
        axes.hlines(places[there], olds[there], news[there], color=colour, lw=1.4, alpha=0.5, zorder=1)
        axes.scatter(news[there], places[there], color=colour, s=16, zorder=3)
    axes.scatter(olds, places, color=theme.page, edgecolors=theme.before, s=38, linewidths=1.4, zorder=2)
    if every > n:
        axes.set_title(f"the {n} of {every:,} classes that changed most")
    axes.scatter([], [], s=38, label="source-only", color=theme.page, edgecolors=theme.before, linewidths=1.4)
    axes.scatter([], [], s=16, label="adapted", color=theme.after)
    if any(new < old for _, old, new in rows):
        axes.scatter([], [], s=16, label="adapted, worse", color=theme.worse)
    axes.set_yticks(range(n), [_short(name) for name, _, _ in rows], fontsize=8 if n <= 30 else 6, parse_math=False)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.7, max(n - 0.3, 0.7))
    axes.set_xlabel("recall, %")
    _grid(axes, theme, axis="x")
    axes.tick_params(axis="y", length=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    _save(figure, path, theme)


def reliability(before: Evaluation | None, after: Evaluation, path: Path, theme: Theme = LIGHT) -> None:
    """Accuracy against confidence, the area of a dot its share of the rows; on the diagonal a model is as sure as it is right."""
    figure = _figure(6.6, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color=theme.muted, lw=1, ls="--", zorder=1)
    shown = [("source-only", before, theme.before)] if before is not None and before.reliability else []
    for name, found, colour in [*shown, ("adapted" if shown else "model", after, theme.after)]:
        x = [100 * b.confidence for b in found.reliability]
        y = [100 * b.accuracy for b in found.reliability]
        size = [16 + 260 * b.n / found.n for b in found.reliability]
        error = "" if found.ece is None else f", calibration error {100 * found.ece:.1f}%"
        axes.scatter(x, y, s=size, color=colour, alpha=0.75, linewidths=0, zorder=3, clip_on=False)
        axes.scatter([], [], s=30, color=colour, label=f"{name}{error}")
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.set_xlabel("how sure, %")
    axes.set_ylabel("how often right, %")
    axes.tick_params(axis="y", labelsize=8)
    _grid(axes, theme)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=1, frameon=False, fontsize=8.5)
    _save(figure, path, theme)


def _flat(rows: np.ndarray, method: str) -> np.ndarray:
    """Two dimensions of [n, d] features; the same picture for the same features."""
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


def _feature_legend(figure: Any, classes: Sequence[str], palette: Sequence[Any], theme: Theme) -> None:
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

    shown = [mark("source (labels)", theme.muted, "o"), mark("target (predictions)", theme.muted, "^")]
    if len(classes) <= NUMBERED:
        shown += [mark(_short(name), colour, "s") for name, colour in zip(classes, palette, strict=True)]
    legend = figure.legend(handles=shown, loc="outside right upper", frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _palette(n: int, theme: Theme) -> list[Any]:
    """``n`` colours, as far apart as n allows; up to 10 they are told apart by colour-blind readers too."""
    from matplotlib import colormaps

    if n <= len(theme.series):
        return list(theme.series[:n])
    if n <= 20:
        return [colormaps["tab20"](i) for i in range(n)]
    return [tuple(colour) for colour in colormaps["hsv"](np.arange(n) / n * 0.97)]


def _colormap(name: str, theme: Theme) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(theme.shares)).with_extremes(bad=theme.empty)


def _on(colour: Any) -> str:
    """Black or white, whichever is read more easily on a colour."""
    r, g, b = colour[:3]
    return "black" if 0.299 * r + 0.587 * g + 0.114 * b > 0.55 else "white"


def _figure(width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained") -> Any:
    """A figure outside pyplot, hence without a display and without global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def _grid(axes: Any, theme: Theme, axis: str = "both") -> None:
    axes.grid(color=theme.grid, lw=0.8, axis=axis)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.grid)
    axes.tick_params(axis="x", labelsize=8)


def _legend(axes: Any, **where: Any) -> None:
    legend = axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8, **where)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(name: str, most: int = LONGEST_NAME) -> str:
    line = plain(name)
    return line if len(line) <= most else line[: most - 1] + "…"


def _save(figure: Any, path: Path, theme: Theme) -> None:
    """Write the PNG. Page, ink and sizes are set here, once for every kind of picture."""
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
