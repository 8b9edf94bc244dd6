"""Local data stay local: no library looks anything up, counts anything, or reports anything."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

# A refused call may fail silently, so each attempt is written down. Nothing here says that the Hub is away, or that
# libraries are to keep quiet: what the tests' own surroundings set is taken out before.
PROBE = """
import json, socket, sys, traceback
attempts = []
def recording(name, where):
    def refused(*arguments, **named):
        own = arguments[0] if isinstance(arguments[0], socket.socket) else None
        if own is not None and own.family == socket.AF_UNIX:
            return kept[name](*arguments, **named)
        stack = [f"{f.filename.split('site-packages/')[-1]}:{f.lineno}" for f in traceback.extract_stack()[-9:-1]]
        attempts.append([name, repr(arguments[own is not None:]), stack])
        raise OSError(101, "Network is unreachable")
    kept[name] = getattr(where, name)
    setattr(where, name, refused)
kept = {}
for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    recording(name, socket.socket)
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    recording(name, socket)

def hubtl(*words):
    from hubtl.cli import app
    sys.argv = ["hubtl", *words]
    try:
        app.run()
    except SystemExit as end:
        assert not end.code, words
"""
RUNS = """
from pathlib import Path
import numpy as np
from PIL import Image
rng = np.random.default_rng(0)
for domain in ("source", "target"):
    for split, each in (("train", 4), ("test", 2)):
        for name, shade in (("cat", 60), ("dog", 190)):
            folder = Path(domain, split, name)
            folder.mkdir(parents=True)
            for i in range(each):
                pixels = rng.integers(shade - 50, shade + 50, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
Path("rows.csv").write_text("image,label\\n" + "".join(
    f"target/train/{name}/{i}.png,{name}\\n" for name in ("cat", "dog") for i in range(4)))
few = ("--no-pretrained", "--image-size", "32", "--steps", "2", "--batch-size", "4")
both = ("--source-dataset", "source", "--target-dataset", "target")
hubtl("adapt", "--model", "lenet", *few, *both, "--strategy", "coral", "--set", "run.keep_source_only=true", "--output-dir", "run")
hubtl("adapt", "--model", "test_vit", *few, "--target-dataset", "rows.csv", "--strategy", "finetune", "--output-dir", "vit")
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
ViTForImageClassification(ViTConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
)).save_pretrained("tiny")
ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained("tiny")
hubtl("adapt", "--model", "tiny", *few[3:], *both, "--strategy", "mcc", "--output-dir", "own")
for model in ("run", "vit", "own"):
    hubtl("predict", model, "target/test/cat/0.png")
hubtl("evaluate", "run", "--dataset", "target", "--split", "test")
hubtl("rank", "--models", "tiny", "--target-dataset", "target", "--image-size", "32")
hubtl("compare", "--model", "lenet", *few, *both, "--strategies", "coral", "--output-dir", "several")
"""
DEMO = """
from hubtl.demo import require
from hubtl.demo.answers import Answers
from hubtl.demo.page import page
require()
page(Answers.of("run", None))
"""
METER = """
import time
from hubtl.run.energy import Meter
meter = Meter()
time.sleep(1)
meter.read()
"""
TOLD = "\nprint('attempts:', json.dumps(attempts))\n"


def attempts(code: str, folder: os.PathLike[str]) -> list[tuple[str, str, list[str]]]:
    """Every attempt to reach another machine. It has what it called, with what, and from where."""
    told = ("HF_ENDPOINT", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "HF_UPDATE_DOWNLOAD_COUNTS", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in told and "GRADIO" not in name}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", PROBE + code + TOLD],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1].removeprefix("attempts: "))
    return [(name, what, stack) for name, what, stack in found]


@pytest.mark.slow
def test_local_runs_reach_for_no_other_machine(tmp_path):
    parts = [RUNS, DEMO if find_spec("gradio") else "", METER if find_spec("codecarbon") else ""]
    assert attempts("".join(parts), tmp_path) == []


@pytest.mark.parametrize(
    "code", ["socket.create_connection(('192.0.2.1', 80))", "socket.getaddrinfo('example.org', 80)"]
)
def test_the_probe_notices_calls_that_fail_silently(tmp_path, code):
    assert len(attempts(f"try:\n    {code}\nexcept OSError:\n    pass", tmp_path)) == 1
