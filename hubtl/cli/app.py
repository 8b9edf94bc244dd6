"""Register the commands, and handle errors; the work is done elsewhere."""

import errno
import functools
import os
import sys
from typing import Annotated, Any

import typer

from hubtl import launch
from hubtl.errors import FailedElsewhere, HubtlError
from hubtl.io import shown
from hubtl.plugins.blame import minded
from hubtl.settings import is_main_process
from hubtl.signals import exit_code

TOGETHER = ("adapt", "compare", "ablate")  # commands that several processes do as one
HARMLESS = ("list", "show", "doctor", "plugin")  # and those that write nothing, and that only the first one needs to do

app = typer.Typer(
    name="hubtl",
    help="Adapt pretrained models to your data: transfer learning and domain adaptation, with a Hub round trip.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        from hubtl import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    command = context.invoked_subcommand
    if command in HARMLESS or {"-h", "--help"} & set(sys.argv):
        return
    if (size := launch.adopt()) > 1 and command not in TOGETHER:
        raise HubtlError(f"hubtl {command} runs in one process, and {size} were started", hint=f"hubtl {command} …")


@functools.cache
def _register() -> None:
    """Register the commands, once per process."""
    from hubtl.cli import (
        ablate,
        adapt,
        cache,
        card,
        compare,
        data,
        demo,
        diff,
        doctor,
        evaluate,
        explain,
        export,
        kit,
        label,
        plugins,
        predict,
        pull,
        push,
        rank,
        tune,
    )
    from hubtl.cli.files import with_plugins

    app.command("adapt")(with_plugins(adapt.adapt))
    app.command("compare")(with_plugins(compare.compare))
    app.command("tune")(with_plugins(tune.tune))
    app.command("evaluate")(with_plugins(evaluate.evaluate))
    app.command("label")(with_plugins(label.label))
    app.command("diff")(with_plugins(diff.diff))
    app.command("ablate")(with_plugins(ablate.ablate))
    app.command("predict")(with_plugins(predict.predict))
    app.command("explain")(with_plugins(explain.explain))
    app.command("export")(with_plugins(export.export))
    app.command("demo")(with_plugins(demo.demo))
    app.command("rank")(with_plugins(rank.rank))
    app.command("push")(with_plugins(push.push))
    app.command("pull")(pull.pull)
    app.command("card")(with_plugins(card.card))
    app.command("list")(with_plugins(plugins.list_))
    app.command("show")(with_plugins(plugins.show))
    app.add_typer(kit.group, name="plugin")
    app.add_typer(cache.group, name="cache")
    app.add_typer(data.group, name="data")
    app.command("doctor")(with_plugins(doctor.doctor))


def run() -> None:
    """Run the command line; a HubtlError becomes an ``error:`` and a ``try:`` line and exit code 2."""
    from hubtl.cli.messages import Unread, endpoint, guard
    from hubtl.cli.olden import renewed

    debug = "--debug" in sys.argv
    # Both are read when huggingface_hub is imported, which guard does. Progress is for who watches.
    if not sys.stderr.isatty() or {"-q", "--quiet", "--json"} & set(sys.argv):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not debug:
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    try:
        endpoint()
        guard()
        _register()
        sys.argv[1:], old = renewed(sys.argv[1:])
        for line in old:
            typer.echo(f"deprecated: {shown.line(line)}", err=True)
        with minded():  # whatever a plugin raises, sys.exit too, is one error that names it
            code = app(standalone_mode=False)
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except HubtlError as error:
        if debug:
            raise
        fail(error)
    except FailedElsewhere:
        sys.exit(2)
    except typer.Abort as abort:
        interrupted(abort.__cause__)
    except Unread:
        sys.exit(128 + 13)
    except Exception as error:
        if launch.claim is not None and not launch.speaks():
            sys.exit(2)
        # Typer carries its own copy of click, whose usage errors have no public name
        if debug:
            raise
        if (known := by_machine(error)) is not None:
            fail(known)
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
            typer.echo(error.format_message(), err=True)
            sys.exit(2)
        fail(usage(error))
    except KeyboardInterrupt as end:
        interrupted(end)


def interrupted(end: BaseException | None) -> None:
    """Report that a signal ended the command, and exit as shells expect."""
    if is_main_process():
        typer.echo("interrupted", err=True)
    sys.exit(exit_code(end))


def by_machine(error: Exception) -> HubtlError | None:
    """Return the error for a fault of the machine; None for any other error."""
    if not isinstance(error, OSError | RuntimeError | MemoryError):
        return None
    from hubtl.engine.faults import FULL, REFUSED, explain

    if (known := explain(error)) is not None or not isinstance(error, OSError) or not error.filename:
        return known
    if error.errno == errno.ENAMETOOLONG:
        return HubtlError(f"{str(error.filename)[:40]}… is too long for the name of a file", hint="mind the argument")
    if error.errno not in (*FULL, *REFUSED):
        return None
    return HubtlError(f"{error.filename}: {error.strerror}", hint="mend it, or --debug shows where")


def usage(error: Any) -> HubtlError:
    """Return the error for a wrong option or argument. It is worded like every other error."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hubtl"
    close = getattr(error, "possibilities", None) or []
    message = str(error.format_message()).split(" (Possible options")[0].split(" Did you mean")[0].rstrip(".")
    return HubtlError(message[0].lower() + message[1:], hint=f"{command} {close[0]}" if close else f"{command} --help")


def fail(error: HubtlError) -> None:
    """Print an error on stderr, once for all processes, and exit."""
    if launch.speaks():
        typer.echo(f"error: {shown.line(' '.join(str(error).split()))}", err=True)
        if error.hint:
            typer.echo(f"try:   {shown.line(' '.join(error.hint.split()))}", err=True)
    sys.exit(2)
