"""Define the flags of test-time adaptation, which ``predict`` and ``evaluate`` share."""

from collections.abc import Sequence
from typing import Any


def options_of(
    method: str | None, set_: Sequence[str] | None, reset_every: int | None, seed: int | None, stream: bool
) -> dict[str, Any]:
    """Parse the options of ``--tta``.

    Raises:
        HubtlError: where no method takes them, or two of them contradict.
    """
    from hubtl.errors import HubtlError
    from hubtl.recipe.reading import parse_set

    if method is None:
        given = {
            "--tta-set": set_,
            "--tta-reset-every": reset_every,
            "--tta-seed": seed,
            "--tta-stream": stream or None,
        }
        if named := [flag for flag, value in given.items() if value or value == 0]:
            raise HubtlError(f"{' and '.join(named)}: options of a method, and none is given", hint="--tta tent")
        return {}
    if stream and seed is not None:
        raise HubtlError(
            "--tta-stream keeps the order that the rows come in, and --tta-seed draws another", hint="one of the two"
        )
    own = {} if reset_every is None else {"reset_every": reset_every}
    return {**own, **parse_set(set_ or [], flag="--tta-set", example="lr=1e-4")}


def seed_of(seed: int | None, stream: bool) -> int | None:
    """Return the seed of the rows' order; None for a stream, which keeps its own order."""
    return None if stream else seed or 0
