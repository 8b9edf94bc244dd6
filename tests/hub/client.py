"""hubtl as a client of the loopback Hub, in its own processes."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from hubtl.errors import HubtlError
from tests.hub.loopback import TOKEN, Hub, env_for

# Calls of hubtl, one a line, in one process: a process for each would cost a second. It does not wait between retries.
CLIENT = """
import contextlib, io, json, os, sys, time
waited = []
time.sleep = waited.append
import hubtl.hub
from hubtl.cli import app
from hubtl.errors import HubtlError
def typed(*words):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = ["hubtl", *words]
        try:
            app.run()
        except SystemExit as end:
            code = end.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}
def dataset(text):
    from hubtl.data.opening import opened
    found = opened(text)
    rows = {name: len(split) for name, split in found.splits.items()}
    return {"rows": rows, "revision": found.revision, "license": found.license, "hub_id": found.hub_id}
def columns(text):
    from hubtl.data.opening import opened
    found = {}
    for name, split in opened(text).splits.items():
        cells = {column: split[column][:] for column in split.column_names}
        for column, feature in split.features.items():
            if hasattr(feature, "names"):
                cells[column] = [feature.names[i] for i in cells[column]]
        found[name] = cells
    return found
own = {"typed": typed, "dataset": dataset, "columns": columns}
for line in sys.stdin:
    name, arguments, options, token = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    try:
        done = own[name] if name in own else getattr(hubtl.hub, name)
        done = done(*arguments, **options)
        answer = {"done": done if name in own else str(done) if name == "pull" else done and vars(done)}
    except HubtlError as error:
        answer = {"message": str(error), "hint": error.hint}
    print(json.dumps(answer), flush=True)
"""
MODEL_FILES = {
    "README.md",
    "config.json",
    "hubtl.json",
    "model.safetensors",
    "plots/curves.png",
    "preprocessor_config.json",
    "recipe.yaml",
    "record.json",
}
CLASSES = ("bike", "mug")
WEIGHTS = bytes(range(256)) * 64


class Client:
    """hubtl in another process. ``push`` and the like return what was done, or raise the HubtlError again."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.home = home.parent
        self.errors = (home.parent / "client-stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            env=env_for(hub, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def call(self, name: str, *arguments: object, token: str | None = TOKEN, **options: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, [str(a) for a in arguments], options, token]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client died: " + Path(self.errors.name).read_text()
        answer = json.loads(line)
        assert TOKEN not in line
        if "done" in answer:
            return SimpleNamespace(**answer["done"]) if isinstance(answer["done"], dict) else answer["done"]
        raise HubtlError(answer["message"], hint=answer["hint"])

    def push(self, *arguments: object, **options: Any) -> Any:
        return self.call("push", *arguments, **options)

    def dataset(self, text: str, **options: Any) -> Any:
        """Return the facts on a dataset, and its rows."""
        return self.call("dataset", text, **options)

    def columns(self, text: str) -> dict[str, dict[str, list[Any]]]:
        """The cells of a dataset's splits by column, classes by their names."""
        return vars(self.call("columns", text))

    def pull(self, spec: str, **options: Any) -> Path:
        return Path(self.call("pull", spec, **options))

    def type(self, *words: object, token: str | None = TOKEN) -> Any:
        """The command line: ``code``, ``out`` and ``err``."""
        done = self.call("typed", *words, token=token)
        assert "Traceback" not in done.err
        assert not token or token not in done.out + done.err
        return done

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()
        self.errors.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def model(**changes: bytes | None) -> dict[str, bytes]:
    """The files of a small model in a repository; ``changes`` by the name before the dot, None to leave one out."""
    files = {
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "hubtl.json": b'{"format_version": 1, "modalities": ["image"]}',
    }
    for stem, content in changes.items():
        name = next(name for name in files if name.startswith(stem))
        files.pop(name)
        files |= {} if content is None else {name: content}
    return files


def hubtl(hub: Hub, home: Path, *words: object, token: str | None = None, **environment: str) -> Any:
    """The command line in a process of its own."""
    settings = {k: v for k, v in (env_for(hub, home, token=token) | environment).items() if v}
    command = [sys.executable, "-m", "hubtl", *map(str, words)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done


def classifier(folder: Path) -> dict[str, bytes]:
    """The files of a tiny classifier in timm's own format."""
    import timm

    torch.manual_seed(0)
    network = timm.create_model("test_resnet", pretrained=False, num_classes=2)
    labels = {"label_names": list(CLASSES)}
    timm.models.save_for_hf(network, folder, model_config=labels, safe_serialization=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def photos(folder: Path, seed: int) -> Path:
    draw = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder
