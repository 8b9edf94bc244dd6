"""Flags of earlier versions, typed as those of today: they work for one more version, and a line says what to type."""

from collections.abc import Sequence

from hubtl.recipe.columns import OLD, olds


def renewed(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command's words with ``--column image=NAME`` for ``--image-column NAME``.

    The messages about each come with them.
    """
    flags = {f"--{name.replace('_', '-')}": name.removesuffix(OLD) for name in olds(_named(words))}
    found: list[str] = []
    said: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        if word == "--":
            return [*found, word, *waiting], said
        if flag not in flags:
            found.append(word)
            continue
        if not equals and not waiting:
            found.append("--column")  # the parser reports that its value is missing
            continue
        column = value if equals else waiting.pop(0)
        found += ["--column", f"{flags[flag]}={column}"]
        said.append(f"{flag} goes with the next version: --column {flags[flag]}={column}")
    return found, said


def _named(words: Sequence[str]) -> list[str]:
    """Return the keys that flags among the words could stand for."""
    flags = (word.partition("=")[0] for word in words)
    return [flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")]
