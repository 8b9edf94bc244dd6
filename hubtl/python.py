"""``hubtl.adapt(...)``: the command line's flags as keyword arguments."""

from collections.abc import Mapping
from typing import Any

from hubtl.errors import HubtlError, nearest
from hubtl.flags import KEYS
from hubtl.recipe import merge, parse, read
from hubtl.run import Result
from hubtl.run import adapt as run_recipe


def adapt(
    recipe: str | Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    shown: bool = False,
    **flags: Any,
) -> Result:
    """Adapt a model, as ``hubtl adapt`` does.

    Args:
        recipe: path of a YAML recipe, or one as nested mappings; flags change it.
        options: dotted recipe keys (``{"optim.clip_norm": 1.0}``), or the strategy's options (``{"weight": 0.5}``).
        resume: go on with the interrupted run in ``output_dir``.
        shown: show progress on stderr.
        **flags: the flags of the command line with underscores, such as ``model``, ``source_dataset``, ``steps``.

    Returns the output directory and the record. Raises HubtlError for mistakes, all of a recipe's at once.
    """
    for name in flags:
        if name not in KEYS:
            guess = nearest(name, KEYS)
            raise HubtlError(f"adapt() has no argument {name!r}", hint=guess or f"one of {', '.join(KEYS)}")
    raw = read(recipe) if isinstance(recipe, str) else dict(recipe or {})
    changes = {KEYS[name]: value for name, value in flags.items() if value is not None}
    return run_recipe(parse(merge(merge(raw, changes), options or {})), resume=resume, shown=shown)
