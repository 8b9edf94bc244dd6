"""List every command's arguments and options as a table, which flags.json keeps.

python -m tests.cli.flags    # writes the table again: make flags
"""

import inspect
import json
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

TABLE = Path(__file__).with_name("flags.json")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Table = dict[str, dict[str, dict[str, Any]]]  # command -> flag -> its facts


def current() -> Table:
    """Return the table of the commands as they are."""
    from hubtl.cli import app

    app._register()
    found: Table = {}
    _walk(typer.main.get_command(app.app), "hubtl", found)
    return found


def kept() -> Table:
    """Return the table that flags.json keeps."""
    table: Table = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def changes(before: Table, after: Table) -> list[str]:
    """Say what came, went or changed from one table to the other; a line each."""
    lines = [f"came: {command}" for command in after.keys() - before.keys()]
    lines += [f"went: {command}" for command in before.keys() - after.keys()]
    for command in before.keys() & after.keys():
        old, new = before[command], after[command]
        lines += [f"came: {command} {flag}" for flag in new.keys() - old.keys()]
        lines += [f"went: {command} {flag}" for flag in old.keys() - new.keys()]
        for flag in old.keys() & new.keys():
            facts = {**dict.fromkeys(old[flag]), **dict.fromkeys(new[flag])}
            lines += [
                f"changed: {command} {flag}: {fact} is {new[flag].get(fact)!r}, was {old[flag].get(fact)!r}"
                for fact in facts
                if new[flag].get(fact) != old[flag].get(fact)
            ]
    return sorted(lines)


def text(table: Table) -> str:
    """Return a table as JSON, with a line for each flag."""
    blocks = []
    for command, flags in sorted(table.items()):
        rows = [f"    {json.dumps(flag)}: {json.dumps(facts, ensure_ascii=False)}" for flag, facts in flags.items()]
        blocks.append(f"  {json.dumps(command)}: {{" + "".join(f"\n{row}," for row in rows)[:-1] + "\n  }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _walk(command: Any, name: str, found: Table) -> None:
    given = inspect.signature(command.callback).parameters if command.callback else {}
    types = {key: one.annotation for key, one in given.items()}
    found[name] = dict(sorted(_facts(one, types.get(one.name)) for one in command.params if one.name != "help"))
    for sub, inner in getattr(command, "commands", {}).items():
        _walk(inner, f"{name} {sub}", found)


def _facts(one: Any, annotation: Any) -> tuple[str, dict[str, Any]]:
    """Return a parameter's name and facts: an option's long flag, or an argument."""
    flags = [*one.opts, *one.secondary_opts]
    option = flags[0].startswith("-")
    long = next((flag for flag in flags if flag.startswith("--")), flags[0])
    facts: dict[str, Any] = {"type": _typed(annotation), "default": _plain(one.default)}
    if option and len(flags) > 1:
        facts["also"] = [flag for flag in flags if flag != long]
    if one.required:
        facts["required"] = True
    if getattr(one, "hidden", False):
        facts["hidden"] = True
    return long if option else str(one.name).upper(), facts


def _typed(annotation: Any) -> str:
    """Return a type as text, equal in every version of Python: ``int | None``."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _typed(inner[0])
    if origin is Literal:
        return f"Literal{list(inner)}"
    if origin in (Union, UnionType):
        return " | ".join(map(_typed, inner))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_typed, inner))}]"
    return "None" if annotation is NoneType else str(annotation.__name__)


def _plain(default: Any) -> Any:
    """Return a default as JSON has it."""
    try:
        return json.loads(json.dumps(default))
    except TypeError:
        return ADDRESS.sub("", str(default))


if __name__ == "__main__":
    TABLE.write_text(text(current()), encoding="utf-8")
