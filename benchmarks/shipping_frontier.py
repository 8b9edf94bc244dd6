"""The picture of docs/benchmarks.md: what each rule of shipping gains on average against how many runs it hurts."""

from pathlib import Path
from typing import Any

import shipping_table as ship

from hubtl.card import plots
from hubtl.card.themes import THEMES, Theme

SINGLE = {  # rule -> where its name stands: points off its mark, and the end that is at the mark
    "never: source-only": (14, -3, "left"),
    ship.SINGLE: (7, -5, "left"),
    "vote of scores": (7, -4, "left"),
    "mean softmax": (0, 7, "center"),
    "hedge 0.5": (0, 7, "center"),
    "hedge 0.7": (7, 0, "left"),
    "source known, hedge 0.5": (0, -13, "center"),
    "source known, hedge 0.7": (7, -2, "left"),
    ship.LABELS: (7, 3, "left"),
}
SEVERAL = {
    "never: source-only": (14, -3, "left"),
    ship.SEVERAL: (7, -5, "left"),
    "always: mean over methods": (-7, -3, "right"),
    "mean softmax": (7, -3, "left"),
    "z/σ": (7, -2, "left"),
    "z/σ, hedge 0.5": (7, -3, "left"),
    "z/σ, hedge 0.7": (7, -8, "left"),
    "rows, hedge 0.6": (14, -6, "left"),
    "source known, z/σ, hedge 0.7": (9, 3, "left"),
    "EnsV's pick": (7, -3, "left"),
}


def draw(lines: ship.Lines, folder: Path) -> None:
    """Draw it for light and for dark pages."""
    for theme in THEMES:
        figure = plots.blank(9.6, 4.2)
        panels = (
            ("one method and source-only", ship.runs(lines), SINGLE, 48),
            ("several methods together", ship.groups(lines), SEVERAL, 36),
        )
        for number, (title, own, names, right) in enumerate(panels, 1):
            axes = figure.add_subplot(1, 2, number)
            _panel(axes, own, names, theme)
            axes.set_xlim(-1.5, right)
            axes.set_title(title)
        plots.save(figure, folder / f"frontier{theme.suffix}.png", theme)


def _panel(axes: Any, own: ship.Lines, names: dict[str, tuple[int, int, str]], theme: Theme) -> None:
    for rule, (x, y, side) in names.items():
        hedged = "hedge" in rule
        place = ship.hurt(own, rule), ship.mean(own, rule)
        axes.scatter(
            *place,
            s=42,
            marker="o" if hedged else "s",
            color=theme.after if hedged else theme.before,
            edgecolors=theme.edge,
            linewidths=0.6,
            zorder=3,
        )
        axes.annotate(rule, place, xytext=(x, y), ha=side, textcoords="offset points", fontsize=7, color=theme.ink)
    axes.axvline(1, color=theme.muted, lw=0.8, ls=":")
    axes.set_xlabel("runs more than 1 point below source-only, %")
    axes.set_ylabel("mean gain over source-only, points")
    axes.margins(y=0.12)
    plots.grid(axes, theme)
