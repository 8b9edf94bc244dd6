"""Hold rows to predict for a model of one modality. Its backbone brings the reader."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from hubtl.data.inputs import each_row, given
from hubtl.modalities.rows import collated, ranged, say_cut


class ReadIntake:
    """Prepare inputs with the readers of a backbone."""

    whole = False

    def __init__(self, backbone: Any, readers: Mapping[str, Any]) -> None:
        self.readers = ranged(readers, backbone.ranges)
        (self.name,) = self.readers
        self._said = False  # that something was cut

    def each(self, inputs: Any) -> Iterable[tuple[str, Any]]:
        """Name and row of every input."""
        return each_row(inputs, (self.name,))

    def read(self, value: Any) -> Mapping[str, Tensor]:
        """Make a batch of one row. Raises HubtlError for one that cannot be read."""
        return self.batch([value])

    def batch(self, values: Sequence[Any]) -> dict[str, Tensor]:
        """Make a batch of rows (modality -> cell) or of plain cells."""
        rows = [one if isinstance(one, Mapping) and self.name in one else {self.name: one} for one in values]
        self._said = self._said or say_cut(self.readers, rows)
        return collated(self.readers, rows)

    def value(self, cells: Mapping[str, Any]) -> Any:
        """Return a row of the cells that are there."""
        return given(cells)
