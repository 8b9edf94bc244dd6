"""The flags of test-time adaptation, which ``predict`` and ``evaluate`` share."""

from collections.abc import Sequence
from typing import Any


def options_of(method: str | None, set_: Sequence[str] | None, reset_every: int | None) -> dict[str, Any]:
    """What ``--tta-set`` and ``--tta-reset-every`` say; HubtlError where no method takes them."""
    from hubtl.errors import HubtlError
    from hubtl.reading import parse_set

    if method is None:
        if set_ or reset_every is not None:
            raise HubtlError("--tta-set and --tta-reset-every are options of a method", hint="--tta tent")
        return {}
    own = {} if reset_every is None else {"reset_every": reset_every}
    return {**own, **parse_set(set_ or [], flag="--tta-set", example="lr=1e-4")}
