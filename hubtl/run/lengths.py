"""Decide how much of a cell a model reads, by training rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hubtl.backbones.base import Backbone
from hubtl.data import content
from hubtl.data.sources import Domain
from hubtl.modalities.lengths import MOST, Lengths, chosen, said
from hubtl.modalities.rows import UNREADABLE
from hubtl.plugins import modalities
from hubtl.run.decisions import Decisions

SAMPLE = 5000  # rows of a split that are measured, evenly from its start to its end


def by_lengths(
    decisions: Decisions, backbone: Backbone, domains: Sequence[Domain], load: Callable[[Mapping[str, Any]], Backbone]
) -> Backbone:
    """Decide open lengths and windows, and return the backbone with them.

    Args:
        decisions: the decisions so far.
        backbone: the backbone.
        domains: the domains whose training rows are measured.
        load: loads the backbone again with options.
    """
    rows = decisions.recipe.run.batch_size
    for modality in backbone.lengths_open:
        spec: Lengths | None = backbone.readers[modality].lengths
        found = [size for domain in domains for size in sizes(backbone, domain, modality, ("train",))]
        if spec is None or not found:
            continue
        length, windows = chosen(spec, found, rows, windowed=backbone.windowed)
        length = int(length) if spec.unit == "tokens" else round(length, 3)
        plural, longest = modalities.of(modality).plural, f"the longest has {max(found):,.4g} {spec.unit}"
        share = f"{spec.covers:.0%}" if backbone.windowed else "all"
        if length < spec.limit and length * rows + spec.step <= spec.batch:
            why = f"it holds {share} of {len(found):,} training {plural} whole; {longest}"
        else:
            why = f"the most that the model, or {rows} rows of a batch, hold; of {len(found):,} training {plural} {longest}"
        decisions.decide(f"model.options.{spec.option}", length, why)
        if backbone.windowed:
            decisions.decide(
                "model.options.windows", windows, f"as many windows as the longest of them has, up to {MOST}"
            )
    options = decisions.recipe.model.options
    return backbone if options == decisions.given.model.options else load(options)


def sizes(backbone: Backbone, domain: Domain, modality: str, splits: Sequence[str] = ("train", "eval")) -> list[float]:
    """Return the sizes of a domain's cells, sampled in each split.

    Unreadable and missing ones are left out.
    """
    reader, column, found = backbone.readers[modality], domain.columns.get(modality), []
    for split in splits if column is not None else ():
        dataset = getattr(domain, split)
        if dataset is None or not len(dataset):
            continue
        cells = content.undecoded(dataset.select_columns([column]))
        for place in np.unique(np.linspace(0, len(cells) - 1, min(SAMPLE, len(cells)), dtype=np.int64)):
            cell = cells[int(place)][column]
            try:
                if not reader.missing(cell):
                    found.append(float(reader.size(cell)))
            except UNREADABLE:
                continue  # met again, and said, where the row is read
    return found


def usage(backbone: Backbone, domains: Sequence[Domain]) -> list[str]:
    """Say how much of each modality's cells is read."""
    found = []
    for modality, reader in backbone.readers.items():
        spec = getattr(reader, "lengths", None)
        measured = [] if spec is None else [size for d in domains for size in sizes(backbone, d, modality)]
        if spec is not None and measured:
            found.append(said(modalities.of(modality).plural, spec, measured, getattr(reader, "count", 1)))
    return found
