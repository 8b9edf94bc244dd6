"""Show the progress of a run: a bar with losses and time left, or lines in a log."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from hubtl.io import shown
from hubtl.settings import logger


class Bar:
    """Show a progress bar on a terminal; elsewhere log a line after each tenth."""

    def __init__(self, title: str, total: int, *, start: int = 0, shown: bool = True) -> None:
        self.title, self.total, self.start = title, total, start
        self._shown = shown
        self._live = shown and sys.stderr.isatty()
        self._tenth = 1 + 10 * start // total if total else 1  # after which the next line comes

    def __enter__(self) -> "Bar":
        if self._live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[losses]}", markup=False),
                console=Console(file=shown.stderr(), emoji=False),
            )
            self._progress.start()
            self._task = self._progress.add_task(
                shown.line(self.title), total=self.total, completed=self.start, losses=""
            )
        return self

    def advance(self, step: int, losses: Mapping[str, float] | None) -> None:
        """Show that ``step`` updates are done.

        Args:
            step: updates done.
            losses: the losses, where they were read from the device.
        """
        if self._live:
            text: dict[str, Any] = {} if losses is None else {"losses": show(losses)}
            self._progress.update(self._task, completed=step, **text)
        elif self._shown and losses is not None and 10 * step >= self._tenth * self.total:
            logger.info("%s  %d/%d  %s", self.title, step, self.total, show(losses))
            self._tenth = 1 + 10 * step // self.total

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()


def show(losses: Mapping[str, float]) -> str:
    return "  ".join(f"{shown.line(name)} {value:.3f}" for name, value in losses.items())
