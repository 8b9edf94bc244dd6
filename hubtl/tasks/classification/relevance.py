"""Measure the relevance of each place of an image by occlusion, and test the map by deletion."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.card.themes import THEMES, Theme
from hubtl.io import jsontext
from hubtl.io.shown import line

CELLS = 7  # along a side, of 4 pixels at least
BEATEN = 0.95  # of the random orders; a map that means nothing is one of them, and passes 1 time in 20
POINTS = 9  # of a curve: nothing, an eighth, … everything covered
ROWS = 32  # covered images at a time

Forward = Callable[[Tensor], Tensor]  # images [n, c, h, w] as the model takes them -> logits [n, classes], on the CPU


@dataclass(frozen=True)
class Explanation:
    """Hold the JSON of ``hubtl explain``, for one image or several modalities."""

    label: str  # what is explained: the prediction, unless another class was asked for
    index: int
    probability: float
    probabilities: dict[str, float]
    nothing: float  # probability of the label when everything is taken away
    modalities: dict[str, float]  # what each added: they add up to probability - nothing
    relevance: dict[str, list[float]]  # modality -> of each cell or token, in log-odds; positive speaks for the label
    layout: dict[str, dict[str, Any]]  # modality -> what these are: a grid (row by row), words, or instants
    deletion: dict[str, Any]  # probability of the label while they are taken away, and the areas under the curves
    seed: int = 0
    transferability: dict[str, list[float]] = field(default_factory=dict)  # of tokens: 0 (betrays its domain) to 1
    neighbours: list[Any] = field(default_factory=list)  # source rows that the model sees as alike
    samples: int = 0  # random subsets that relevance was measured with

    def save(self, folder: Path) -> None:
        """Write ``explanation.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        jsontext.save(folder / "explanation.json", asdict(self))


def explain(
    forward: Forward,
    image: Tensor,
    classes: Sequence[str],
    *,
    label: str | None = None,
    orders: int = 20,
    seed: int = 0,
    folder: Path | None = None,
    shown: np.ndarray | None = None,
) -> Explanation:
    """Explain a class score by covering the image with its mean colour, window by window.

    The image is cut into cells, 7 × 7 of them if it has enough pixels. A window of 2 × 2 cells moves by one cell
    (Zeiler & Fergus, arXiv:1311.2901). A cell's relevance is the mean drop in the class's log-odds over the windows
    that cover it. In the deletion test cells are covered most relevant first, and in ``orders`` random orders. About
    240 forwards in all.

    Args:
        forward: maps images [b, c, h, w] to logits.
        image: the image [1, c, h, w].
        classes: the names of the classes.
        label: the class to explain; None takes the predicted one.
        orders: random orders of the deletion test.
        seed: seed of these orders.
        folder: gets ``explanation.json``, ``explanation.png`` and ``explanation-dark.png`` (for dark pages).
        shown: the uint8 pixels [c, h, w] to draw over.

    Raises:
        ValueError: for a label that the model does not have.
    """
    logits = forward(image)
    index = int(logits.argmax()) if label is None else list(classes).index(label)
    cover = _Cover(forward, image, index)
    relevance = cover.relevance()
    probabilities = logits[0].softmax(dim=0)
    nothing = float(cover.probabilities(torch.ones(1, cover.side**2, dtype=torch.bool))[0])
    found = Explanation(
        label=classes[index],
        index=index,
        probability=float(probabilities[index]),
        probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
        nothing=nothing,
        modalities={"image": float(probabilities[index]) - nothing},
        relevance={"image": [round(float(v), 6) for v in relevance]},
        layout={"image": {"kind": "grid", "rows": cover.side, "columns": cover.side, "axes": ["y", "x"]}},
        deletion=_deletion(cover, relevance, orders, torch.Generator().manual_seed(seed)),
        seed=seed,
    )
    if folder is not None:
        found.save(folder)
        if shown is not None:
            for theme in THEMES:
                _draw(found, shown, folder / f"explanation{theme.suffix}.png", theme)
    return found


class _Cover:
    """Hold an image whose cells may be covered, and score one class."""

    def __init__(self, forward: Forward, image: Tensor, index: int) -> None:
        self.forward, self.image, self.index = forward, image, index
        height, width = image.shape[-2:]
        self.side = max(1, min(CELLS, height // 4, width // 4))
        self.y, self.x = (np.linspace(0, n, self.side + 1).round().astype(int) for n in (height, width))
        self.colour = image.mean(dim=(2, 3), keepdim=True)

    def logits(self, covered: Tensor) -> Tensor:
        """Return logits [n, classes] for masks ``covered`` [n, cells] of covered cells."""
        grid = covered.reshape(-1, self.side, self.side)
        across = torch.from_numpy(np.diff(self.x))
        down = torch.from_numpy(np.diff(self.y))
        found = []
        for some in grid.split(ROWS):
            mask = some.repeat_interleave(down, dim=1).repeat_interleave(across, dim=2)[:, None]
            found.append(self.forward(torch.where(mask, self.colour, self.image)))
        return torch.cat(found)

    def probabilities(self, covered: Tensor) -> Tensor:
        return self.logits(covered).softmax(dim=1)[:, self.index]

    def log_odds(self, covered: Tensor) -> Tensor:
        logits = self.logits(covered)
        others = torch.cat([logits[:, : self.index], logits[:, self.index + 1 :]], dim=1)
        return logits[:, self.index] - others.logsumexp(dim=1)

    def relevance(self) -> Tensor:
        """Return the relevance [cells]; each cell is in four windows, some half outside the image."""
        windows = torch.zeros((self.side + 1) ** 2 + 1, self.side, self.side, dtype=torch.bool)
        for number in range((self.side + 1) ** 2):  # the last one covers nothing
            y, x = divmod(number, self.side + 1)
            windows[number, max(0, y - 1) : y + 1, max(0, x - 1) : x + 1] = True
        odds = self.log_odds(windows.flatten(1))
        lost = odds[-1] - odds[:-1]
        return (windows[:-1].flatten(1).float() * lost[:, None]).sum(dim=0) / 4


def _deletion(cover: _Cover, relevance: Tensor, orders: int, generator: torch.Generator) -> dict[str, Any]:
    """Return curves and areas as ``hubtl_multimodal.explain.deletion`` does."""
    n = len(relevance)
    shares = np.linspace(0, 1, POINTS)
    gone = torch.from_numpy(np.round(shares * n)).long()

    def curve(order: Tensor) -> np.ndarray:
        rank = torch.empty_like(order)
        rank[order] = torch.arange(n)
        return cover.probabilities(rank[None, :] < gone[:, None]).numpy()

    top = curve(relevance.argsort(descending=True, stable=True))
    random = np.stack([curve(torch.randperm(n, generator=generator)) for _ in range(orders)])
    areas, area = np.trapezoid(random, shares, axis=1), float(np.trapezoid(top, shares))
    beaten = int((areas > area).sum())
    return {
        "shares": [round(float(s), 4) for s in shares],
        "top": top.tolist(),
        "random": random.mean(axis=0).tolist(),
        "top_area": area,
        "random_area": float(areas.mean()),
        "random_sd": float(areas.std()),
        "beaten": beaten,
        "orders": orders,
        "faithful": beaten >= BEATEN * orders,
    }


def _draw(found: Explanation, shown: np.ndarray, path: Path, theme: Theme) -> None:
    """Draw image, map and deletion test side by side.

    It uses no state of pyplot, because a demo draws in a thread.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained", facecolor=theme.page)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    picture = shown.transpose(1, 2, 0) / 255
    picture = picture[..., 0] if picture.shape[2] == 1 else picture[..., :3]
    grey = 0.4 + 0.6 * (picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114]))
    side = found.layout["image"]["rows"]
    relevance = np.array(found.relevance["image"]).reshape(side, side)
    strongest = float(np.abs(relevance).max()) or 1.0
    extent = (0, picture.shape[1], picture.shape[0], 0)
    for axis, seen in ((axes[0], picture), (axes[1], grey)):
        axis.imshow(seen, extent=extent, vmin=0, vmax=1, cmap="gray")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_title("image, as the model sees it", fontsize=10, color=theme.ink)
    drawn = axes[1].imshow(
        relevance, extent=extent, cmap="RdBu_r", vmin=-strongest, vmax=strongest, alpha=0.55, interpolation="nearest"
    )
    bar = figure.colorbar(drawn, ax=axes[1], shrink=0.8)
    bar.set_label("log-odds", color=theme.ink)
    axes[1].set_title("relevance: red speaks for, blue against", fontsize=10, color=theme.ink)
    test = found.deletion
    percent = [100 * s for s in test["shares"]]
    said = f"random, area {test['random_area']:.2f} ± {test['random_sd']:.2f}"
    first = f"most relevant first, area {test['top_area']:.2f}"
    axes[2].plot(percent, [100 * p for p in test["top"]], color=theme.worse, label=first)
    axes[2].plot(percent, [100 * p for p in test["random"]], color=theme.muted, linestyle="--", label=said)
    verdict = "deletion test: " + ("the map holds" if test["faithful"] else "the map does NOT hold")
    axes[2].set_title(verdict, fontsize=10, color=theme.ink)
    axes[2].set_xlabel("cells covered, %", color=theme.ink)
    axes[2].set_ylabel("probability, %", color=theme.ink)
    axes[2].set_ylim(0, 140)  # room for the legend
    axes[2].set_yticks(range(0, 101, 20))
    axes[2].legend(fontsize=8, loc="upper center", facecolor=theme.page, edgecolor=theme.grid, labelcolor=theme.ink)
    for axis in (*axes, bar.ax):
        axis.set_facecolor("white" if axis is bar.ax else theme.page)  # as it is under the map
        axis.tick_params(colors=theme.ink)
        for spine in axis.spines.values():
            spine.set_edgecolor(theme.muted)
    name = found.label if len(found.label) <= 60 else found.label[:59] + "…"
    title = f"{line(name)}: {100 * found.probability:.1f} %"
    figure.suptitle(title, fontsize=13, color=theme.ink, parse_math=False)
    figure.savefig(path, dpi=110)
