"""A run that is killed loses nothing, and two processes are one: real processes, real signals."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

ADAPT = [
    "adapt", "--no-pretrained", "--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci",
    "--device", "cpu", "--set", "run.plots=false",
]  # fmt: skip


def hubtl(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hubtl", *ADAPT, *arguments]


def run(command: list[str], cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=cwd, env=env)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(command: list[str], checkpoint: Path, number: int) -> tuple[int, str]:
    """Start a run, interrupt it at its checkpoint, return its end. The end is exit code and stderr."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(checkpoint, process)
        os.kill(process.pid, number)
        _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_a_killed_run_resumes_to_bit_equal_weights(tmp_path):
    """SIGKILL in the middle of the adaptation, after the baseline: both are as if nothing had happened."""
    common = [
        "--model",
        "lenet",
        "--strategy",
        "dann",
        "--steps",
        "40",
        "--batch-size",
        "16",
        "--set",
        "run.checkpoint_every=4",
    ]
    whole = run(hubtl(*common, "--output-dir", str(tmp_path / "whole")))
    assert whole.returncode == 0, whole.stderr
    folder = tmp_path / "killed"
    command = hubtl(*common, "--output-dir", str(folder))
    code, _ = interrupted(command, folder / "training" / "dann" / "checkpoint.pt", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (folder / "model.safetensors").exists()
    state = torch.load(folder / "training" / "dann" / "checkpoint.pt", weights_only=True)
    assert 0 < state["steps"] < 40
    refused = run(command)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    other = run(hubtl(*common, "--lr", "0.5", "--output-dir", str(folder), "--resume"))
    assert other.returncode == 2
    assert "optim.lr (0.01 → 0.5)" in other.stderr
    resumed = run([sys.executable, "-m", "hubtl", "adapt", "--resume", "--output-dir", str(folder)])
    assert resumed.returncode == 0, resumed.stderr
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_ctrl_c_stops_after_a_checkpoint_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    command = hubtl(
        "--model",
        "lenet",
        "--strategy",
        "mcc",
        "--no-baseline",
        "--steps",
        "100000",
        "--set",
        "run.checkpoint_every=5",
        "--output-dir",
        str(folder),
    )
    code, stderr = interrupted(command, folder / "training" / "mcc" / "checkpoint.pt", signal.SIGINT)
    assert code == 130
    assert f"hubtl adapt --resume --output-dir {folder}" in stderr
    assert "Traceback" not in stderr
    assert '"status": "interrupted"' in (folder / "record.json").read_text()


@pytest.mark.ranks
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    """The command of the README: two ranks of 8 rows against one process of 16, without dropout or batch statistics."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    words = shlex.split(re.findall(r"`(torchrun [^`]+)`", readme)[0])
    assert words[-2:] == ["adapt", "recipe.yaml"]

    def trained(name, batch_size, command, lr=0.05, **environment):
        folder = tmp_path / name
        folder.mkdir()
        recipe = {
            "model": {"name": "test_vit", "pretrained": False, "image_size": 32, "bottleneck": 0},
            "source": {"dataset": "builtin:digits/mnist"},
            "target": {"dataset": "builtin:digits/uci"},
            "data": {"augment": "none"},
            "strategy": {"name": "dann", "options": {"critic_batchnorm": False, "ramp_steps": 1}},
            "optim": {"lr": lr},
            "run": {"steps": 6, "batch_size": batch_size, "baseline": False, "plots": False, "output_dir": "out"},
        }
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        done = run([*command, "--json"], cwd=folder, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"output_dir"') == 1, "only one process may print the result"
        return load_file(folder / "out" / "model.safetensors")

    alone = [sys.executable, "-m", "hubtl", "adapt", "recipe.yaml"]
    one = trained("one", 16, alone)
    with socket.socket() as taken:  # the command's own port may be another's
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    torchrun = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    two = trained("two", 8, torchrun, PET_MASTER_PORT=port)
    assert one.keys() == two.keys()
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5
    start = trained("start", 16, alone, lr=1e-9)
    assert max(float((one[k] - start[k]).abs().max()) for k in one) > 1e-3, (
        "nothing was learnt, so nothing was compared"
    )
