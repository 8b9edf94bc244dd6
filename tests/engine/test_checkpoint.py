"""Checkpoints: whole or not at all, random states included, and nothing in them is executed."""

import os
import random

import numpy as np
import pytest
import torch

from hubtl.engine import checkpoint
from hubtl.errors import HubtlError
from tests.tiny import accelerator


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item(), np.random.randn()


def test_a_state_comes_back_with_the_random_states_it_was_saved_with(tmp_path):
    np.random.randn()  # leaves the second of two normal draws waiting in numpy's state
    weights = {"w": torch.arange(6.0).view(2, 3)}
    checkpoint.save(tmp_path, {"strategy": weights, "step": 3, "curves": [{"step": 1.0}]}, accelerator())
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    state = checkpoint.load(tmp_path, accelerator())
    assert state is not None
    checkpoint.restore_random(state, accelerator())
    assert draws() == expected
    assert torch.equal(state["strategy"]["w"], weights["w"])
    assert (state["step"], state["curves"]) == (3, [{"step": 1.0}])


def test_an_optimisers_state_comes_back(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path, {"optimizer": optimizer.state_dict()}, accelerator())
    fresh = torch.optim.Adam([parameter])
    fresh.load_state_dict(checkpoint.load(tmp_path, accelerator())["optimizer"])
    assert torch.equal(fresh.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_without_a_checkpoint_there_is_nothing_to_load(tmp_path):
    assert checkpoint.load(tmp_path / "nowhere", accelerator()) is None


@pytest.mark.parametrize("broken", ["save", "replace"])
def test_a_write_that_fails_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch, broken):
    checkpoint.save(tmp_path, {"step": 1}, accelerator())

    def fail(state, file=None, *_):
        if broken == "save":
            file.write(b"half of it")
        raise OSError("killed")

    monkeypatch.setattr(*((torch, "save") if broken == "save" else (os, "replace")), fail)
    with pytest.raises(OSError, match="killed"):
        checkpoint.save(tmp_path, {"step": 2}, accelerator())
    monkeypatch.undo()
    assert checkpoint.load(tmp_path, accelerator())["step"] == 1
    checkpoint.save(tmp_path, {"step": 3}, accelerator())
    assert checkpoint.load(tmp_path, accelerator())["step"] == 3
    assert {path.name for path in tmp_path.iterdir()} == {checkpoint.NAME, checkpoint.BEFORE}


@pytest.mark.parametrize("keep", [0, 100, -7, "flipped"], ids=["empty", "cut short", "cut at its end", "a bit flipped"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, keep, caplog):
    """The next checkpoint replaces the good one only when whole itself."""
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step, "w": torch.ones(1000)}, accelerator())
    path = tmp_path / checkpoint.NAME
    whole = path.read_bytes()
    middle = whole.index(torch.ones(64).numpy().tobytes()) + 64
    flipped = whole[:middle] + b"\x01" + whole[middle + 1 :]
    path.write_bytes(flipped if keep == "flipped" else whole[:keep])
    state = checkpoint.load(tmp_path, accelerator())
    assert state is not None
    assert state["step"] == 1
    checkpoint.save(tmp_path, {"step": 3}, accelerator())
    assert checkpoint.read(tmp_path / checkpoint.BEFORE)["step"] == 1
    assert checkpoint.load(tmp_path, accelerator())["step"] == 3


def test_where_every_checkpoint_is_damaged_nothing_is_begun_anew_unasked(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step}, accelerator())
    for name in checkpoint.NAMES:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(HubtlError, match=r"no checkpoint in .* is whole") as caught:
        checkpoint.load(tmp_path, accelerator())
    assert "--overwrite" in str(caught.value.hint)
    assert {path.name for path in tmp_path.iterdir()} == set(checkpoint.NAMES), "they may still be of use"


@pytest.mark.parametrize("change", [{"format": 1}, {"random": [{}, {}]}])
def test_a_checkpoint_of_another_version_or_of_more_processes_is_refused(tmp_path, change):
    checkpoint.save(tmp_path, {"step": 1}, accelerator())
    torch.save({**checkpoint.read(tmp_path / checkpoint.NAME), **change}, tmp_path / checkpoint.NAME)
    with pytest.raises(HubtlError, match=r"another version|2 processes"):
        checkpoint.load(tmp_path, accelerator())


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    torch.save({"step": Payload(tmp_path / "owned")}, tmp_path / checkpoint.NAME)
    with pytest.raises(HubtlError, match="holds code"):
        checkpoint.load(tmp_path, accelerator())
    assert not (tmp_path / "owned").exists()
