"""Offer ``hubtl.adapt(...)`` and ``hubtl.compare(...)``: command-line flags as keyword arguments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError, nearest
from hubtl.recipe import columns
from hubtl.recipe.flags import KEYS
from hubtl.recipe.reading import merge, parse, read
from hubtl.recipe.schema import Recipe
from hubtl.run.adapt import adapt as run_recipe
from hubtl.run.result import Result
from hubtl.settings import logger
from hubtl.studies import compare as comparison


def adapt(
    recipe: str | Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shown: bool = False,
    **flags: Any,
) -> Result:
    """Adapt a model, as ``hubtl adapt`` does.

    Args:
        recipe: path of a YAML recipe, or one as nested mappings; flags override its keys.
        options: dotted recipe keys (``{"optim.clip_norm": 1.0}``), or the strategy's options (``{"weight": 0.5}``).
        resume: continue the interrupted run in ``output_dir``.
        overwrite: replace the run in ``output_dir``; only files that a run wrote are removed.
        shown: show progress on stderr.
        **flags: the flags of the command line with underscores, such as ``model``, ``source_dataset``, ``steps``.

    Returns:
        The output directory and the record.

    Raises:
        HubtlError: for mistakes (all mistakes of a recipe at once), and where a finished run could not be pushed.
    """
    done = run_recipe(_recipe("adapt", recipe, options, flags), resume=resume, overwrite=overwrite, shown=shown)
    if done.not_pushed is not None:
        raise done.not_pushed
    return done


def compare(
    strategies: Sequence[str] = comparison.DEFAULT,
    recipe: str | Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    output_dir: str | Path | None = None,
    full: bool = False,
    oracle: bool = False,
    **flags: Any,
) -> comparison.Comparison:
    """Train several strategies by one recipe and rank them without target labels.

    It does what ``hubtl compare`` does.

    Args:
        strategies: names; source-only is always included.
        recipe: as in ``adapt``.
        options: as in ``adapt``.
        output_dir: gets a run directory for each strategy, and ``compare.json``.
        full: train the backbone too; otherwise all strategies read the same cached features.
        oracle: report accuracy on the target's labels in the summary. It ranks nothing.
        **flags: as in ``adapt``.

    Raises:
        HubtlError: for mistakes; a strategy that cannot run is listed with the reason.
    """
    folder = None if output_dir is None else Path(output_dir)
    return comparison.compare(
        _recipe("compare", recipe, options, flags), strategies, folder=folder, full=full, oracle=oracle
    )


def _recipe(
    caller: str, recipe: str | Mapping[str, Any] | None, options: Mapping[str, Any] | None, flags: Mapping[str, Any]
) -> Recipe:
    old = {name: f"data.{name}" for name in columns.olds(flags)}
    if old:
        logger.warning("%s() will lose %s with the next version: column={MODALITY: NAME}", caller, ", ".join(old))
    keys = {**KEYS, **old}
    for name in flags:
        if name not in keys:
            guess = nearest(name, KEYS)
            raise HubtlError(f"{caller}() has no argument {name!r}", hint=guess or f"one of {', '.join(KEYS)}")
    raw = read(recipe) if isinstance(recipe, str) else dict(recipe or {})
    changes = {keys[name]: value for name, value in flags.items() if value is not None}
    return parse(merge(merge(raw, changes), options or {}))
