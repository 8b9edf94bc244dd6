"""Ask for labels of rows in the terminal (``hubtl label``)."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from hubtl.io import shown
from hubtl.plugins import modalities

if TYPE_CHECKING:
    from hubtl.studies.candidates import Candidates
    from hubtl.studies.label import Labelling, Question
    from hubtl.tasks import Task

COMMANDS = {"u": "undo", "s": "skip", "q": "quit", "?": "help"}
HELP = """\
  a label    its name, or its number in the list; several with commas between, where a row may have several
  s          skip this row: nobody could tell what it is
  u          undo the last answer
  q          quit: every answer is kept, and the same command goes on
  ?          this help
Where a label has the name of a command, write the command as :u, :s, :q or :?"""


def ask(asking: "Labelling | Candidates", task: "Task", opening: str, progress: Callable[[], str]) -> None:
    """Ask in the terminal until it is decided, or input ends.

    Args:
        asking: the labelling.
        task: the task.
        opening: the first line.
        progress: returns the line on the evidence so far.
    """
    from hubtl.errors import HubtlError

    choices = task.choices()
    typer.echo(opening)
    if choices:
        typer.echo("labels: " + "  ".join(_numbered(choices)))
    typer.echo("u undo, s skip, q quit, ? help")
    number = 0  # of those asked for now
    while (question := asking.current()) is not None:
        number += 1
        typer.echo("")
        for line in _shown(number, question):
            typer.echo(line)
        text = _read()
        command = _command(text or "", choices)
        if text is None or command == "quit":
            return
        if command == "help":
            typer.echo(HELP)
        elif command == "skip":
            asking.skip(question)
        elif command == "undo":
            back = asking.undo()
            typer.echo("nothing to undo" if back is None else f"taken back: row {back.row}")
        elif text.strip():
            try:
                asking.answer(question, _named(text, choices, several=task.several))
            except HubtlError as error:
                typer.echo(f"{shown.line(error)}" + (f" ({shown.line(error.hint)})" if error.hint else ""))
                continue
        if command in (None, "undo", "skip") and text.strip():
            typer.echo(progress())


def _read() -> str | None:
    """Read a line from the terminal; None at its end."""
    typer.echo("label: ", nl=False)
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line if line else None


def _numbered(choices: list[str]) -> list[str]:
    if any(choice.isdecimal() for choice in choices):
        return [shown.line(choice) for choice in choices]
    return [f"{number} {shown.line(choice)}" for number, choice in enumerate(choices, 1)]


def _command(text: str, choices: list[str]) -> str | None:
    """Return the command in a line; a label of that name comes first, and ``:u`` is always a command."""
    typed = text.strip().lower()
    if typed in {choice.strip().lower() for choice in choices}:
        return None
    return COMMANDS.get(typed.removeprefix(":"))


def _named(text: str, choices: list[str], *, several: bool) -> str:
    """Replace numbers of the list by names. Where a label is called like a number, nothing is replaced."""
    if any(choice.isdecimal() for choice in choices):
        return text

    def name(part: str) -> str:
        number = part.strip()
        return choices[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(choices) else part

    return ",".join(map(name, text.split(","))) if several else name(text)


def _shown(place: int, question: "Question") -> list[str]:
    words = {one.name for one in modalities.every() if one.words}
    files = [shown.line(name) for modality, name in question.shown.items() if modality not in words]
    unseen = [m for m, cell in question.cells.items() if m not in (*words, *question.shown) and cell is not None]
    if unseen:
        files += [f"({', '.join(unseen)} without a file name: hubtl label RUN --page shows it)"]
    lines = [f"{place}. row {question.row}" + f"  {'  '.join(files)}" * bool(files)]
    lines += [f"   {shown.line(text)}" for m, text in question.shown.items() if m in words and text]
    return lines
