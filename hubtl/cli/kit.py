"""Write, check and list plugins (``hubtl plugin``)."""

import time
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hubtl import plugins
from hubtl.cli.files import with_plugins
from hubtl.errors import HubtlError, unknown
from hubtl.io import shown

group = typer.Typer(help="Write, check and list plugins.", no_args_is_help=True, rich_markup_mode=None)
PREFIXES = {plugins.SINGULAR[kind]: kind for kind in plugins.KINDS} | {kind: kind for kind in plugins.KINDS}


@group.command("list")
@with_plugins
def list_(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False) -> None:
    """List installed plugins, and why broken ones do not load."""
    from hubtl.cli.messages import begin, emit
    from hubtl.plugins import installed

    begin(quiet=True)
    rows = [
        {
            "kind": plugins.SINGULAR[entry.kind],
            "name": name,
            "package": entry.package,
            "version": entry.version,
            "broken": _broken(entry),
        }
        for name, entry in plugins.third_party()
    ]
    rows += [
        {"kind": "", "name": "", "package": package, "version": "", "broken": why}
        for package, why in installed.unreadable()
    ]
    if json_:
        emit({"plugins": rows})
        return
    if not rows:
        typer.echo("no plugins are installed; hubtl plugin new NAME writes one", err=True)
        return
    cells = [[str(row[key] or "–") for key in ("kind", "name", "package", "version")] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, line in zip(rows, cells, strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo(shown.line(f"{text}  broken: {row['broken']}" if row["broken"] else text.rstrip()))


def _broken(entry: plugins.Entry) -> str | None:
    try:
        entry.load()
    except HubtlError as error:
        return str(error).removeprefix(f"{entry} ").removeprefix("does not load: ")
    return None


@group.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the package, such as my-loss.")],
    kind: Annotated[
        Literal["strategy", "task", "tuner", "validator", "backbone", "modality"], typer.Option(help="Kind of plugin.")
    ] = "strategy",
    dir_: Annotated[
        Path | None, typer.Option("--dir", metavar="FOLDER", help="Output folder. Default: a folder of that name.")
    ] = None,
) -> None:
    """Write a package with a working plugin and its tests."""
    from hubtl.plugins.kit import write

    written = write(name, kind, dir_)
    for path in written.files:
        typer.echo(f"wrote      {path}")
    typer.echo(
        f"\nnext       pip install -e {shown.typed(written.folder)}[test]\n"
        f"           pytest {shown.typed(written.folder)}\n"
        f"           hubtl plugin check {written.prefix}:{written.entry}"
    )


@group.command()
@with_plugins
def check(
    name: Annotated[
        str | None, typer.Argument(help="Name from hubtl plugin list, or KIND:NAME. Default: all of --plugin.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="For a loader: the text after its name. For a modality: a model that takes it.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="For a task or a modality: a dataset with its labels or its column.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="For a task: the column of labels.")] = None,
    setting: Annotated[
        Literal["adaptation", "transfer", "source-free", "sequential"] | None,
        typer.Option(help="For a strategy: the setting. Default: its first one."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of the plugin. Repeatable.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Check a plugin by the conformance suite of its kind.

    It suggests a remedy for each failed check, and exits with 1.
    """
    from hubtl.cli.messages import begin, emit

    entries = [_named(name)] if name else list(plugins.registered())
    if not entries:
        raise HubtlError("nothing to check", hint="hubtl plugin check NAME, or --plugin FILE.py")
    begin(quiet=True)
    given = {"model": model, "dataset": dataset, "label_column": label_column, "setting": setting, "options": set_}
    results = [_check(entry, given, said=not json_, debug=debug) for entry in entries]
    if json_:
        emit({"plugins": results})
    if any(not row["ok"] for result in results for row in result["checks"]):
        raise typer.Exit(1)


def _named(name: str) -> plugins.Entry:
    """Return the entry of a name, of ``kind:name`` or of ``package:name``.

    Raises:
        HubtlError: where several kinds have it.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES:
        return plugins.find(PREFIXES[prefix], rest)
    homes = [kind for kind in plugins.KINDS if name in plugins.entries(kind)]
    if not homes:
        raise unknown("plugin", name, [n for kind in plugins.KINDS for n in plugins.entries(kind)])
    if len(homes) > 1:
        kinds = " and a ".join(plugins.SINGULAR[kind] for kind in homes)
        raise HubtlError(f"{name} is a {kinds}", hint=f"hubtl plugin check {_prefix(homes[0])}:{name}")
    return plugins.find(homes[0], name)


def _prefix(kind: str) -> str:
    """Return the word before a colon, without a space."""
    return plugins.SINGULAR[kind] if " " not in plugins.SINGULAR[kind] else kind


def _check(entry: plugins.Entry, given: dict[str, Any], *, said: bool, debug: bool) -> dict[str, Any]:
    """Run the suite of an entry; print a line for each check as it ends."""
    from hubtl.cli.checking import checks_of
    from hubtl.testing.kinds import Check

    if said:
        typer.echo(f"checking {entry}" + (f" ({entry.package})" if entry.builtin else ""))
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []

    def run(one: Check) -> bool:
        problem, hint = _failure(one, debug)
        rows.append({"check": one.name, "claim": one.claim, "ok": not problem, "problem": problem, "mend": hint})
        if said:
            typer.echo(f"  {'FAIL' if problem else 'ok  '}  {one.name:<11} {one.claim}")
            if problem:
                typer.echo(f"        {'':<11} {shown.line(problem)}\n        {'':<11} mend: {shown.line(hint)}")
        return not problem

    loads = Check("loads", "It is imported, and is of its kind.", lambda: entry.load() and None, entry.remedy)
    if run(loads):
        for one in checks_of(entry, given):
            run(one)
    passed = sum(bool(row["ok"]) for row in rows)
    if said:
        typer.echo(f"{passed} of {len(rows)} checks pass, in {time.perf_counter() - start:.1f} s\n")
    return {"kind": plugins.SINGULAR[entry.kind], "name": entry.name, "package": entry.package, "checks": rows}


def _failure(one: Any, debug: bool) -> tuple[str, str]:
    """Return the fault and its remedy, both empty where the check passes."""
    try:
        one.run()
    except KeyboardInterrupt:
        raise
    except AssertionError as error:
        return str(error) or _where(error), one.mend
    except HubtlError as error:
        cause = error.__cause__
        if cause is None or isinstance(cause, HubtlError) or one.name == "loads":
            return str(error), error.hint or one.mend
        return f"{error} {_where(cause)}", one.mend  # of what the plugin raised, where and not how to do without it
    except BaseException as error:  # noqa: BLE001  (whatever a plugin raises)
        if debug:
            traceback.print_exc()
        return f"{type(error).__name__}: {error} {_where(error)}", one.mend
    return "", ""


def _where(error: BaseException) -> str:
    """Return the innermost line of code, as Python's tracebacks name it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"({Path(frames[-1].filename).name}:{frames[-1].lineno}: {frames[-1].line})" if frames else ""
