"""Plot a multi-label model's figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.card.plots import blank, grid, save, short
from hubtl.card.themes import LIGHT, Theme
from hubtl.record import RunRecord
from hubtl.tasks.multilabel.figures import LabelScore, MultiLabelFigures

LISTED = 80  # classes: up to here each has its line, then those that changed most, or the worst


def drawn(record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
    """Return the plots of a run by file name: functions of a path and a theme."""
    alone = record.strategy == "source-only"  # there is nothing to compare it with
    adapted, base = (_of(e) for e in (record.adapted, None if alone else record.source_only))
    if adapted is None or adapted.map is None:
        return {}
    name = record.strategy
    return {"per_class_ap": lambda path, theme: per_class_ap(base, adapted, path, name, theme)}


def _of(evaluation: Any) -> MultiLabelFigures | None:
    figures = None if evaluation is None else evaluation.figures
    return figures if isinstance(figures, MultiLabelFigures) else None


def per_class_ap(
    before: MultiLabelFigures | None, after: MultiLabelFigures, path: Path, name: str, theme: Theme = LIGHT
) -> None:
    """Plot each class's average precision, source-only against adapted. A constant is drawn, too.

    Declines are red. The worst change is on top; for one model alone, the worst class.
    """
    known: dict[str, LabelScore] = {} if before is None else {score.name: score for score in before.per_class}
    rows = [
        (score.name, known[score.name].ap if score.name in known else None, score.ap, score.n / score.rows)
        for score in after.per_class
        if score.ap is not None
    ]
    rows.sort(key=lambda row: row[2] - (row[1] or 0.0), reverse=True)
    every, rows = len(rows), rows[-LISTED:]
    n = len(rows)
    figure = blank(6.6, 1.3 + (0.26 if n <= 30 else 0.15) * max(3, n))
    axes = figure.add_subplot()
    places = np.arange(n)
    olds, news, constant = (
        100 * np.array([np.nan if row[c] is None else row[c] for row in rows], dtype=float) for c in (1, 2, 3)
    )
    worse = news < olds
    for there, colour in ((worse, theme.worse), (~worse, theme.after)):
        axes.hlines(places[there], olds[there], news[there], color=colour, lw=1.4, alpha=0.5, zorder=1)
        axes.scatter(news[there], places[there], color=colour, s=16, zorder=3)
    axes.scatter(constant, places, marker="|", color=theme.muted, s=60, linewidths=1.2, zorder=2, label="a constant")
    if before is not None:
        open_mark = {"color": theme.page, "edgecolors": theme.before, "s": 38, "linewidths": 1.4}
        axes.scatter(olds, places, zorder=2, label="source-only", **open_mark)
    axes.scatter([], [], s=16, label=short(name) if before is None else "adapted", color=theme.after)
    if worse.any():
        axes.scatter([], [], s=16, label="adapted, worse", color=theme.worse)
    if every > n:
        axes.set_title(f"{n} of {every:,} classes, the worst {'changes' if before is not None else 'ones'}")
    axes.set_yticks(range(n), [short(row[0]) for row in rows], fontsize=8 if n <= 30 else 6, parse_math=False)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.7, max(n - 0.3, 0.7))
    axes.set_xlabel("average precision, %")
    grid(axes, theme, axis="x")
    axes.tick_params(axis="y", length=0)
    legend = figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=8.5
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    save(figure, path, theme)
