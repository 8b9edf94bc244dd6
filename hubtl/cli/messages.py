"""Set up messages of every command: their stream, libraries' warnings, and hidden tokens."""

import contextlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hubtl.errors import HubtlError
from hubtl.io import jsontext, plain, shown
from hubtl.plugins import modalities

if TYPE_CHECKING:
    from hubtl.hub.push import PushResult


def begin(*, quiet: bool = False, debug: bool = False) -> None:
    """Send hubtl's messages to stderr and silence other libraries, unless debugging."""
    from hubtl.settings import configure_logging

    configure_logging(quiet=quiet, debug=debug)
    if debug:
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    warnings.filterwarnings("ignore")
    for name in ("timm", "transformers", "datasets", "huggingface_hub", "accelerate", "peft", "httpx2", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C stop a command that can simply be repeated: it says so, and exits with 130."""
    import typer

    from hubtl.hub.tokens import redact
    from hubtl.signals import exit_code

    try:
        yield
    except KeyboardInterrupt as end:
        again = shlex.join(["hubtl", *map(redact, sys.argv[1:])])
        typer.echo(f"interrupted\ntry:   {again}", err=True)
        raise typer.Exit(exit_code(end)) from None


def typed() -> str:
    """Return the command line for a record: without tokens, and with ``~`` for the home folder."""
    from hubtl.hub.tokens import redact

    return shlex.join(["hubtl", *map(redact, sys.argv[1:])]).replace(str(Path.home()), "~")


def pushed(folder: Path, done: "PushResult") -> str:
    """Describe a push: its address, and two lines that load it."""
    from hubtl.hub.push import load_snippet

    if done.url is None:
        first = f"unchanged  {done.repo} has every file already ({len(done.files)}): nothing was sent"
    else:
        first = f"pushed     {done.url}"
    return f"{first}\ncommit     {done.commit}\n\n{load_snippet(folder, done.repo, done.revision)}"


def predicting(folder: Path) -> str:
    """Describe how to predict with a saved model."""
    try:
        names = [str(m) for m in plain.object_of(folder / "hubtl.json")["modalities"]]
    except (OSError, ValueError, KeyError, TypeError):  # another program's, whose configuration has to be known
        from hubtl.backbones.reference import ModelRef

        names = list(ModelRef(str(folder)).modalities)
    found = [one for one in map(modalities.known, names) if one is not None]
    rows = found[0].alone if len(found) == 1 else " ".join(one.typed for one in found) or "DATASET"
    return f"hubtl predict {shown.typed(folder)} {rows}"


class Unread(Exception):
    """Report that nobody reads stdout any more."""


_lost: list[Exception] = []  # why nothing reaches stdout any more


def _untaken(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return Unread()
    return HubtlError(
        f"what was found cannot be written to stdout: {error.strerror}", hint="send it elsewhere, or make room"
    )


class Guarded:
    """Guard a stream against this machine's tokens and control sequences. The guard holds whoever writes to it.

    Where nobody reads the stream any more, ``patient`` drops the output, since a training needs no reader. Otherwise
    Unread is raised then, and HubtlError for a full disk.
    """

    def __init__(self, stream: Any, *, styled: bool = False, patient: bool = False) -> None:
        from hubtl.hub.tokens import SHORTEST, known

        self._stream, self._styled, self._patient = stream, styled, patient
        self._forgiven = (OSError, ValueError) if patient else ()
        self._tokens = [token for token in known() if len(token) >= SHORTEST]

    @property
    def styled(self) -> "Guarded":
        """Return the same stream for a writer of styles. The writer escapes foreign text."""
        return Guarded(self._stream, styled=True, patient=self._patient)

    def write(self, text: str) -> int:
        from hubtl.hub.tokens import hide

        said = hide(text, self._tokens)
        if not self._styled:
            live = self._stream is not sys.__stdout__ and self._stream.isatty()  # where libraries draw their bars
            said = shown.bar(said) if live else shown.lines(said)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            said.encode(encoding)
        except UnicodeEncodeError:
            said = said.encode(encoding, "backslashreplace").decode(encoding)
        if _lost and self._stream is sys.__stdout__:  # said again: who tries a stream out may have swallowed it
            raise _lost[0]
        with self._taken():
            self._stream.write(said)
        return len(text)

    def flush(self) -> None:
        with self._taken():
            self._stream.flush()

    @contextlib.contextmanager
    def _taken(self) -> Iterator[None]:
        own = self._stream is sys.__stdout__
        try:
            yield
        except self._forgiven:
            pass
        except OSError as error:
            why = _untaken(error)
            if own:
                _lost.append(why)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain again when it closes it
            raise why from error

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def endpoint() -> None:
    """Raise HubtlError for an HF_ENDPOINT that is no address.

    huggingface_hub fails at it in many ways, some on import.
    """
    text = os.environ.get("HF_ENDPOINT", "").strip()
    if not text:
        os.environ.pop("HF_ENDPOINT", None)  # set to nothing is not set
        return
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise HubtlError(
            f"HF_ENDPOINT is {text!r}, not an address", hint="export HF_ENDPOINT=https://HOST, or unset it"
        )


def guard() -> None:
    """Guard stdout and stderr against tokens and control sequences. It holds until they are replaced."""
    if not isinstance(sys.stdout, Guarded):
        sys.stdout = Guarded(sys.stdout)
    if not isinstance(sys.stderr, Guarded):
        sys.stderr = Guarded(sys.stderr, patient=True)


def emit(value: Any) -> None:
    """Print a result as one JSON object on stdout."""
    import typer

    from hubtl.settings import is_main_process

    if is_main_process():
        typer.echo(jsontext.text(value))
