"""Read the streams of one phase in micro-batches, from any position on."""

from collections.abc import Collection, Mapping
from typing import Any

from hubtl.batch import Batch
from hubtl.data.rows import Rows
from hubtl.data.streams import StepBatches, load
from hubtl.engine.setup import Setup
from hubtl.errors import HubtlError


class Feed:
    """Load micro-batches onto the device, with the ``views`` of each stream.

    ``drawn`` counts them.
    """

    def __init__(
        self, setup: Setup, streams: Mapping[str, Rows], number: int, views: Mapping[str, Collection[str]]
    ) -> None:
        self.setup = setup
        self.drawn = 0
        self.batches = StepBatches(
            streams,
            batch_size=setup.run.batch_size,
            seed=setup.run.seed + 1_000_003 * number,
            rank=setup.accelerator.process_index,
            world=setup.accelerator.num_processes,
            views=views,
        )
        self._loader: Any = iter(())

    def open(self, left: int) -> None:
        """Start reading the next ``left`` micro-batches."""
        self._loader = load(self.batches, self.drawn, self.drawn + left, num_workers=self.setup.num_workers)

    def draw(self) -> dict[str, Batch]:
        self.drawn += 1
        return {name: batch.to(self.setup.accelerator.device) for name, batch in next(self._loader).items()}


def open_stream(streams: Mapping[str, Rows], name: str, who: str = "the strategy") -> Rows:
    """Return a stream by its name.

    Args:
        streams: the streams of the run.
        name: the name of one.
        who: who asked, for the error.

    Raises:
        HubtlError: if the run does not have it.
    """
    if name not in streams:
        raise HubtlError(
            f"{who} needs a {name} stream, and the run has only: {', '.join(streams)}",
            hint=f"--{name}-dataset, or another --strategy",
        )
    return streams[name]
