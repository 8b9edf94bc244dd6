"""Stop a run between two updates: a first Ctrl-C, SIGTERM or SIGHUP asks, a second one insists."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from hubtl import signals

TOGETHER = 2.0  # seconds: a launcher passes on to its processes a signal that the terminal has sent them already


class Interrupted(Exception):
    """Report that a signal stopped the run after a checkpoint in ``folder``."""

    folder: Path | None = None

    def __init__(self, number: Any = None) -> None:
        super().__init__(*([] if number is None else [number]))
        self.number = number if isinstance(number, int) else int(signal.SIGINT)


class StopRequest:
    """Hold whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._when = 0.0

    def __bool__(self) -> bool:
        return self.number is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the signals that end programs, in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if self.number is None:
                self.number, self._when = number, time.monotonic()
            elif "RANK" not in os.environ or time.monotonic() - self._when > TOGETHER:
                raise signals.Ended(number)

        before = signals.replace(ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
