"""Read process count and rank from a launcher's environment variables."""

import os
from collections.abc import Callable, Mapping, MutableMapping

from hubtl.errors import HubtlError

TORCH = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
OTHERS = (  # size, rank, local rank, local size; the first of each is what says that there are several
    (
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
TORCHRUN = "torchrun --nproc-per-node 2 -m hubtl adapt recipe.yaml"

# Set once the processes have found each other: whether this one is the first to report an error.
claim: Callable[[], bool] | None = None
_speaks: bool | None = None


def adopt(environ: MutableMapping[str, str] = os.environ) -> int:
    """Return the number of processes; translate an MPI launcher's variables to torch's.

    Raises:
        HubtlError: where a launcher started several processes that cannot find each other.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        size, rank = _number(environ, "WORLD_SIZE"), _number(environ, "RANK")
        if not 0 <= rank < size:
            raise HubtlError(f"RANK is {rank} and WORLD_SIZE {size}", hint=TORCHRUN)
        if size > 1:  # a launcher that starts one process on each machine need not say more
            environ.setdefault("LOCAL_RANK", "0")
        elif "LOCAL_RANK" in environ:
            environ.setdefault("MASTER_ADDR", "127.0.0.1")
            environ.setdefault("MASTER_PORT", "0")
        return size
    for variables in OTHERS:
        if (size := _number(environ, variables[0], 1)) > 1:
            _translate(environ, variables, size)
            return size
    if (size := _number(environ, "WORLD_SIZE", 1)) > 1:
        raise HubtlError(
            f"WORLD_SIZE is {size}, and no RANK says which process this is", hint=f"unset WORLD_SIZE, or {TORCHRUN}"
        )
    if (size := _slurm(environ)) > 1:
        raise HubtlError(
            f"srun started {size} processes, and nothing says how they find each other",
            hint="srun --ntasks-per-node 1 torchrun --nproc-per-node 2 -m hubtl adapt recipe.yaml",
        )
    environ.pop("LOCAL_RANK", None)  # alone it says nothing, and accelerate would wait for others
    return 1


def _translate(environ: MutableMapping[str, str], variables: tuple[str, ...], size: int) -> None:
    rank = _number(environ, variables[1])
    local, beside = _number(environ, variables[2], rank), _number(environ, variables[3], size)
    if beside != size and "MASTER_ADDR" not in environ:
        raise HubtlError(
            f"{size} processes on several machines, and no MASTER_ADDR", hint="export MASTER_ADDR=HOST_OF_RANK_0"
        )
    environ.setdefault("MASTER_ADDR", "127.0.0.1")
    environ.setdefault("MASTER_PORT", "29500")
    environ.update(zip(TORCH, map(str, (size, rank, local, beside)), strict=True))


def _slurm(environ: Mapping[str, str]) -> int:
    """Return the tasks of a Slurm job step; a batch script is no step."""
    if "SLURM_STEP_NUM_TASKS" in environ:
        return _number(environ, "SLURM_STEP_NUM_TASKS")
    several = "SLURM_STEP_ID" in environ or _number(environ, "SLURM_PROCID", 0) > 0
    return _number(environ, "SLURM_NTASKS", 1) if several else 1


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = environ.get(name) or (None if default is None else str(default))
    try:
        return int(value or "")
    except ValueError:
        raise HubtlError(f"{name} is {value!r}, not a number", hint=TORCHRUN) from None


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """Return this process's rank from its variables; raise nothing."""
    for name in ("RANK", *(variables[1] for variables in OTHERS), "SLURM_PROCID"):
        if environ.get(name, "").isdecimal():
            return int(environ[name])
    return 0


def beside() -> int:
    """Return the number of processes on this machine, according to the launcher."""
    return _number(os.environ, "LOCAL_WORLD_SIZE", 1)


def speaks() -> bool:
    """Return whether this process reports an error: the first process that has one does.

    Asked again, the answer stays the same.
    """
    global _speaks
    if claim is None:
        return rank() == 0 or os.environ.get("LOCAL_RANK") == "0"
    if _speaks is None:
        _speaks = claim()
    return _speaks
