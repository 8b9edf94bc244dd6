"""Everything that a run needs to go on after it was stopped, written so that a kill at any instant loses nothing."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any], accelerator: Accelerator) -> None:
    """Write ``state`` and the random states of every rank; the new file replaces the old one in one instant."""
    states = _gather_random_states(accelerator)
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / NAME, {**state, "random": states})
    accelerator.wait_for_everyone()


def load(folder: Path, accelerator: Accelerator) -> dict[str, Any] | None:
    """The last state, its random states already restored; None if there is none."""
    path = folder / NAME
    if not path.exists():
        return None
    state: dict[str, Any] = read(path)
    states = state.pop("random")
    if len(states) == accelerator.num_processes:
        _restore_random_state(states[accelerator.process_index])
    return state


def write(path: Path, state: Any) -> None:
    """``torch.save`` through a neighbouring file, flushed to the disk before it takes the name."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read(path: Path) -> Any:
    """Tensors and plain values only: nothing in the file is executed."""
    return torch.load(path, map_location="cpu", weights_only=True)


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
