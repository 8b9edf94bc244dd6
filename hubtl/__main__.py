"""Run ``hubtl``, ``python -m hubtl`` and ``torchrun -m hubtl``."""

import os
import sys


def main() -> None:
    _standard_files()
    from hubtl.signals import listen

    listen()
    # Threads that spin while they wait make a training twenty times slower as soon as something else uses the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from hubtl.cli.app import run

    run()


def _standard_files() -> None:
    """Open standard files that are closed.

    Otherwise the next file would take the number of one, and receive what is written to stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


if __name__ == "__main__":
    main()
