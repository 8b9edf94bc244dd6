"""Manage the cached features of frozen backbones (``hubtl cache``)."""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubtl.errors import HubtlError

if TYPE_CHECKING:
    from hubtl.data.cache import Cached

group = typer.Typer(
    help="Manage the cached features of frozen backbones.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
SHORT = 12  # characters of a key


@group.command("list")
def list_(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False) -> None:
    """List the cached features, last used first."""
    from hubtl.cli import table
    from hubtl.cli.messages import emit
    from hubtl.data import cache

    found = cache.entries()
    if json_:
        emit(
            {"folder": str(cache.folder()), "bytes": sum(e.bytes for e in found), "entries": [_plain(e) for e in found]}
        )
        return
    if found:
        columns = ("key", "model", "data", "rows × width", "precision", "size", "last used")
        words = ("key", "model", "data", "last used")
        table.show(columns, [_cells(entry) for entry in found], left=words)
    total = table.size(sum(entry.bytes for entry in found))
    typer.echo(f"{len(found)} {_noun(len(found))}, {total}, in {cache.folder()}", err=not sys.stdout.isatty())


@group.command("clear")
def clear(
    key: Annotated[str | None, typer.Argument(help="Start of one key of hubtl cache list. Default: all.")] = None,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", metavar="DAYS", min=0, help="Remove only entries unused for this many days."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Remove cached features; runs extract them again when needed."""
    from hubtl.cli import table
    from hubtl.cli.messages import emit
    from hubtl.data import cache

    if key is not None and older_than is not None:
        raise HubtlError("a key and --older-than are given", hint=f"hubtl cache clear {key}, or --older-than alone")
    found = cache.entries()
    if key is not None:
        found = [_one(key, found)]
    elif older_than is not None:
        found = [entry for entry in found if time.time() - entry.used > 86400 * older_than]
    what = f"{len(found)} {_noun(len(found))}"
    if found and not yes and not json_ and sys.stdin.isatty():
        asked = f"remove {what} ({table.size(sum(entry.bytes for entry in found))}) from {cache.folder()}?"
        if not typer.confirm(asked, err=True):
            typer.echo("nothing was removed", err=True)
            raise typer.Exit(1)
    everything = key is None and older_than is None
    freed = cache.clear(None if everything else [entry.key for entry in found])
    left = {entry.key for entry in cache.entries()} & {entry.key for entry in found}
    if left:
        raise HubtlError(
            f"{len(left)} of {what} could not be removed from {cache.folder()}", hint="mind the folder's permissions"
        )
    if json_:
        emit({"removed": len(found), "bytes": freed})
    else:
        typer.echo(f"removed {what}: {table.size(freed)} are free")


def _one(prefix: str, found: "list[Cached]") -> "Cached":
    """Return the entry whose key starts with a prefix.

    Raises:
        HubtlError: for none and for several.
    """
    matching = [entry for entry in found if prefix and entry.key.startswith(prefix)]
    if not matching:
        raise HubtlError(f"the cache has no features with a key that begins with {prefix!r}", hint="hubtl cache list")
    if len(matching) > 1:
        keys = ", ".join(entry.key[: len(prefix) + 4] for entry in matching[:4])
        raise HubtlError(f"{len(matching)} keys begin with {prefix!r}: {keys}", hint="give more of the key")
    return matching[0]


def _noun(count: int) -> str:
    return "entry" if count == 1 else "entries"


def _plain(entry: "Cached") -> dict[str, Any]:
    facts = entry.facts
    return {
        "key": entry.key,
        "model": facts.get("model"),
        "data": facts.get("name"),
        "rows": facts.get("rows"),
        "width": facts.get("width"),
        "dtype": facts.get("dtype", "float32") if facts else None,
        "precision": facts.get("precision"),
        "bytes": entry.bytes,
        "used": datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds"),
        "damaged": not facts,
    }


def _cells(entry: "Cached") -> list[str]:
    plain = _plain(entry)
    if plain["damaged"]:
        shape, model = "–", "damaged: made again when needed"
    else:
        shape, model = f"{plain['rows']} × {plain['width']}", str(plain["model"])
    precision = {None: "–", "no": str(plain["dtype"])}.get(
        plain["precision"], f"{plain['precision']}, as {plain['dtype']}"
    )
    used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
    from hubtl.cli.table import size

    return [entry.key[:SHORT], model, str(plain["data"] or "–"), shape, precision, size(entry.bytes), used]
