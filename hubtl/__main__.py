"""``hubtl``, ``python -m hubtl`` and ``torchrun -m hubtl``."""

import os


def main() -> None:
    # Threads that spin while they wait make a training twenty times slower as soon as something else uses the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from hubtl.cli.app import run

    run()


if __name__ == "__main__":
    main()
