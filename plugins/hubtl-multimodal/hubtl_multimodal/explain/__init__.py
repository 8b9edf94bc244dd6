"""Explain a prediction by modalities and tokens, and test the explanation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hubtl.card.themes import THEMES
from hubtl.modules import Classifier
from hubtl.tasks.classification.relevance import Explanation as Explanation
from hubtl_multimodal.explain import deletion, drawing, layout, values
from hubtl_multimodal.explain.game import Game

if TYPE_CHECKING:
    from hubtl_multimodal.backbone import MultimodalBackbone


@dataclass(frozen=True)
class Neighbour:
    """Hold a similar source row."""

    row: int
    label: str | None
    cosine: float  # of the fused features


def explain(
    classifier: Classifier,
    classes: Sequence[str],
    row: Mapping[str, Any],
    *,
    label: str | None = None,
    samples: int = 1024,
    orders: int = 20,
    seed: int = 0,
    source: Sequence[tuple[Mapping[str, Any], str | None]] = (),
    neighbours: int = 3,
    folder: Path | None = None,
) -> Explanation:
    """Explain the prediction for one row (modality -> cell).

    Args:
        classifier: the model, with a ``MultimodalBackbone``.
        classes: names, in the order of the logits.
        row: as ``hubtl.load(…).predict`` takes it.
        label: the class to explain; None: the predicted one.
        samples: number of random token subsets to estimate relevance from.
        orders: number of random orders in the deletion test.
        seed: seed of both.
        source: labelled rows to find the nearest among.
        neighbours: number of nearest rows.
        folder: gets ``explanation.json`` and ``explanation.png``.

    Raises:
        HubtlError: for an unreadable row.
        ValueError: for a label that the model does not have.
    """
    backbone: MultimodalBackbone = classifier.encoder.backbone  # type: ignore[assignment]
    device = next(classifier.parameters()).device
    inputs = {name: value.to(device) for name, value in backbone.collate([row]).items()}
    game = Game(classifier, inputs)
    probabilities = game.probabilities(game.everything())[0]
    index = int(probabilities.argmax()) if label is None else list(classes).index(label)
    shares, nothing = values.shapley(game, index)
    generator = torch.Generator().manual_seed(seed)
    relevance = values.banzhaf(game, index, samples, generator)
    tested = deletion.run(game, index, relevance, orders, generator)
    found = Explanation(
        label=classes[index],
        index=index,
        probability=float(probabilities[index]),
        probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
        nothing=nothing,
        modalities=shares,
        relevance={m: _rounded(value) for m, value in relevance.items()},
        transferability={m: _rounded(value) for m, value in values.transferability(game).items()},
        layout={m: layout.of(backbone, m, inputs, game.places[m].cpu()) for m in game.present},
        deletion=tested.as_dict(),
        neighbours=_nearest(classifier, inputs, source, neighbours),
        samples=samples,
        seed=seed,
    )
    if folder is not None:
        found.save(folder)
        for theme in THEMES:
            drawing.draw(found, backbone, row, inputs, folder / f"explanation{theme.suffix}.png", theme)
    return found


def _rounded(value: Tensor) -> list[float]:
    return [round(float(v), 6) for v in value]


@torch.no_grad()
def _nearest(
    classifier: Classifier, inputs: Mapping[str, Tensor], source: Sequence[tuple[Mapping[str, Any], str | None]], k: int
) -> list[Neighbour]:
    """Return the source rows with the largest cosine to this row's features."""
    if not source:
        return []
    backbone: MultimodalBackbone = classifier.encoder.backbone  # type: ignore[assignment]
    device = next(classifier.parameters()).device
    features = []
    for start in range(0, len(source), 64):
        rows = [row for row, _ in source[start : start + 64]]
        features.append(_feature(classifier, {n: v.to(device) for n, v in backbone.collate(rows).items()}))
    normal = torch.nn.functional.normalize(torch.cat(features).float(), dim=1)
    own = torch.nn.functional.normalize(_feature(classifier, inputs).float(), dim=1)
    cosines = (normal @ own[0]).cpu().numpy()
    best = np.argsort(-cosines)[:k]
    return [Neighbour(int(i), source[int(i)][1], round(float(cosines[i]), 4)) for i in best]


def _feature(classifier: Classifier, inputs: Mapping[str, Tensor]) -> Tensor:
    out = classifier.encoder(inputs)
    parts = out.parts or {}
    feature: Tensor = parts.get("fused", out.pooled)
    return feature
