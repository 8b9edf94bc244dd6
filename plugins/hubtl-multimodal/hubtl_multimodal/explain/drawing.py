"""An explanation as one picture: modalities, maps on picture, words and spectrogram, and the deletion test."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from hubtl_multimodal.explain.layout import on_grid, words

if TYPE_CHECKING:
    from hubtl_multimodal.backbone import MultimodalBackbone
    from hubtl_multimodal.explain import Explanation

FOR, AGAINST, PLAIN = "#b2182b", "#2166ac", "#555555"
LONGEST_TEXT = 60  # words that are drawn


def draw(
    found: "Explanation",
    backbone: "MultimodalBackbone",
    row: Mapping[str, Any],
    inputs: Mapping[str, Tensor],
    path: Path,
) -> None:
    """Write the picture: a row for each modality that is present (input, relevance, transferability), figures above."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    present = list(found.relevance)
    figure = plt.figure(figsize=(11, 3.4 + 3.0 * len(present)), layout="constrained")
    grid = figure.add_gridspec(1 + len(present), 3)
    _modalities(figure.add_subplot(grid[0, 0]), found)
    _deletion(figure.add_subplot(grid[0, 1]), found)
    _classes(figure.add_subplot(grid[0, 2]), found)
    for place, modality in enumerate(present, 1):
        if found.layout[modality]["kind"] == "words":
            _words(figure.add_subplot(grid[place, :]), found, modality)
        elif found.layout[modality]["kind"] == "grid":
            picture = _picture(modality, inputs)
            across = found.layout[modality]["axes"][0] == "time"
            axes = [figure.add_subplot(grid[place, column]) for column in range(3)]
            _maps(axes, found, modality, picture, across=across)
        else:
            _instants(figure.add_subplot(grid[place, :]), found, modality, inputs)
    figure.suptitle(f"{found.label}: {100 * found.probability:.1f} %", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _modalities(axis: Any, found: "Explanation") -> None:
    names = list(found.modalities)
    values = [100 * found.modalities[name] for name in names]
    axis.barh(names[::-1], values[::-1], color=[FOR if v > 0 else AGAINST for v in values[::-1]])
    axis.axvline(0, color=PLAIN, linewidth=0.8)
    axis.set_title(f"what each modality added\n(from {100 * found.nothing:.0f} % with none; Shapley)", fontsize=10)
    axis.set_xlabel("points of probability")


def _deletion(axis: Any, found: "Explanation") -> None:
    test = found.deletion
    shares = [100 * s for s in test["shares"]]
    axis.plot(
        shares, [100 * p for p in test["top"]], color=FOR, label=f"most relevant first, area {test['top_area']:.2f}"
    )
    label = f"random, area {test['random_area']:.2f} ± {test['random_sd']:.2f}"
    axis.plot(shares, [100 * p for p in test["random"]], color=PLAIN, linestyle="--", label=label)
    axis.set_title("deletion test\n" + ("the map holds" if test["faithful"] else "the map does NOT hold"), fontsize=10)
    axis.set_xlabel("tokens taken away, %")
    axis.set_ylabel("probability, %")
    axis.set_ylim(0, 102)
    axis.legend(fontsize=8, loc="upper right")


def _classes(axis: Any, found: "Explanation") -> None:
    best = sorted(found.probabilities.items(), key=lambda item: -item[1])[:6][::-1]
    colours = [FOR if name == found.label else PLAIN for name, _ in best]
    axis.barh([name for name, _ in best], [100 * p for _, p in best], color=colours)
    axis.set_xlim(0, 100)
    lines = [f"{n.label or 'row'} (row {n.row}): {n.cosine:.2f}" for n in found.neighbours]
    axis.set_title(
        "probabilities" + ("\nnearest: " + ", ".join(lines) if lines else ""), fontsize=10 if not lines else 8
    )
    axis.set_xlabel("%")


def _maps(axes: list[Any], found: "Explanation", modality: str, picture: np.ndarray, *, across: bool) -> None:
    """Input, relevance and transferability; ``across``: the first axis of the map is time, and is drawn from left to right."""
    relevance = on_grid(found.relevance[modality], found.layout[modality]).numpy()
    weights = on_grid(found.transferability[modality], found.layout[modality]).numpy()
    if across:
        relevance, weights, picture = relevance.T, weights.T, picture.T
    origin: Any = "lower" if modality == "audio" else "upper"
    extent = (
        (0, picture.shape[1], 0, picture.shape[0])
        if modality == "audio"
        else (0, picture.shape[1], picture.shape[0], 0)
    )
    strongest = float(np.abs(relevance).max()) or 1.0
    colours: dict[str, Any] = {"cmap": "gray"} if picture.ndim == 2 else {}
    for axis in axes:
        axis.imshow(picture, origin=origin, extent=extent, aspect="auto" if modality == "audio" else "equal", **colours)
        axis.set_xticks([])
        axis.set_yticks([])
    over: dict[str, Any] = {"origin": origin, "extent": extent, "alpha": 0.55, "interpolation": "nearest"}
    over["aspect"] = "auto" if modality == "audio" else "equal"
    drawn = axes[1].imshow(relevance, cmap="RdBu_r", vmin=-strongest, vmax=strongest, **over)
    axes[1].figure.colorbar(drawn, ax=axes[1], shrink=0.8, label="log-odds")
    drawn = axes[2].imshow(weights, cmap="viridis", vmin=0, vmax=1, **over)
    axes[2].figure.colorbar(drawn, ax=axes[2], shrink=0.8, label="0 betrays its domain, 1 does not")
    axes[0].set_title(modality, fontsize=10)
    axes[1].set_title("relevance: red speaks for, blue against", fontsize=10)
    axes[2].set_title("transferability", fontsize=10)
    if modality == "audio":
        for axis in axes:
            axis.set_xlabel("time")
            axis.set_ylabel("frequency")


def _words(axis: Any, found: "Explanation", modality: str) -> None:
    """The words on a ground of the colour of their relevance, wrapped."""
    from matplotlib import colormaps

    axis.axis("off")
    axis.set_title(f"{modality}: relevance of its words, red speaks for, blue against", fontsize=10, loc="left")
    shown = words(found.layout[modality]["tokens"], found.relevance[modality])
    strongest = max((abs(v) for _, v in shown), default=0.0) or 1.0
    left, top = 0.0, 0.92
    for word, value in shown[:LONGEST_TEXT]:
        wide = 0.011 * (len(word) + 1.2)
        if left + wide > 1.0:
            left, top = 0.0, top - 0.13
        ground = colormaps["RdBu_r"](0.5 + 0.5 * value / strongest)
        light = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
        axis.text(
            left,
            top,
            word.replace("$", r"\$"),
            fontsize=9,
            family="monospace",
            color="black" if light > 0.5 else "white",
            transform=axis.transAxes,
            bbox={"boxstyle": "square,pad=0.15", "facecolor": ground, "edgecolor": "none"},
        )
        left += wide
    if len(shown) > LONGEST_TEXT:
        axis.text(
            0.0, top - 0.13, f"… and {len(shown) - LONGEST_TEXT} words more", fontsize=8, transform=axis.transAxes
        )


def _instants(axis: Any, found: "Explanation", modality: str, inputs: Mapping[str, Tensor]) -> None:
    wave = inputs[modality][0].cpu().numpy()
    values = found.relevance[modality]
    axis.plot(np.linspace(0, 1, len(wave)), wave / (np.abs(wave).max() or 1.0), color=PLAIN, linewidth=0.5)
    places = np.linspace(0, 1, len(values))
    strongest = max((abs(v) for v in values), default=0.0) or 1.0
    colours = [FOR if v > 0 else AGAINST for v in values]
    axis.bar(places, np.array(values) / strongest, width=1 / max(1, len(values)), color=colours, alpha=0.5)
    axis.set_title(f"{modality}: relevance over time, red speaks for, blue against", fontsize=10)
    axis.set_xticks([])
    axis.set_xlabel("time")


def _picture(modality: str, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """What the encoder saw, in grey or colour, 0 to 1: [h, w] or [h, w, 3]; of a spectrogram [frames, mels]."""
    seen = inputs[modality][0].float().cpu().numpy()
    seen = (seen - seen.min()) / ((seen.max() - seen.min()) or 1.0)
    if seen.ndim == 2:
        return seen
    return seen[0] if len(seen) == 1 else seen[:3].transpose(1, 2, 0)
