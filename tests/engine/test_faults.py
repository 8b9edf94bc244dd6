"""Faults of the machine are explained with a hint. The last good state stays."""

import errno
import os

import pytest
import torch

import hubtl
from hubtl.data.streams import Careful, _unwrapped
from hubtl.engine.faults import explain
from hubtl.errors import HubtlError

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
    "source_split": "train[:16]",
    "target_split": "train[:16]",
    "target_eval_split": "test[:8]",
    "device": "cpu",
    "baseline": False,
    "options": {"run.plots": False, "run.checkpoint_every": 2, "source.eval_split": "test[:8]"},
}


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x/checkpoint.pt"), "no space left", "--resume"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), "no space", "--resume"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory", "--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), "out of memory", "--batch-size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "a loader process", "--num-workers 0"),
        (ValueError("Expected more than 1 value per channel when training, got"), "BatchNorm", "--batch-size 2"),
    ],
)
def test_faults_of_the_machine_say_what_to_do(tmp_path, error, said, hint):
    known = explain(error, tmp_path)
    assert known is not None
    assert said in str(known)
    assert hint in str(known.hint)


def test_other_errors_go_on_as_they_are(tmp_path):
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), tmp_path) is None
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere"), tmp_path) is None


def test_a_batch_of_one_row_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(HubtlError, match="one row has no batch statistics") as caught:
        hubtl.adapt(
            **{**DIGITS, "baseline": True}, strategy="dann", steps=2, batch_size=1, output_dir=str(tmp_path / "run")
        )
    assert "--batch-size 2" in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on_from_it(tmp_path, monkeypatch):
    common = {**DIGITS, "strategy": "mcc", "steps": 6, "batch_size": 4}
    whole = hubtl.adapt(**common, output_dir=str(tmp_path / "whole"))
    folder, written, fsync = tmp_path / "run", [], os.fsync

    def full(handle):
        name = os.readlink(f"/proc/self/fd/{handle}") if os.path.exists("/proc/self/fd") else ""
        if "checkpoint" in name:
            written.append(name)
            if len(written) > 3:
                raise OSError(errno.ENOSPC, "No space left on device", name)
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(HubtlError, match="no space left") as caught:
            hubtl.adapt(**common, output_dir=str(folder))
    assert f"--resume --output-dir {folder}" in str(caught.value.hint)
    assert not list(folder.rglob("*.partial"))
    resumed = hubtl.adapt(**common, output_dir=str(folder), resume=True)
    assert resumed.record.training.resumed == 1
    weights = [(r.output_dir / "model.safetensors").read_bytes() for r in (whole, resumed)]
    assert weights[0] == weights[1]


def test_what_a_loader_process_refuses_keeps_its_words_and_its_hint():
    class Broken:
        def __getitem__(self, i):
            raise HubtlError("cannot read row 3", hint="mend it")

    with pytest.raises(HubtlError, match=r"^cannot read row 3$") as caught:
        next(_unwrapped([Careful(Broken())[0]]))
    assert caught.value.hint == "mend it"
