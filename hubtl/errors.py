"""Define errors for users: one message, one hint, never a traceback for a user's mistake."""

import difflib
from collections.abc import Iterable, Sequence

NEAR = 0.6  # share of letters that two names have in common, in order, below which none was meant


class HubtlError(Exception):
    """Report a mistake that the user can correct.

    The message says what was found and where; the hint says what to do. The command line prints them as an
    ``error:`` and a ``try:`` line and exits with code 2.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.everywhere = False  # of several processes all have raised it


class FailedElsewhere(Exception):
    """Report that another process of the run failed."""


class RecipeError(HubtlError):
    """Report all mistakes of a recipe at once."""

    def __init__(self, problems: Sequence[str], *, where: str = "the recipe", hint: str | None = None) -> None:
        if len(problems) == 1:
            text = f"{where}: {problems[0]}"
        else:
            listed = "; ".join(f"({i}) {problem}" for i, problem in enumerate(problems, 1))
            text = f"{where} has {len(problems)} mistakes: {listed}"
        super().__init__(text, hint=hint or "hubtl adapt --help lists the flags; docs/recipes.md lists every key")
        self.problems = list(problems)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one probably means, or None.

    Args:
        name: the misspelt name.
        known: the known names.
    """
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=NEAR)
    return close[0] if close else None


def unknown(
    kind: str, name: str, known: Iterable[str], *, hint: str | None = None, listing: str | None = None
) -> HubtlError:
    """Return the error for an unknown name; its hint is the nearest known one.

    Args:
        kind: the kind of the name, such as ``"strategy"``.
        name: the unknown name.
        known: the known names.
        hint: replaces the nearest name.
        listing: a command that lists the names, as the hint where none is near.
    """
    names = sorted(set(known))
    guess = nearest(name, names)
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return HubtlError(
        f"unknown {kind} {name!r}; known: {listed or 'none'}",
        hint=hint or guess or listing or f"one of: {listed}",
    )
