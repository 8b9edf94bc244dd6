"""``hubtl label``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hubtl.io import shown

if TYPE_CHECKING:
    from hubtl.record import Verified
    from hubtl.studies.label import Labelling, Question

ALPHA = 0.05  # of --certain
COMMANDS = {"u": "undo", "s": "skip", "q": "quit", "?": "help"}
HELP = """\
  a label    its name, or its number in the list; several with commas between, where a row may have several
  s          skip this row: nobody could tell what it is
  u          undo the last answer
  q          quit: every answer is kept, and the same command goes on
  ?          this help
Where a label has the name of a command, write the command as :u, :s, :q or :?"""


def label(
    run_dir: Annotated[Path, typer.Argument(help="Run directory that kept both of its models.")],
    export: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write the rows to ask for into a file instead of asking.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Read labels from such a file instead of asking.")
    ] = None,
    undo: Annotated[int, typer.Option(min=0, metavar="N", help="Take the last N answers back first.")] = 0,
    most: Annotated[int, typer.Option("--max", min=1, help="Labels to ask for at most.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the rows.")] = 0,
    prior: Annotated[
        Literal["helps", "flat"], typer.Option(help="What is assumed before: adapting usually helps, or nothing.")
    ] = "helps",
    certain: Annotated[
        bool, typer.Option("--certain", help="Decide by an e-value at 5 %: more labels, fewer wrong answers.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout; nothing is asked.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    debug: Annotated[bool, typer.Option("--debug")] = False,
) -> None:
    """Settle with a few labels whether adapting helped, and ship the better model.

    Rows are asked for on which source-only and adapted disagree, until one of the two is better with 95 %. Answers are kept
    at once, and the same command goes on with them.
    """
    from hubtl.cli.messages import begin, emit
    from hubtl.errors import HubtlError
    from hubtl.io.places import check_file

    begin(quiet=quiet or json_, debug=debug)
    ways = [name for name, asked in (("--export", export), ("--labels", labels)) if asked]
    if len(ways) > 1:
        raise HubtlError(f"{' and '.join(ways)}: one way to label at a time", hint=f"{ways[0]} alone")
    if export is not None:
        check_file(export)
    given = None
    if labels is not None:
        from hubtl.data import rowlabels

        given = rowlabels.read(labels)
    from hubtl.studies import label as study

    rule = study.Rule(prior=prior, certain=ALPHA if certain else None, most=most, seed=seed)
    asking = study.begin(run_dir, rule)
    for _ in range(undo):
        asking.undo()
    if export is not None:
        count = asking.export(export)
        if json_:
            emit({"file": str(export), "rows": count})
        else:
            typer.echo(f"{count} rows to label: {export}")
            typer.echo(f"next: hubtl label {shown.typed(run_dir)} --labels {shown.typed(export)}")
        return
    if given is not None and labels is not None:
        taken = asking.take(given, labels)
        if not json_:
            typer.echo(f"{taken} labels read from {labels}")
    elif not json_:
        _ask(asking)
    found = asking.close()
    if json_:
        emit(_summary(asking, found))
    else:
        for line in _outcome(asking, found):
            typer.echo(line)


def _ask(asking: "Labelling") -> None:
    """Ask in the terminal until it is decided, or nobody answers any more."""
    from hubtl.errors import HubtlError

    choices = asking.task.choices()
    typer.echo(
        f"source-only and adapted disagree on {len(asking.order):,} of {asking.rows:,} target rows "
        f"({100 * asking.share:.0f} %): at most {asking.rule.most} are asked for, and fewer where that decides"
    )
    if choices:
        typer.echo("labels: " + "  ".join(_numbered(choices)))
    typer.echo("u undo, s skip, q quit, ? help")
    while (question := asking.current()) is not None:
        typer.echo("")
        for line in _shown(asking, question):
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
                asking.answer(question, _named(text, choices, several=asking.task.several))
            except HubtlError as error:
                typer.echo(f"{shown.line(error)}" + (f" ({shown.line(error.hint)})" if error.hint else ""))
                continue
        if command in (None, "undo", "skip") and text.strip():
            typer.echo(_progress(asking))


def _read() -> str | None:
    """A line from the terminal; None where there are no more."""
    typer.echo("label: ", nl=False)
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line if line else None


def _numbered(choices: list[str]) -> list[str]:
    if any(choice.isdecimal() for choice in choices):
        return [shown.line(choice) for choice in choices]
    return [f"{number} {shown.line(choice)}" for number, choice in enumerate(choices, 1)]


def _command(text: str, choices: list[str]) -> str | None:
    """The command that a line is; a label of that name comes first, and ``:u`` is a command always."""
    typed = text.strip().lower()
    if typed in {choice.strip().lower() for choice in choices}:
        return None
    return COMMANDS.get(typed.removeprefix(":"))


def _named(text: str, choices: list[str], *, several: bool) -> str:
    """A label with numbers of the list in place of names, where no label is called as a number."""
    if any(choice.isdecimal() for choice in choices):
        return text

    def name(part: str) -> str:
        number = part.strip()
        return choices[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(choices) else part

    return ",".join(map(name, text.split(","))) if several else name(text)


def _shown(asking: "Labelling", question: "Question") -> list[str]:
    place = asking.tally.asked + 1
    files = [f"{shown.line(name)}" for modality, name in question.shown.items() if modality != "text"]
    lines = [f"{place}. row {question.row}" + f"  {'  '.join(files)}" * bool(files)]
    if text := question.shown.get("text"):
        lines += [f"   {shown.line(text)}"]
    return lines


def _progress(asking: "Labelling") -> str:
    tally = asking.tally
    low, middle, high = (100 * number for number in tally.gain(asking.share))
    gain = f"{middle:+.1f} points of all rows (90 % interval {low:+.1f} to {high:+.1f})".replace("-", "−")
    return (
        f"wins {tally.wins}, losses {tally.losses}, neither {tally.neither}: adapted better with "
        f"{100 * tally.better(asking.rule.prior):.1f} %, gain {gain}"
    )


def _outcome(asking: "Labelling", found: "Verified | None") -> list[str]:
    """The verdict in one of three answers, what became of the run, and what to type next."""
    from hubtl.judging.asking import still
    from hubtl.run.ship import ADAPTED, SOURCE_ONLY, shipped

    run = shown.typed(asking.folder)
    if found is None or not found.n:
        return [f"nothing is labelled; go on with: hubtl label {run}"]
    ships = shipped(asking.record)
    lines = [_progress(asking), f"verdict: {found.brief}, by {found.n} labelled rows"]
    if found.answer == "undecided":
        more = still(asking.tally, prior=found.prior, certain=found.certain)
        if found.n >= found.most or asking.current() is None:
            much = f"label {more} more rows to decide" if more else "more labels will hardly tell them apart"
            lines += [f"undecided: {much}: hubtl label {run} --max {found.n + (more or 50)}"]
        else:
            lines += [f"undecided so far: label {more} more rows to decide" * bool(more)] * bool(more)
            lines += [f"go on with: hubtl label {run}"]
    other = asking.folder / (SOURCE_ONLY if ships == ADAPTED else ADAPTED)
    return [*lines, f"{run} ships {ships}; the other model is in {other}"]


def _summary(asking: "Labelling", found: "Verified | None") -> dict[str, Any]:
    from hubtl.run.ship import shipped

    verified = asking.verified() if found is None else found
    return {
        "output_dir": str(asking.folder),
        "n": verified.n,
        **verified.model_dump(mode="json"),
        "ships": shipped(asking.record),
    }
