"""Define the colours of a card's plots for light and dark pages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    suffix: str  # of a picture's file name
    page: str
    ink: str
    muted: str
    grid: str
    before: str  # source-only
    after: str  # adapted
    worse: str
    edge: str  # around marks, so that neighbours can be told apart
    empty: str  # rows of a matrix without images
    shares: tuple[str, ...]  # from none to all
    series: tuple[str, ...]  # told apart by colour-blind readers too


LIGHT = Theme(
    suffix="",
    page="#ffffff",
    ink="#1f2933",
    muted="#66727f",
    grid="#e3e8ee",
    before="#8a94a3",
    after="#1f6feb",
    worse="#d1453b",
    edge="#1f2933",
    empty="#eceff2",
    shares=("#f6f9fd", "#c9dcf5", "#7fb0ea", "#1f6feb", "#0b3d91"),
    series=(
        "#1f6feb", "#e07b00", "#128a58", "#c2357f", "#7a5ad6", "#00a3b4", "#a8590b", "#5d6b7a", "#d1453b", "#8fa300",
    ),
)  # fmt: skip
DARK = Theme(
    suffix="-dark",
    page="#0d1117",
    ink="#e6edf3",
    muted="#9aa6b2",
    grid="#2b333d",
    before="#8b949e",
    after="#58a6ff",
    worse="#ff7b72",
    edge="#0d1117",
    empty="#21262d",
    shares=("#131b26", "#17365d", "#1f5aa8", "#4493f8", "#b6d8ff"),
    series=(
        "#58a6ff", "#f0953a", "#3fb984", "#f27bb5", "#a892f5", "#39c5cf", "#cf8a4b", "#9aa6b2", "#ff7b72", "#c3d14a",
    ),
)  # fmt: skip
THEMES = (LIGHT, DARK)
