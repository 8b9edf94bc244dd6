"""Make several processes act as one: they share decisions and errors."""

import atexit
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from hubtl import launch
from hubtl.errors import FailedElsewhere, HubtlError

T = TypeVar("T")
LOST = (
    "connection closed",
    "connection reset",
    "connection refused",
    "socket",
    "timed out",
    "broken pipe",
    "gloo",
    "nccl",
)


def first(accelerator: Accelerator, act: Callable[[], T]) -> T:
    """Let the first process act alone; every process returns its result or raises its error."""
    if accelerator.num_processes == 1:
        return act()
    said: list[Any] = [None]
    error: BaseException | None = None
    if accelerator.is_main_process:
        try:
            said = [("done", act())]
        except Exception as raised:  # noqa: BLE001 - whatever it is, the others must not wait for ever
            said, error = [_told(raised)], raised
    broadcast_object_list(said)
    if error is not None:
        raise _everywhere(error)
    value: T = _heard(said[0])
    return value


def all_of(accelerator: Accelerator, act: Callable[[], T]) -> T:
    """Let every process act; where one fails, all raise an error."""
    if accelerator.num_processes == 1:
        return act()
    value, error = None, None
    try:
        value = act()
    except Exception as raised:  # noqa: BLE001 - whatever it is, the others must not wait for ever
        error = raised
    told = [said for said in gather_object([None if error is None else _told(error)]) if said is not None]
    if error is not None:
        raise _everywhere(error)
    if told:
        _heard(told[0])
    return value  # type: ignore[return-value]


def any_of(accelerator: Accelerator, here: bool) -> bool:
    """Return whether a condition holds in any process."""
    if accelerator.num_processes == 1:
        return here
    flag = torch.tensor(float(here), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum") > 0)


def _told(error: BaseException) -> tuple[str, Any]:
    if isinstance(error, HubtlError):
        return "refused", (str(error), error.hint)
    return "failed", f"{type(error).__name__}: {error}"


def _heard(said: tuple[str, Any]) -> Any:
    kind, value = said
    if kind == "refused":
        raise _everywhere(HubtlError(value[0], hint=value[1]))
    if kind == "failed":
        raise FailedElsewhere(value)
    return value


def _everywhere(error: BaseException) -> BaseException:
    if isinstance(error, HubtlError):
        error.everywhere = True
    return error


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Record the first process that fails by itself.

    The others then do not report that they lost it.
    """
    try:
        yield
    except HubtlError as error:
        if not error.everywhere and launch.claim is not None:
            launch.speaks()
        raise
    except Exception:
        if launch.claim is not None:
            launch.speaks()
        raise


def meet(accelerator: Accelerator) -> None:
    """Agree on how to find the one process that reports an error."""
    if not torch.distributed.is_initialized() or launch.claim is not None:
        return
    atexit.register(_part)
    if accelerator.num_processes == 1:
        return
    with contextlib.suppress(AttributeError, ValueError):
        store = torch.distributed.distributed_c10d._get_default_store()

        def claim() -> bool:
            try:
                return int(store.add("hubtl/errors", 1)) == 1
            except RuntimeError:  # the process that kept the count is gone, and has said why
                return launch.rank() == 0

        launch.claim = claim


def _part() -> None:
    if torch.distributed.is_initialized() and launch._speaks is None:
        torch.distributed.destroy_process_group()


def lost(error: BaseException) -> bool:
    """Return whether an error means that another process is out of reach."""
    if isinstance(error, torch.distributed.DistError):
        return True
    words = str(error).lower()
    return launch.claim is not None and isinstance(error, RuntimeError) and any(word in words for word in LOST)
