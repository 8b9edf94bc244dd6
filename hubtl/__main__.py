"""``hubtl``, ``python -m hubtl`` and ``torchrun -m hubtl``."""


def main() -> None:
    from hubtl.cli.app import run

    run()


if __name__ == "__main__":
    main()
