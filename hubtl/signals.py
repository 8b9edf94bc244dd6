"""Handle signals that ask a program to end, and their exit codes."""

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """Report that a signal asked the program to end."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def exit_code(error: BaseException | None) -> int:
    """Return 128 plus the signal's number, as shells do."""
    return 128 + int(getattr(error, "number", None) or signal.SIGINT)


def listen() -> None:
    """Turn the signals into Ended.

    A signal during an import ends the program at once: an exception in the middle of an import may be lost, or be
    replaced by another.
    """
    replace(_end)


def replace(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set a handler for each signal that is not ignored; return the previous handlers.

    Signals are ignored under nohup, for example.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    kept = {number: known for number, known in before.items() if known not in (signal.SIG_IGN, None)}
    for number in kept:
        signal.signal(number, handler)
    return kept


def _end(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        if at.f_code.co_filename.startswith("<frozen importlib"):
            _leave(number)
        at = at.f_back
    raise Ended(number)


def _leave(number: int) -> None:
    from hubtl import launch

    if launch.rank() == 0:
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted\n")
    os._exit(exit_code(Ended(number)))
