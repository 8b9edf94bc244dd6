"""Checkpoints: whole or not at all, random states included, and nothing in them is executed."""

import os
import pickle
import random

import numpy as np
import pytest
import torch

from hubtl.engine import checkpoint
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
    assert draws() == expected
    assert state is not None
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
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    torch.save({"step": Payload(tmp_path / "owned")}, tmp_path / checkpoint.NAME)
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(tmp_path, accelerator())
    assert not (tmp_path / "owned").exists()
