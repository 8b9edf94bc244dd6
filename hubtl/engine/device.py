"""The one accelerator of a run: device, precision, processes, trackers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs

from hubtl.errors import HubtlError
from hubtl.recipe import RunSection


def make_accelerator(run: RunSection, folder: Path | None) -> Accelerator:
    """Raises HubtlError for a device, a precision or a tracker that is not there."""
    if run.device not in (None, "cpu") and not _available(str(run.device)):
        raise HubtlError(f"device {run.device!r} is not available here", hint="--device cpu, or leave it out")
    if run.mixed_precision == "fp16" and (run.device == "cpu" or not torch.cuda.is_available()):
        raise HubtlError("fp16 needs a CUDA device", hint="--mixed-precision bf16")
    AcceleratorState._reset_state(
        reset_partial_state=False
    )  # an earlier run of this process may have had another precision
    GradientState._reset_state()
    try:
        return Accelerator(
            cpu=run.device == "cpu",
            mixed_precision=run.mixed_precision,
            log_with=run.report_to or None,
            project_dir=str(folder) if folder else None,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:
        raise HubtlError(f"{error}".split("\n")[0], hint="hubtl doctor shows what is installed") from error


def start_trackers(accelerator: Accelerator, recipe: Mapping[str, Any]) -> None:
    """Open the trackers that the run reports to. Raises HubtlError for one that is not installed or does not start."""
    if not accelerator.log_with:
        return
    flat = {
        f"{section}.{key}": value
        for section, keys in recipe.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }
    plain = {key: value if isinstance(value, int | float | str | bool) else str(value) for key, value in flat.items()}
    try:
        accelerator.init_trackers("hubtl", config=plain)
    except Exception as error:
        raise HubtlError(f"a tracker does not start: {error}", hint="leave --report-to out") from error


def check_trackers(names: list[str]) -> None:
    """Raise HubtlError for a tracker that accelerate does not know or that is not installed."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    installed = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in {str(t) for t in LOGGER_TYPE_TO_CLASS} | {"all"}:
            known = ", ".join(sorted(str(t) for t in LOGGER_TYPE_TO_CLASS))
            raise HubtlError(f"unknown tracker {name!r}; known: {known}", hint="--report-to tensorboard")
        if name != "all" and name not in installed:
            raise HubtlError(f"tracker {name!r} is not installed", hint=f"pip install {name}")


def _available(device: str) -> bool:
    kind = device.split(":")[0]
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "mps" and torch.backends.mps.is_available()
