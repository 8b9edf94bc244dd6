"""Make the accelerator of a run: device, precision, processes, trackers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator as Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs

from hubtl import launch
from hubtl.engine import processes
from hubtl.errors import HubtlError
from hubtl.recipe.schema import RunSection
from hubtl.settings import logger


def make_accelerator(run: RunSection, folder: Path | None) -> Accelerator:
    """Make the accelerator of a run.

    Args:
        run: the section ``run`` of the recipe.
        folder: the run's folder, for trackers.

    Raises:
        HubtlError: for a missing device, precision or tracker, and for processes that cannot connect.
    """
    size = launch.adopt()
    check_device(run)
    cpu = run.device == "cpu" or (size > 1 and not _shared(run.device, launch.beside()))
    AcceleratorState._reset_state(
        reset_partial_state=False
    )  # an earlier run of this process may have had another precision
    GradientState._reset_state()
    try:
        accelerator = Accelerator(
            cpu=cpu,  # without a device that processes share, accelerate takes each for the only one unless it is told
            mixed_precision=run.mixed_precision,
            log_with=run.report_to or None,
            project_dir=str(folder) if folder else None,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:
        raise HubtlError(f"{error}".split("\n")[0], hint="hubtl doctor shows what is installed") from error
    except (RuntimeError, OSError) as error:
        if size == 1:
            raise
        raise HubtlError(
            f"the {size} processes do not find each other: {str(error).splitlines()[0]}",
            hint="another MASTER_PORT, or torchrun --rdzv-backend c10d --rdzv-endpoint 127.0.0.1:0 …",
        ) from error
    if accelerator.num_processes != size:
        raise HubtlError(
            f"{size} processes were started, and each takes itself for one of {accelerator.num_processes}",
            hint="--device cpu, or one process",
        )
    processes.meet(accelerator)
    return accelerator


def check_device(run: RunSection) -> None:
    """Check device and precision.

    Raises:
        HubtlError: for one that is missing.
    """
    if run.device not in (None, "cpu") and not _available(str(run.device)):
        raise HubtlError(f"device {run.device!r} is not available here", hint="--device cpu, or leave it out")
    if run.mixed_precision == "fp16" and (run.device == "cpu" or not torch.cuda.is_available()):
        raise HubtlError("fp16 needs a CUDA device", hint="--mixed-precision bf16")


def _shared(device: str | None, beside: int) -> bool:
    """Return whether this machine has devices for several processes.

    Raises:
        HubtlError: where there are fewer devices than processes.
    """
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        if 1 < count < beside:  # where there is one, each process may see another
            raise HubtlError(f"{beside} processes and {count} GPUs", hint=f"--nproc-per-node {count}, or --device cpu")
        return True
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if kind is None or kind.type != "mps":
        return kind is not None
    if device is not None:
        raise HubtlError("several processes cannot share mps", hint="--device cpu, or one process")
    logger.info("device     cpu: several processes cannot share mps")
    return False


def start_trackers(accelerator: Accelerator, recipe: Mapping[str, Any]) -> None:
    """Start the trackers that the run reports to.

    Raises:
        HubtlError: for one that is not installed or does not start.
    """
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
    """Check the names of trackers.

    Raises:
        HubtlError: for one that accelerate does not know or that is not installed.
    """
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
