"""Combine saved models of ``--keep-ensemble``, which only hubtl loads."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from hubtl.errors import HubtlError
from hubtl.io import jsontext
from hubtl.models.model import AdaptedModel
from hubtl.models.trained import KEPT
from hubtl.record import FORMAT_VERSION
from hubtl.testtime import TestTime

ALONE = "the folder above it holds one model that is like them"


class EnsembleModel(AdaptedModel):
    """Answer with the weighted sum of the members' outputs; each member prepares inputs its own way."""

    def __init__(self, members: Sequence[tuple[AdaptedModel, float]], folder: Path | None = None) -> None:
        first = members[0][0]
        super().__init__(first.classifier, first.info, first.task, str(first.device), folder)
        self.members = list(members)

    def parts(self) -> list[tuple[AdaptedModel, float]]:
        """Return the members with their factors."""
        return self.members

    def logits(self, images: Sequence[Any]) -> Tensor:
        """Return outputs [b, c] of PIL images or of rows. Rows have several modalities; outputs are on the CPU."""
        return self.mixed([member.logits(images) for member, _ in self.members])

    def mixed(self, outputs: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum of the members' outputs."""
        total = torch.zeros_like(outputs[0])
        for seen, (_, count) in zip(outputs, self.members, strict=True):
            total = total + count * seen
        return total

    def explain(self, row: Any, *, label: str | None = None, **options: Any) -> NoReturn:
        """Raise HubtlError: only single models are explained."""
        raise HubtlError("several models together are not explained", hint=ALONE)

    def test_time(self, method: str, options: Mapping[str, Any] | None = None) -> NoReturn:
        """Raise HubtlError: only single models adapt at test time."""
        raise HubtlError("several models together do not adapt at test time", hint=ALONE)

    def _seen(
        self,
        inputs: Any,
        batch_size: int,
        on_bad_sample: str,
        tta: TestTime | str | None = None,
        tta_options: Mapping[str, Any] | None = None,
        tta_seed: int | None = 0,
    ) -> list[tuple[int, str, Tensor]]:
        if tta is not None:
            self.test_time(str(tta))
        inputs = list(inputs) if isinstance(inputs, Iterator) else inputs  # each member goes through them
        seen = [
            {place: (name, row) for place, name, row in member._seen(inputs, batch_size, on_bad_sample)}
            for member, _ in self.members
        ]
        read = sorted(set.intersection(*(set(rows) for rows in seen)))  # what one of them cannot read is left out
        return [(place, seen[0][place][0], self.mixed([rows[place][1] for rows in seen])) for place in read]


def write(folder: Path, counts: Sequence[float]) -> None:
    """Write ``hubtl.json``, which declares the folders 0, 1, … beside it as members."""
    parts = [{"folder": str(number), "count": count} for number, count in enumerate(counts)]
    jsontext.save(folder / "hubtl.json", {"format_version": FORMAT_VERSION, KEPT: parts})
