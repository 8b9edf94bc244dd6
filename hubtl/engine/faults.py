"""Explain faults of the machine: memory, disks, lost loader and training processes."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hubtl.engine.processes import lost
from hubtl.errors import HubtlError
from hubtl.io.shown import typed

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.ENOENT, errno.ESTALE)
# What libraries that are not written in Python say: safetensors, torch's allocator and its file writer.
FULL_WORDS = re.compile(
    r"no space left|disk quota|os error (28|122|27)|file too large|file write failed|unexpected pos"
)
MEMORY_WORDS = re.compile(r"out of memory|can't allocate memory|not enough memory|cannot allocate memory")
WORKER_WORDS = re.compile(r"dataloader worker .*(killed|exited)|worker.* exited unexpectedly")
ONE_VALUE = "Expected more than 1 value per channel when training"


@contextmanager
def explained(folder: Path | None = None) -> Iterator[None]:
    """Turn faults of the machine during training into a HubtlError. It has a hint.

    ``folder`` is where the run writes. Any other error passes unchanged.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        known = explain(error, folder)
        if known is None:
            raise
        raise known from error


def explain(error: BaseException, folder: Path | None = None) -> HubtlError | None:
    """Return the HubtlError for a fault of the machine; None for any other error.

    Args:
        error: the error.
        folder: where the run writes.
    """
    words = " ".join(str(error).split())
    lower = words.lower()
    number = error.errno if isinstance(error, OSError) else None
    again = "" if folder is None else f", then hubtl adapt --resume --output-dir {typed(folder)}"
    if number in FULL or FULL_WORDS.search(lower):
        where = _place(error, folder)
        return HubtlError(f"no space left to write {where}", hint=f"make room on the disk{again}")
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or MEMORY_WORDS.search(lower):
        return HubtlError(
            f"out of memory: {words[:200] or 'the machine has no more'}",
            hint="a smaller --batch-size, with --gradient-accumulation-steps 2 for as many rows an update",
        )
    if WORKER_WORDS.search(lower):
        return HubtlError(
            f"a loader process was ended from outside, most often for want of memory: {words[:160]}",
            hint=f"--num-workers 0{again}",
        )
    if ONE_VALUE in words:
        return HubtlError(
            "one row has no batch statistics, and a BatchNorm of this model needs them", hint="--batch-size 2 or more"
        )
    if lost(error):
        return HubtlError(
            "another process of this run ended, or cannot be reached any more", hint=f"see what it said{again}"
        )
    if number in REFUSED and isinstance(error, OSError) and _inside(error, folder):
        return HubtlError(f"cannot write {_place(error, folder)}: {error.strerror}", hint=f"mend it{again}")
    return None


def _place(error: BaseException, folder: Path | None) -> str:
    name = getattr(error, "filename", None)
    return str(name or folder or "a file")


def _inside(error: OSError, folder: Path | None) -> bool:
    if folder is None or not isinstance(error.filename, str | Path):
        return False
    return Path(error.filename).absolute().is_relative_to(folder.absolute())
