"""Check that several processes stay equal. They equal one process where the losses allow it."""

import gc
import os
import tempfile
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

from hubtl.strategy import Strategy
from hubtl.testing.toy import ToyWorld, toy_train

STEPS = 2  # of each run; a difference is there from the first
ROWS = 32  # of all processes together
CLOSE = 1e-5
TIMEOUT = 60  # seconds that a process waits for another


def check_ranks(worlds: Sequence[ToyWorld], *, processes: int = 2) -> list[bool]:
    """Train strategies in ``processes`` processes over gloo and compare them. All start at once.

    The processes must end with the same weights. A strategy for which accumulating small batches equals the big one
    (no batch statistics in its losses, no dropout) must also end where one process ends that has the batches of all:
    those are True in what is returned. Networks have no BatchNorm here, where the strategy does without.

    The classes must be importable by name. Raises AssertionError with what is amiss, in all strategies.
    """
    compared = [compare(*pair, processes) for pair in zip(worlds, states(worlds, processes), strict=True)]
    wrong = [f"{world.cls.__name__}: {said}" for world, (said, _) in zip(worlds, compared, strict=True) if said]
    assert not wrong, "; ".join(wrong)
    return [exact for _, exact in compared]


def states(worlds: Sequence[ToyWorld], processes: int = 2) -> list[list[dict[str, Any]]]:
    """Return each process's state of each strategy: weights and buffers, or ``error``."""
    with tempfile.TemporaryDirectory() as name:
        arguments = (processes, list(worlds), name)
        torch.multiprocessing.start_processes(_train, arguments, nprocs=processes, start_method="spawn")
        return [
            [torch.load(Path(name) / f"{number}-{rank}.pt", weights_only=True) for rank in range(processes)]
            for number in range(len(worlds))
        ]


def compare(world: ToyWorld, found: list[dict[str, Any]], processes: int) -> tuple[str, bool]:
    """Return the fault, and whether the processes were compared with one."""
    if errors := [str(state["error"]) for state in found if "error" in state]:
        return f"in {processes} processes: {errors[0]}", False
    if not all(bool(value.isfinite().all()) for value in found[0].values() if value.is_floating_point()):
        return "weights are not finite", False
    if apart := [name for name in found[0] if any(gap(found[0][name], other[name]) > 0 for other in found[1:])]:
        return f"the processes drift apart: {apart}", False
    one = state(world, batch_size=ROWS)
    small = state(world, batch_size=ROWS // processes, accumulate=processes)
    if any(gap(one[name], small[name]) > CLOSE for name in one):
        return "", False
    if other := [name for name in one if gap(one[name], found[0][name]) > CLOSE]:
        return f"{processes} processes end elsewhere than one with the same batches: {other}", True
    return "", True


def gap(a: Tensor, b: Tensor) -> float:
    """Return the largest difference."""
    if a.shape != b.shape:
        return float("inf")
    return float((a.double() - b.double()).abs().max()) if a.numel() else 0.0


def state(world: ToyWorld, **run: Any) -> dict[str, Tensor]:
    """Return weights and buffers after a short training.

    A judge at its end, as in every run, makes buffers equal.
    """

    def judge(strategy: Strategy, step: int) -> dict[str, float]:
        return {}

    strategy = world.strategy(plain=not world.needs_batchnorm())
    toy_train(strategy, world.streams(), steps=STEPS, judge=judge, **run)
    return {name: value.detach().cpu().clone() for name, value in strategy.state_dict().items()}


def _train(rank: int, processes: int, worlds: list[ToyWorld], folder: str) -> None:
    """Train all strategies in a separate process, and save their states."""
    torch.set_num_threads(1)
    gc.freeze()  # the engine collects after each phase, and there is much that will not go
    warnings.filterwarnings("ignore", category=FutureWarning)  # accelerate's, of an argument that it renamed
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in own.items()})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "ACCELERATE_USE_CPU": "1"})
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=TIMEOUT),
    )
    for number, world in enumerate(worlds):
        try:
            made: dict[str, Any] = state(world, batch_size=ROWS // processes)
        except Exception as error:  # noqa: BLE001 - a stranger's step may raise anything
            made = {"error": f"{type(error).__name__}: {error}"}
        torch.save(made, Path(folder) / f"{number}-{rank}.pt")
    torch.distributed.destroy_process_group()
