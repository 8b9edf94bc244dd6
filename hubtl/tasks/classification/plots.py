"""Plot a classifier's figures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.card.plots import NUMBERED, blank, colormap, grid, on, save, short
from hubtl.card.themes import LIGHT, Theme
from hubtl.record import RunRecord
from hubtl.tasks.classification.figures import ClassificationFigures, ClassScore

WHOLE = 400  # classes: up to here a confusion matrix shows all of them, then the MOST_CONFUSED
MOST_CONFUSED = 60
LISTED = 150  # classes: up to here each has its line, then those that changed most


def drawn(record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
    """Return the plots of a run by file name: functions of a path and a theme."""
    alone = record.strategy == "source-only"  # there is nothing to compare it with
    adapted, base = (_of(e) for e in (record.adapted, None if alone else record.source_only))
    found: dict[str, Callable[[Any, Any], None]] = {}
    if adapted is None:
        return found
    if adapted.confusion_cells:
        title = f"{record.strategy} on the target"
        found["confusion"] = lambda path, theme: confusion(adapted, record.classes, path, title, theme)
    if base is not None and adapted.per_class and base.per_class:
        found["per_class"] = lambda path, theme: per_class(base, adapted, path, theme)
    if adapted.reliability:
        found["reliability"] = lambda path, theme: reliability(base, adapted, path, theme)
    return found


def _of(evaluation: Any) -> ClassificationFigures | None:
    figures = None if evaluation is None else evaluation.figures
    return figures if isinstance(figures, ClassificationFigures) else None


def confusion(
    evaluation: ClassificationFigures, classes: Sequence[str], path: Path, title: str, theme: Theme = LIGHT
) -> None:
    """Plot the confusion matrix in shares of each true class. Up to 20 classes it has numbers.

    Grey rows have no samples. Of more than 400 classes it shows the 60 that are confused most; shares are of all rows
    of a class.
    """
    shown = list(range(len(classes)))
    if len(shown) > WHOLE:
        shown = _most_confused(evaluation)
        title = f"{short(title, 40)}: the {len(shown)} of {len(classes):,} classes mistaken most"
    classes = [classes[number] for number in shown]
    matrix = np.array(evaluation.confusion_among(shown), dtype=float).reshape(len(shown), len(shown))
    rows: dict[int, int] = {}
    for truth, _, n in evaluation.confusion_cells:
        rows[truth] = rows.get(truth, 0) + n
    total = np.array([[rows.get(number, 0)] for number in shown], dtype=float)
    shares = np.divide(matrix, total, out=np.full_like(matrix, np.nan), where=total > 0)
    c = len(classes)
    side = min(9.0, max(3.4, 2.2 + 0.36 * c))
    figure = blank(side + 0.5, side, "compressed")
    axes = figure.add_subplot()
    colours = colormap("shares", theme)
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    every = max(1, int(np.ceil(8.5 / (0.72 * side * 72 / c))))
    ticks = list(range(0, c, every))
    names = [short(classes[i]) for i in ticks]
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
                color=on(colours(share)),
            )  # fmt: skip
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0%", "50%", "100%"], fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    axes.set_title(short(title, 90), parse_math=False)
    save(figure, path, theme)


def _most_confused(evaluation: ClassificationFigures) -> list[int]:
    """Return the classes with most misclassified rows, in order. Rows count as truth or as prediction."""
    wrong: dict[int, int] = {}
    for truth, predicted, n in evaluation.confusion_cells:
        for number in (truth, predicted):
            wrong[number] = wrong.get(number, 0) + (n if truth != predicted else 0)
    return sorted(sorted(wrong, key=lambda number: (-wrong[number], number))[:MOST_CONFUSED])


def per_class(before: ClassificationFigures, after: ClassificationFigures, path: Path, theme: Theme = LIGHT) -> None:
    """Plot every class's recall, source-only against adapted. The worst change is on top.

    Declines are red. Of more than 150 classes it shows those that changed most.
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
    figure = blank(6.6, 1.3 + step * max(3, n))
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
    axes.set_yticks(range(n), [short(name) for name, _, _ in rows], fontsize=8 if n <= 30 else 6, parse_math=False)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.7, max(n - 0.3, 0.7))
    axes.set_xlabel("recall, %")
    grid(axes, theme, axis="x")
    axes.tick_params(axis="y", length=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    save(figure, path, theme)


def reliability(
    before: ClassificationFigures | None, after: ClassificationFigures, path: Path, theme: Theme = LIGHT
) -> None:
    """Plot accuracy against confidence; the area of a dot is its share of the rows.

    A calibrated model lies on the diagonal.
    """
    figure = blank(6.6, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color=theme.muted, lw=1, ls="--", zorder=1)
    shown = [("source-only", before, theme.before)] if before is not None and before.reliability else []
    for name, found, colour in [*shown, ("adapted" if shown else "model", after, theme.after)]:
        x = [100 * b.confidence for b in found.reliability]
        y = [100 * b.accuracy for b in found.reliability]
        size = [16 + 260 * b.n / sum(one.n for one in found.reliability) for b in found.reliability]
        error = "" if found.ece is None else f", calibration error {100 * found.ece:.1f}%"
        axes.scatter(x, y, s=size, color=colour, alpha=0.75, linewidths=0, zorder=3, clip_on=False)
        axes.scatter([], [], s=30, color=colour, label=f"{name}{error}")
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.set_xlabel("confidence, %")
    axes.set_ylabel("accuracy, %")
    axes.tick_params(axis="y", labelsize=8)
    grid(axes, theme)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=1, frameon=False, fontsize=8.5)
    save(figure, path, theme)
