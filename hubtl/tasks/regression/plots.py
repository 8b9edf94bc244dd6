"""Plot a regression's figures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.card.plots import blank, grid, save, short
from hubtl.card.themes import LIGHT, Theme
from hubtl.record import RunRecord
from hubtl.tasks.regression.figures import OutputScore, RegressionFigures

PANELS = 6  # outputs that are drawn
COLUMNS = 3  # panels in a row


def drawn(record: RunRecord) -> dict[str, Callable[[Any, Any], None]]:
    """Return the plots of a run by file name: functions of a path and a theme."""
    alone = record.strategy == "source-only"  # there is nothing to compare it with
    adapted, base = (_of(e) for e in (record.adapted, None if alone else record.source_only))
    if adapted is None:
        return {}
    before = {o.name: o for o in base.per_output} if base else {}
    pairs = [(before.get(o.name), o) for o in adapted.per_output]
    found: dict[str, Callable[[Any, Any], None]] = {}
    if points := [pair for pair in pairs if pair[1].truth][:PANELS]:
        found["scatter"] = lambda path, theme: scatter(points, path, theme)
    if ranged := [pair for pair in pairs if len(pair[1].residuals) > 1][:PANELS]:
        found["residuals"] = lambda path, theme: residuals(ranged, path, theme)
    return found


def _of(evaluation: Any) -> RegressionFigures | None:
    figures = None if evaluation is None else evaluation.figures
    return figures if isinstance(figures, RegressionFigures) else None


Pair = tuple[OutputScore | None, OutputScore]  # under source-only, and under the model that is shipped


def scatter(outputs: Sequence[Pair], path: Path, theme: Theme = LIGHT) -> None:
    """Plot predicted against true values, a panel for each output.

    A correct prediction lies on the diagonal.
    """
    figure, panels = _panels(len(outputs), 3.1, 3.1)
    for axes, (before, after) in zip(panels, outputs, strict=True):
        models = _models(before, after, theme)
        ends = [value for _, o, _ in models for value in (*o.truth, *o.predicted)]
        low, high = min(ends), max(ends)
        pad = 0.04 * (high - low or 1.0)
        axes.plot([low - pad, high + pad], [low - pad, high + pad], color=theme.muted, lw=1, ls="--", zorder=1)
        for number, (name, o, colour) in enumerate(models):
            hollow = len(models) > 1 and number == 0
            how = (
                {"facecolors": "none", "edgecolors": colour, "linewidths": 0.9}
                if hollow
                else {"color": colour, "linewidths": 0}
            )
            axes.scatter(o.truth, o.predicted, s=15, alpha=0.8, zorder=2 + number, label=name, **how)
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(low - pad, high + pad)
        axes.set_aspect("equal")
        axes.set_title(short(after.name), parse_math=False)
        axes.set_xlabel("true" + _unit(after), parse_math=False)
        axes.set_ylabel("predicted" + _unit(after), parse_math=False)
        axes.tick_params(axis="y", labelsize=8)
        axes.locator_params(nbins=5)
        grid(axes, theme)
    _legend(figure, panels[0])
    save(figure, path, theme)


def residuals(outputs: Sequence[Pair], path: Path, theme: Theme = LIGHT) -> None:
    """Plot the mean absolute error in each range of true values. Each output has a panel."""
    figure, panels = _panels(len(outputs), 3.6, 2.7)
    for axes, (before, after) in zip(panels, outputs, strict=True):
        models = _models(before, after, theme)
        ranges = [(r.low, r.high) for r in after.residuals]
        width = 0.8 / len(models)
        for number, (name, o, colour) in enumerate(models):
            known = {(r.low, r.high): r.mae for r in o.residuals}
            there = [(place, known[r]) for place, r in enumerate(ranges) if r in known]
            at = np.array([place for place, _ in there]) + (number - (len(models) - 1) / 2) * width
            axes.bar(at, [mae for _, mae in there], width=width, color=colour, label=name, linewidth=0)
        axes.set_xticks(range(len(ranges)), [f"{low:.3g}–{high:.3g}" for low, high in ranges], rotation=40, ha="right")
        axes.set_title(short(after.name), parse_math=False)
        axes.set_xlabel("true value" + _unit(after), parse_math=False)
        axes.set_ylabel("MAE" + _unit(after), parse_math=False)
        axes.tick_params(axis="y", labelsize=8)
        grid(axes, theme, axis="y")
        axes.tick_params(axis="x", labelsize=7)
    _legend(figure, panels[0])
    save(figure, path, theme)


def _models(before: OutputScore | None, after: OutputScore, theme: Theme) -> list[tuple[str, OutputScore, Any]]:
    old = [("source-only", before, theme.before)] if before is not None and before.truth else []
    return [*old, ("adapted" if old else "model", after, theme.after)]


def _panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = blank(max(4.4, width * columns), height * rows + 0.5)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def _unit(output: OutputScore) -> str:
    return f", {short(output.unit, 12)}" if output.unit else ""


def _legend(figure: Any, axes: Any) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
