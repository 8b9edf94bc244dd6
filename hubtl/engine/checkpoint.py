"""Write and read checkpoints. A kill at any instant loses nothing."""

import os
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from hubtl.engine.processes import first
from hubtl.errors import HubtlError
from hubtl.io import files
from hubtl.settings import logger

NAME = "checkpoint.pt"
BEFORE = "checkpoint-before.pt"  # the one before, should the last one turn out to be damaged
NAMES = (NAME, BEFORE)
FORMAT = 2  # of the state


def save(folder: Path, state: dict[str, Any], accelerator: Accelerator) -> None:
    """Write ``state`` and every rank's random states, beside the previous checkpoint.

    Args:
        folder: the folder of the checkpoints.
        state: plain values and tensors.
        accelerator: the accelerator of the run.
    """
    states = _gather_random_states(accelerator)

    def keep() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with files.whole(folder / NAME) as file:
            torch.save({**state, "format": FORMAT, "random": states}, file)
            file.flush()
            os.fsync(file.fileno())
            if (folder / NAME).exists():
                os.replace(folder / NAME, folder / BEFORE)

    first(accelerator, keep)


def load(folder: Path, accelerator: Accelerator) -> dict[str, Any] | None:
    """Load the last state that is complete; None if there is none yet.

    A damaged file gives a warning, and the previous one is read. ``restore_random`` then takes its random states.

    Args:
        folder: the folder of the checkpoints.
        accelerator: the accelerator of the run.

    Raises:
        HubtlError: where all are damaged, and for a state of another version of hubtl or another number of processes.
    """
    state = _last(folder)
    if state is None:
        return None
    again = "--overwrite to start again, or another --output-dir"
    if state.get("format") != FORMAT:
        raise HubtlError(f"the checkpoint in {folder} is of another version of hubtl", hint=again)
    if (count := len(state["random"])) != accelerator.num_processes:
        raise HubtlError(
            f"the run was started in {count} process{'' if count == 1 else 'es'}, and now there are "
            f"{accelerator.num_processes}: its batches would be others",
            hint=f"start {count}, or {again}",
        )
    return state


def restore_random(state: dict[str, Any], accelerator: Accelerator) -> None:
    """Restore the random states that this state was written with."""
    _restore_random_state(state["random"][accelerator.process_index])


def _last(folder: Path) -> dict[str, Any] | None:
    damaged = []
    for path in (folder / NAME, folder / BEFORE):
        if not path.exists():
            continue
        try:
            state = read(path)
        except Damaged as error:
            damaged.append(path)
            logger.warning("the checkpoint %s is damaged: %s", path, error)
            continue
        if damaged:
            logger.warning("the run goes on from the one before")
            damaged[0].unlink(missing_ok=True)  # or the next one would take the place of the one that is whole
        return state
    if damaged:
        raise HubtlError(
            f"no checkpoint in {folder} is whole: {' and '.join(path.name for path in damaged)} cannot be read",
            hint="--overwrite to start again, or put a copy of the file back",
        )
    return None


class Damaged(Exception):
    """Report a checkpoint that is not what was written."""


def read(path: Path) -> dict[str, Any]:
    """Read tensors and plain values only: nothing in the file is executed.

    Raises:
        Damaged: for a damaged file.
        HubtlError: for a file of another program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise Damaged(f"{bad} is not what was written")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Damaged:
        raise
    except Exception as error:
        if "weights_only" in str(error).lower():
            raise HubtlError(f"{path} holds code, and is no checkpoint of hubtl", hint="remove it") from error
        raise Damaged(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(state, dict):
        raise Damaged("it holds no state")
    return state


def _random_state() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": list(random.getstate()[1]),
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore_random_state(state: dict[str, Any]) -> None:
    random.setstate((3, tuple(state["python"]), None))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _gather_random_states(accelerator: Accelerator) -> list[dict[str, Any]]:
    if accelerator.num_processes == 1:
        return [_random_state()]
    from accelerate.utils import gather_object

    states: list[dict[str, Any]] = gather_object([_random_state()])
    return states
