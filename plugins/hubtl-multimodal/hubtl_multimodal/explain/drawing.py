"""Draw an explanation: modalities, maps on picture, words and spectrogram, deletion test."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from hubtl.card.themes import LIGHT, Theme
from hubtl_multimodal.explain.layout import on_grid, words

if TYPE_CHECKING:
    from hubtl.tasks.classification.relevance import Explanation
    from hubtl_multimodal.backbone import MultimodalBackbone

FOR, AGAINST = "#c9303f", "#3a7fc4"  # the ends of the maps' colours, as far as they are seen on light and dark pages
LONGEST_TEXT = 60  # words that are drawn
LONGEST_NAME = 24  # characters of a class
LETTER, BETWEEN = 0.0078, 0.016  # widths of a letter and of what is between words, of the whole line
LINE = 0.27  # inches
DRAWING = Lock()  # matplotlib's settings are those of the process, and a demo draws in threads


def draw(
    found: "Explanation",
    backbone: "MultimodalBackbone",
    row: Mapping[str, Any],
    inputs: Mapping[str, Tensor],
    path: Path,
    theme: Theme = LIGHT,
) -> None:
    """Draw a row for each present modality (input, relevance, transferability), charts above."""
    import matplotlib

    matplotlib.use("Agg")
    with DRAWING, matplotlib.rc_context(_style(theme)):
        _draw(found, backbone, row, inputs, path, theme)


def _style(theme: Theme) -> dict[str, Any]:
    ink = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "legend.labelcolor")
    page = ("figure.facecolor", "savefig.facecolor", "axes.facecolor", "legend.facecolor")
    muted = ("axes.edgecolor", "legend.edgecolor")
    plain: dict[str, Any] = {"text.parse_math": False}  # a name with dollars is no formula
    return plain | dict.fromkeys(ink, theme.ink) | dict.fromkeys(page, theme.page) | dict.fromkeys(muted, theme.muted)


def _draw(
    found: "Explanation",
    backbone: "MultimodalBackbone",
    row: Mapping[str, Any],
    inputs: Mapping[str, Tensor],
    path: Path,
    theme: Theme,
) -> None:
    from matplotlib import pyplot as plt

    present = list(found.relevance)
    heights = [3.4, *(_height(found, modality) for modality in present)]
    figure = plt.figure(figsize=(11, 0.4 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(1 + len(present), 3, height_ratios=heights)
    _modalities(figure.add_subplot(grid[0, 0]), found, theme)
    _deletion(figure.add_subplot(grid[0, 1]), found, theme)
    _classes(figure.add_subplot(grid[0, 2]), found, theme)
    for place, modality in enumerate(present, 1):
        if found.layout[modality]["kind"] == "words":
            _words(figure.add_subplot(grid[place, :]), found, modality)
        elif found.layout[modality]["kind"] == "grid":
            picture = _picture(modality, inputs)
            axes = [figure.add_subplot(grid[place, column]) for column in range(3)]
            _maps(axes, found, modality, picture)
        else:
            _instants(figure.add_subplot(grid[place, :]), found, modality, inputs, theme)
    figure.suptitle(f"{found.label}: {100 * found.probability:.1f} %", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _height(found: "Explanation", modality: str) -> float:
    """Return the height of a modality's row in inches."""
    if found.layout[modality]["kind"] != "words":
        return 3.0
    shown = words(found.layout[modality]["tokens"], found.relevance[modality])
    return 0.5 + LINE * (1 + max((line for line, *_ in _wrapped(shown)), default=0) + (len(shown) > LONGEST_TEXT))


def _wrapped(shown: list[tuple[str, float]]) -> list[tuple[int, float, str, float]]:
    """Return line, position, word and value of words to draw. Positions are from 0 to 1."""
    found: list[tuple[int, float, str, float]] = []
    line, left = 0, 0.0
    for word, value in shown[:LONGEST_TEXT]:
        wide = LETTER * len(word) + BETWEEN
        if found and left + wide > 1.0:
            line, left = line + 1, 0.0
        found.append((line, left, word, value))
        left += wide
    return found


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _modalities(axis: Any, found: "Explanation", theme: Theme) -> None:
    names = list(found.modalities)
    values = [100 * found.modalities[name] for name in names]
    axis.barh(names[::-1], values[::-1], color=[FOR if v > 0 else AGAINST for v in values[::-1]])
    axis.axvline(0, color=theme.muted, linewidth=0.8)
    axis.set_title(f"what each modality added\n(from {100 * found.nothing:.0f} % with none; Shapley)", fontsize=10)
    axis.set_xlabel("points of probability")


def _deletion(axis: Any, found: "Explanation", theme: Theme) -> None:
    test = found.deletion
    shares = [100 * s for s in test["shares"]]
    axis.plot(
        shares, [100 * p for p in test["top"]], color=FOR, label=f"most relevant first, area {test['top_area']:.2f}"
    )
    label = f"random, area {test['random_area']:.2f} ± {test['random_sd']:.2f}"
    axis.plot(shares, [100 * p for p in test["random"]], color=theme.muted, linestyle="--", label=label)
    axis.set_title("deletion test\n" + ("the map holds" if test["faithful"] else "the map does NOT hold"), fontsize=10)
    axis.set_xlabel("tokens taken away, %")
    axis.set_ylabel("probability, %")
    axis.set_ylim(0, 140)  # room for the legend
    axis.set_yticks(range(0, 101, 20))
    axis.legend(fontsize=8, loc="upper center")


def _classes(axis: Any, found: "Explanation", theme: Theme) -> None:
    best = sorted(found.probabilities.items(), key=lambda item: -item[1])[:6][::-1]
    colours = [FOR if name == found.label else theme.muted for name, _ in best]
    axis.barh(range(len(best)), [100 * p for _, p in best], color=colours)
    axis.set_yticks(range(len(best)), [_short(name) for name, _ in best])
    axis.set_xlim(0, 100)
    near = [f"row {n.row}{', ' + _short(n.label) if n.label else ''}: {n.cosine:.2f}" for n in found.neighbours]
    axis.set_title("probabilities", fontsize=10)
    axis.set_xlabel("%" + ("\nnearest source rows, by cosine:\n" + "\n".join(near) if near else ""), fontsize=8)


def _maps(axes: list[Any], found: "Explanation", modality: str, picture: np.ndarray) -> None:
    """Draw input, relevance and transferability, with time from left to right."""
    relevance = on_grid(found.relevance[modality], found.layout[modality]).numpy()
    weights = on_grid(found.transferability[modality], found.layout[modality]).numpy()
    if modality == "audio":
        picture = picture.T
    if found.layout[modality]["axes"][0] == "time":
        relevance, weights = relevance.T, weights.T
    origin: Any = "lower" if modality == "audio" else "upper"
    extent = (
        (0, picture.shape[1], 0, picture.shape[0])
        if modality == "audio"
        else (0, picture.shape[1], picture.shape[0], 0)
    )
    strongest = float(np.abs(relevance).max()) or 1.0
    first = found.layout[modality]["prefix"]
    grey = picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114])
    grey = 0.4 + 0.6 * grey  # light and without colour: the colours are those of the map
    for axis in axes:
        shown = picture if axis is axes[0] else grey
        colours: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} if shown.ndim == 2 else {}
        axis.imshow(shown, origin=origin, extent=extent, aspect="auto" if modality == "audio" else "equal", **colours)
        axis.set_xticks([])
        axis.set_yticks([])
    over: dict[str, Any] = {"origin": origin, "extent": extent, "alpha": 0.55, "interpolation": "nearest"}
    over["aspect"] = "auto" if modality == "audio" else "equal"
    drawn = axes[1].imshow(relevance, cmap="RdBu_r", vmin=-strongest, vmax=strongest, **over)
    bars = [axes[1].figure.colorbar(drawn, ax=axes[1], shrink=0.8, label="log-odds")]
    drawn = axes[2].imshow(weights, cmap="viridis", vmin=0, vmax=1, **over)
    bars.append(axes[2].figure.colorbar(drawn, ax=axes[2], shrink=0.8))
    for bar in bars:
        bar.ax.set_facecolor("white")  # as light as what lies under the maps
    axes[0].set_title(modality, fontsize=10)
    whole = sum(
        v for v, at in zip(found.relevance[modality], found.layout[modality]["places"], strict=True) if at < first
    )
    beside = f"\nand {whole:+.2f} of what stands for the whole" if first else ""
    axes[1].set_title(f"relevance: red speaks for, blue against{beside}", fontsize=9)
    axes[2].set_title("transferability:\n0 betrays its domain, 1 does not", fontsize=9)
    if modality == "audio":
        for axis in axes:
            axis.set_xlabel("time")
            axis.set_ylabel("frequency")


def _words(axis: Any, found: "Explanation", modality: str) -> None:
    """Draw the words, wrapped, coloured by relevance."""
    from matplotlib import colormaps

    axis.axis("off")
    axis.set_title(f"{modality}: relevance of its words, red speaks for, blue against", fontsize=10, loc="left")
    shown = words(found.layout[modality]["tokens"], found.relevance[modality])
    strongest = max((abs(v) for _, v in shown), default=0.0) or 1.0
    axis.set_xlim(0, 1)
    lines = _wrapped(shown)
    last = max((line for line, *_ in lines), default=0) + (len(shown) > LONGEST_TEXT)
    axis.set_ylim(-last - 0.6, 0.6)
    for line, left, word, value in lines:
        ground = colormaps["RdBu_r"](0.5 + 0.5 * value / strongest)
        light = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
        axis.text(
            left,
            -line,
            word.replace("$", r"\$"),
            fontsize=9,
            family="monospace",
            color="black" if light > 0.5 else "white",
            va="center",
            bbox={"boxstyle": "square,pad=0.15", "facecolor": ground, "edgecolor": "none"},
        )
    if len(shown) > LONGEST_TEXT:
        axis.text(0.0, -last, f"… words left out: {len(shown) - LONGEST_TEXT}", fontsize=8, va="center")


def _instants(axis: Any, found: "Explanation", modality: str, inputs: Mapping[str, Tensor], theme: Theme) -> None:
    """Draw the tokens in sequence; for a waveform over the sound itself."""
    seen = inputs[modality][0].cpu().numpy()
    values = found.relevance[modality]
    if seen.ndim == 1:
        wave = seen[inputs[f"{modality}.mask"][0].cpu().numpy()]
        axis.plot(np.linspace(0, 1, len(wave)), wave / (np.abs(wave).max() or 1.0), color=theme.muted, linewidth=0.4)
    places = np.linspace(0, 1, len(values))
    strongest = max((abs(v) for v in values), default=0.0) or 1.0
    colours = [FOR if v > 0 else AGAINST for v in values]
    axis.bar(places, np.array(values) / strongest, width=1 / max(1, len(values)), color=colours, alpha=0.7, zorder=3)
    axis.set_title(f"{modality}: relevance of its tokens in their order, red speaks for, blue against", fontsize=10)
    axis.set_xticks([])
    axis.set_xlabel("time" if modality == "audio" else "tokens")


def _picture(modality: str, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """Return the encoder's picture, 0 to 1: [h, w] or [h, w, 3]; for a spectrogram [frames, mels]."""
    seen: np.ndarray = inputs[modality][0].float().cpu().numpy()
    seen = (seen - seen.min()) / ((seen.max() - seen.min()) or 1.0)
    if seen.ndim == 2:
        return seen
    return seen[0] if len(seen) == 1 else seen[:3].transpose(1, 2, 0)
