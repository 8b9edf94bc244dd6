"""List plugins, and describe one (``hubtl list`` and ``hubtl show``)."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hubtl import plugins
from hubtl.cli import paragraphs, saved
from hubtl.errors import HubtlError, unknown
from hubtl.tasks import Task


def list_(
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(plugins.KINDS)}. Default: all.")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="List only what this task can use: classification, regression, …")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """List strategies, backbones, modalities and other plugins.

    They are built in or from installed plugins.
    """
    from hubtl.cli.messages import emit

    if kind is not None and kind not in plugins.KINDS:
        raise unknown("kind", kind, plugins.KINDS)
    kinds = [kind] if kind else list(plugins.KINDS)
    found = {k: plugins.entries(k) for k in kinds}
    if task is not None:
        cls = plugins.load("tasks", task)
        found = {k: {n: e for n, e in v.items() if _serves(e, cls)} for k, v in found.items()}
    if json_:
        emit(
            {
                k: [{"name": e.name, "package": e.package, "version": e.version} for e in v.values()]
                for k, v in found.items()
            }
        )
        return
    for k, entries in found.items():
        if len(kinds) > 1:
            typer.echo(f"{k}:")
        for name, entry in entries.items():
            origin = "" if entry.builtin else f"  ({entry.package} {entry.version})"
            typer.echo(f"{'  ' if len(kinds) > 1 else ''}{name}{origin}")


def _serves(entry: plugins.Entry, task: type[Task]) -> bool:
    """Return whether a task can use an entry; report one that fails to load.

    Kinds without needs can always be used.
    """
    if entry.kind not in ("strategies", "validators", "testtime"):
        return True
    try:
        cls = entry.load()
    except HubtlError as error:
        typer.echo(f"left out: {error}", err=True)
        return False
    needs = getattr(cls, "needs", ("probabilities",))
    if ("rows" if task.dense else "sites") in needs:
        return False
    return task.probabilities or "probabilities" not in needs or bool(getattr(cls, "lenient", False))


def _plain(value: Any) -> Any:
    """Return a default as JSON has it, else as Python shows it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value


def show(
    name: Annotated[str, typer.Argument(metavar="NAME|RUN", help="Name from hubtl list, or a run directory.")],
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Describe a plugin and its options, or a run and its figures."""
    from hubtl.cli.messages import emit

    homes = [kind for kind in plugins.KINDS if name in plugins.entries(kind)]
    folder = Path(name).expanduser()
    if not homes and saved.is_saved(folder):
        saved.describe(folder, as_json=json_)
        return
    if not homes:
        raise unknown("name", name, [n for kind in plugins.KINDS for n in plugins.entries(kind)], listing="hubtl list")
    entry = plugins.find(homes[0], name)
    thing = entry.load()
    text = inspect.cleandoc(thing.__doc__ or "")
    options = getattr(thing, "Options", None)
    fields = options.model_fields if options is not None else {}
    listed = [
        {
            "name": key,
            "default": _plain(f.get_default(call_default_factory=True)),
            "description": f.description or "",
            "type": getattr(f.annotation, "__name__", str(f.annotation)),
        }
        for key, f in fields.items()
    ]
    paper = getattr(thing, "paper", None)
    method = homes[0] == "strategies"  # another class may have attributes of these names that mean something else
    adapts = method and {"adaptation", "source-free"} & set(thing.settings)
    label_sets = list(thing.suits) if adapts else []
    by_relation = {relation: dict(own) for relation, own in thing.suits.items() if own} if adapts else {}
    needs = list(thing.needs) if homes[0] in ("strategies", "validators", "testtime") else []
    ablations = {part: dict(changes) for part, changes in thing.ablations.items()} if method else {}
    if json_:
        emit(
            {"kind": homes[0], "name": name, "package": entry.package, "doc": text, "paper": paper, "options": listed}
            | ({"label_sets": label_sets, "label_set_options": by_relation} if label_sets else {})
            | ({"ablations": ablations} if ablations else {})
            | ({"needs": needs} if needs else {})
        )
        return
    singular = plugins.SINGULAR[homes[0]]
    typer.echo(f"{name}: {singular} of {entry.package} {entry.version}\n")
    width = paragraphs.width()
    typer.echo(paragraphs.wrapped(text, width))
    if paper:
        where = paper if paper.startswith("http") else f"https://arxiv.org/abs/{paper.removeprefix('arXiv:')}"
        typer.echo(f"\npaper: {where}")
    if listed:
        prefix = {"strategies": "", "backbones": "model."}.get(homes[0], f"{singular}.")
        flag, prefix = ("--tta-set", "") if homes[0] == "testtime" else ("--set", prefix)
        typer.echo(f"\noptions ({flag} {prefix}NAME=VALUE):")
        for option in listed:
            typer.echo(paragraphs.item(f"  {option['name']} = {option['default']}", option["description"], width))
    if label_sets:
        typer.echo(f"\nlabel sets: {', '.join(label_sets)}")
    for relation, own in by_relation.items():
        typer.echo(f"in a {relation} set: {', '.join(f'{key} = {value}' for key, value in own.items())}")
    if needs:
        typer.echo(f"\nneeds: {', '.join(needs)}")
    if ablations:
        typer.echo("\nparts that hubtl ablate leaves out: " + ", ".join(ablations))
