"""Read features of a frozen backbone, for the probes of an inspection."""

from collections.abc import Sequence

import numpy as np

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.data.origin import select
from hubtl.data.reading import open_rows
from hubtl.engine.device import make_accelerator
from hubtl.errors import HubtlError
from hubtl.recipe.schema import RunSection
from hubtl.run.features import FeatureReader
from hubtl.studies.inspection.examining import Features
from hubtl.studies.inspection.opening import Data


class Frozen:
    """Read features of rows with one model, cached as in training."""

    def __init__(
        self, name: str, outputs: Sequence[str], *, pretrained: bool, image_size: int | None, device: str | None
    ) -> None:
        request = BackboneRequest(list(outputs) or ["rows"], pretrained, image_size=image_size, keep_classifier=True)
        self.backbone = backbones.resolve(name, request)
        self.name = self.backbone.info.name
        self.reader = FeatureReader(self.backbone, make_accelerator(RunSection(device=device), None))

    def read(self, data: Data, rows: Features) -> Features:
        """Return the features of the same rows. Raises HubtlError for a modality that the data lack."""
        takes = self.backbone.info.modalities
        if lacking := [one for one in takes if one not in data.columns]:
            raise HubtlError(
                f"{data.shown} has no column for {lacking[0]}, which {self.name} takes", hint="another --model"
            )
        columns = {one: data.columns[one] for one in takes}
        parts = []
        for split in dict.fromkeys(split for split, _ in rows.rows):
            own = [row for name, row in rows.rows if name == split]
            images = open_rows(
                self.backbone, select(data.splits[split], own), columns, labels=None, name=f"{data.shown}/{split}"
            )
            kept = self.reader.read(images)
            parts.append(kept.fetch(range(len(kept))).inputs["features"].numpy())
        return Features(f"frozen features of {self.name}", rows.rows, np.concatenate(parts) if parts else None)
