"""Measure each part's relevance by removing it. The map is tested by deletion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hubtl.card.themes import THEMES, Theme
from hubtl.io import jsontext
from hubtl.io.shown import line

BEATEN = 0.95  # of the random orders; a map that means nothing is one of them, and passes 1 time in 20
POINTS = 9  # of a curve: nothing, an eighth, … everything taken away

Forward = Callable[[Mapping[str, Tensor]], Tensor]  # inputs as the model takes them -> logits [n, classes], on the CPU


class Cover(Protocol):
    """Follow ``hubtl.modalities.base.Cover``."""

    name: str
    windows: Tensor
    times: int
    layout: dict[str, Any]

    def without(self, gone: Tensor) -> Any: ...

    def draw(self, plain: Any, mapped: Any, relevance: np.ndarray, theme: Any) -> Any: ...


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
    cover: Cover,
    classes: Sequence[str],
    *,
    label: str | None = None,
    orders: int = 20,
    seed: int = 0,
    folder: Path | None = None,
) -> Explanation:
    """Explain a class score by removing parts of a row. It goes window by window.

    A part's relevance is the mean drop in the class's log-odds over the windows that hold it. In the deletion test parts
    are taken away most relevant first, and in ``orders`` random orders.

    Args:
        forward: maps inputs to logits.
        cover: takes parts of the row away, as its modality does.
        classes: the names of the classes.
        label: the class to explain; None takes the predicted one.
        orders: random orders of the deletion test.
        seed: seed of these orders.
        folder: gets ``explanation.json``, ``explanation.png`` and ``explanation-dark.png`` (for dark pages).

    Raises:
        ValueError: for a label that the model does not have.
    """
    odds = _Odds(forward, cover)
    logits = odds.logits(torch.zeros(1, cover.windows.shape[1], dtype=torch.bool))
    odds.index = int(logits.argmax()) if label is None else list(classes).index(label)
    relevance = odds.relevance()
    probabilities = logits[0].softmax(dim=0)
    own = float(probabilities[odds.index])
    nothing = float(odds.probabilities(torch.ones(1, cover.windows.shape[1], dtype=torch.bool))[0])
    found = Explanation(
        label=classes[odds.index],
        index=odds.index,
        probability=own,
        probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
        nothing=nothing,
        modalities={cover.name: own - nothing},
        relevance={cover.name: [round(float(v), 6) for v in relevance]},
        layout={cover.name: cover.layout},
        deletion=_deletion(odds, relevance, orders, torch.Generator().manual_seed(seed)),
        seed=seed,
    )
    if folder is not None:
        found.save(folder)
        for theme in THEMES:
            _draw(found, cover, folder / f"explanation{theme.suffix}.png", theme)
    return found


class _Odds:
    """Score one class of a row with parts taken away."""

    def __init__(self, forward: Forward, cover: Cover) -> None:
        self.forward, self.cover, self.index = forward, cover, 0

    def logits(self, gone: Tensor) -> Tensor:
        """Return logits [n, classes] without some parts. They are True in ``gone`` [n, parts]."""
        return torch.cat([self.forward(inputs) for inputs in self.cover.without(gone)])

    def probabilities(self, gone: Tensor) -> Tensor:
        return self.logits(gone).softmax(dim=1)[:, self.index]

    def log_odds(self, gone: Tensor) -> Tensor:
        logits = self.logits(gone)
        others = torch.cat([logits[:, : self.index], logits[:, self.index + 1 :]], dim=1)
        return logits[:, self.index] - others.logsumexp(dim=1)

    def relevance(self) -> Tensor:
        """Return the cost of taking each part away [parts]."""
        windows = self.cover.windows
        odds = self.log_odds(torch.cat([windows, torch.zeros_like(windows[:1])]))  # the last one takes nothing
        lost = odds[-1] - odds[:-1]
        return (windows.float() * lost[:, None]).sum(dim=0) / self.cover.times


def _deletion(odds: _Odds, relevance: Tensor, orders: int, generator: torch.Generator) -> dict[str, Any]:
    """Return curves of the probability while parts are removed. The areas under them come second."""
    n = len(relevance)
    shares = np.linspace(0, 1, POINTS)
    gone = torch.from_numpy(np.round(shares * n)).long()

    def curve(order: Tensor) -> np.ndarray:
        rank = torch.empty_like(order)
        rank[order] = torch.arange(n)
        return odds.probabilities(rank[None, :] < gone[:, None]).numpy()

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


def _draw(found: Explanation, cover: Cover, path: Path, theme: Theme) -> None:
    """Draw row, map and deletion test side by side. No state of pyplot: a demo draws in a thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained", facecolor=theme.page)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    drawn = cover.draw(axes[0], axes[1], np.array(found.relevance[cover.name]), theme)
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
    axes[2].set_xlabel("parts taken away, %", color=theme.ink)
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
