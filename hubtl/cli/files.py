"""Load plugins from ``--plugin FILE.py`` before a command starts."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Plugin = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Load strategies, tuners and other plugins from a Python file, which is run. Repeatable.",
        rich_help_panel="Plugins",
    ),
]


def with_plugins(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--plugin``."""

    @functools.wraps(command)
    def run(*args: Any, plugin: list[Path] | None = None, **kwargs: Any) -> Any:
        if plugin:
            from hubtl.plugins import files

            for path in plugin:
                files.add_plugin(path)
        return command(*args, **kwargs)

    signature = inspect.signature(command)
    own = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugin)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), own])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "plugin": Plugin}
    return run
