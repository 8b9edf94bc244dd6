"""A run that is killed loses nothing, and two processes are one: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ADAPT = [
    "adapt", "--no-pretrained", "--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci",
    "--device", "cpu", "--set", "run.plots=false",
]  # fmt: skip


def hubtl(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hubtl", *ADAPT, *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(command: list[str], checkpoint: Path, number: int) -> tuple[int, str]:
    """Start a run, send it a signal as soon as its checkpoint is there, and return its exit code and its stderr."""
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
        "150",
        "--batch-size",
        "16",
        "--set",
        "run.checkpoint_every=10",
    ]
    whole = run(hubtl(*common, "--output-dir", str(tmp_path / "whole")))
    assert whole.returncode == 0, whole.stderr
    folder = tmp_path / "killed"
    command = hubtl(*common, "--output-dir", str(folder))
    code, _ = interrupted(command, folder / "training" / "dann" / "checkpoint.pt", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (folder / "model.safetensors").exists()
    state = torch.load(folder / "training" / "dann" / "checkpoint.pt", weights_only=True)
    assert 0 < state["steps"] < 150
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


def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    """Gloo, two ranks of 8 rows against one process of 16; a transformer without dropout or batch statistics."""
    common = [
        "--model",
        "test_vit",
        "--image-size",
        "32",
        "--augment",
        "none",
        "--strategy",
        "dann",
        "--steps",
        "6",
        "--no-baseline",
        "--set",
        "critic_batchnorm=false",
        "--set",
        "model.bottleneck=0",
        "--set",
        "ramp_steps=1",
        "--lr",
        "0.05",
    ]
    one = run(hubtl(*common, "--batch-size", "16", "--output-dir", str(tmp_path / "one")))
    assert one.returncode == 0, one.stderr
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "127.0.0.1:0",
        "-m",
    ]
    # without --device cpu, as the README has it: accelerate would then take each process for the only one
    words = hubtl(*common, "--batch-size", "8", "--output-dir", str(tmp_path / "two"), "--json")[2:]
    place = words.index("--device")
    two = run([*launcher, *words[:place], *words[place + 2 :]])
    assert two.returncode == 0, two.stderr
    assert two.stdout.count('"output_dir"') == 1, "only one process may print the result"
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys()
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-5
    start = run(hubtl(*common[:-1], "1e-9", "--batch-size", "16", "--output-dir", str(tmp_path / "start")))
    assert start.returncode == 0, start.stderr
    c = load_file(tmp_path / "start" / "model.safetensors")
    assert max(float((a[k] - c[k]).abs().max()) for k in a) > 1e-3, "nothing was learnt, so nothing was compared"
