"""Stopping a run between two updates: a first Ctrl-C (or SIGTERM) asks, a second one insists."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop, and stopped after a checkpoint in ``folder``."""

    folder: Path | None = None


class StopRequest:
    """True once a signal has asked to stop."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM; elsewhere than in the main thread, to nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: FrameType | None) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
