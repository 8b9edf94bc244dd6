"""``hubtl push --space`` against a local Hub, and the written app. The app runs as the Hub would run it."""

import json
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.card import document
from hubtl.errors import HubtlError
from hubtl.hub.space import MARK, NEW, PYTHON, SDK, Wish, merged, push_space, written
from hubtl.models import saved as api
from tests.hub.loopback import env_for, start

ROOT = Path(__file__).parents[2]
CLASSES = ["even", "odd"]
CARD = "---\nlicense: other\nlicense_name: for-digits\nlicense_link: LICENSE\n---\n\n# A model\n"


def save(folder, seed=0):
    torch.manual_seed(seed)
    backbone = backbones.resolve("lenet", BackboneRequest(CLASSES, pretrained=False)).eval()
    api.save(folder, backbone, nn.Linear(500, 2), CLASSES, {"task": "classification", "strategy": "coral"})
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save(tmp_path_factory.mktemp("space") / "run")


@pytest.fixture(scope="module")
def server():
    hub = start()
    yield hub
    hub.stop()


@pytest.fixture
def hub(server):
    server.reset()
    return server


def add(hub, folder, repo, **options):
    hub.add(repo, {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}, **options)


def push(hub, home, *words):
    """``hubtl push`` as its user would type it: exit code, stdout and stderr."""
    command = [sys.executable, "-W", "error", "-m", "hubtl", "push", *map(str, words)]
    done = subprocess.run(command, env=env_for(hub, home), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def text(hub, name, space="user/digits-demo"):
    return hub.files(f"spaces/{space}")[name].decode()


def test_a_space_is_one_commit_of_three_files_and_the_model_stays_as_it_is(hub, run, tmp_path):
    add(hub, run, "user/digits")
    model = dict(hub.files("user/digits"))
    code, out, err = push(hub, tmp_path / "home", run, "user/digits", "--space")
    assert code == 0, err
    assert out.splitlines()[-2] == f"space      {hub.url}/spaces/user/digits-demo"
    assert hub.files("user/digits") == model
    assert len(hub.repos["user/digits"].commits) == 1
    assert len(hub.repos["spaces/user/digits-demo"].commits) == 1
    files = hub.files("spaces/user/digits-demo")
    assert set(files) == {"README.md", "app.py", "requirements.txt"}
    for name, content in files.items():
        assert re.search(rf"^\s+{len(content)}\s+{re.escape(name)}$", out, re.MULTILINE)
    front = document.parse(text(hub, "README.md")).metadata
    assert front == {
        "title": "digits-demo",
        "sdk": "gradio",
        "sdk_version": SDK,
        "python_version": PYTHON,
        "app_file": "app.py",
        "models": ["user/digits"],
        "license": "other",
        "license_name": "for-digits",
        "license_link": "LICENSE",
    }
    assert 'launch("user/digits")' in text(hub, "app.py")

    # the page that the Hub makes for a new Space says nothing of it
    fresh = f"---\ntitle: Digits Demo\nemoji: 🐨\nsdk: gradio\n---\n\n{NEW} https://huggingface.co/docs/hub/spaces\n"
    assert "# digits-demo\n\nWhat [user/digits]" in merged(text(hub, "README.md"), fresh)
    assert document.parse(merged(text(hub, "README.md"), fresh)).metadata["emoji"] == "🐨"

    # what people did to it is kept; what is hubtl's is brought up to date
    written = text(hub, "README.md").replace("app_file", "emoji: 🔢\ncolorFrom: blue\napp_file") + "\nMy own words.\n"
    mine = {"README.md": written.replace(SDK, "6.0.0").encode(), "app.py": b"print('mine')\n"}
    hub.add("spaces/user/digits-demo", mine)
    add(hub, run, "user/before", private=True)
    words = ("--space", "--source-only", "user/before", "--commit-message", "Both")
    code, out, err = push(hub, tmp_path / "home", run, "user/digits", *words)
    assert code == 0, err
    assert "app.py, which somebody changed" in out
    assert "user/before is private" in err
    assert "HF_TOKEN" in err
    front = document.parse(text(hub, "README.md")).metadata
    assert (front["emoji"], front["colorFrom"], front["sdk_version"]) == ("🔢", "blue", SDK)
    assert front["models"] == ["user/digits", "user/before"]
    assert text(hub, "README.md").endswith("\nMy own words.\n")
    assert text(hub, "app.py") == "print('mine')\n"
    assert hub.repos["spaces/user/digits-demo"].messages[-1] == "Both"


def test_nothing_is_made_where_the_model_is_not_on_the_hub_or_nobody_may(hub, run, tmp_path):
    code, _, err = push(hub, tmp_path / "home", run, "user/digits", "--space-name", "user/shown", "--public")
    assert code == 2
    assert "the model user/digits is not on the Hub" in err
    again = f"hubtl push {run} user/digits --space --space-name user/shown --public"
    assert f"try:   hubtl push {run} user/digits, then: {again}" in err
    assert hub.repos == {}
    add(hub, run, "user/digits")
    for step in ("create", "commit"):
        hub.faults = {step: "403"}
        code, _, err = push(hub, tmp_path / "home", run, "user/digits", "--space")
        assert code == 2
        assert "the push to the Space user/digits-demo failed: the token may not do this" in err
        assert f"then: hubtl push {run} user/digits --space" in err


def test_the_plan_is_told_without_asking_anybody(run):
    done = push_space(run, "user/digits@v1", space="user/shown", source_only="user/before", dry_run=True)
    assert (done.space, done.model, done.dry_run) == ("user/shown", "user/digits@v1", True)
    assert [name for name, _ in done.files] == ["README.md", "app.py", "requirements.txt"]
    with pytest.raises(HubtlError, match="no finished model"):
        push_space(run.parent, "user/digits", dry_run=True)
    for wrong in ({"space": "shown"}, {"space": "user/a@b"}, {"source_only": str(run)}):
        with pytest.raises(HubtlError):
            push_space(run, "user/digits", dry_run=True, **wrong)


def test_the_versions_that_the_space_asks_for_are_those_that_hubtl_is_tried_with():
    assert f"gradio=={SDK}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extra,) = map(Requirement, project["optional-dependencies"]["demo"])
    assert (extra.name, SDK in extra.specifier) == ("gradio", True)
    assert PYTHON in SpecifierSet(project["requires-python"])


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"modalities": ["image"]}, ["hubtl"]),
        ({"modalities": ["text"], "library": "transformers"}, ["hubtl"]),
        ({"modalities": ["image"], "architecture": "multimodal"}, ["hubtl", "hubtl-multimodal"]),
    ],
)
def test_the_requirements_have_the_package_that_loads_the_model(facts, names):
    wish = Wish(Path("run"), "user/a", "user/b", None, None, None, False)
    made = written(wish, facts, {})["requirements.txt"]
    found = [Requirement(line) for line in made.splitlines() if not line.startswith("#")]
    assert [r.name for r in found] == names
    assert found[0].extras == {"demo"}


def test_the_app_that_was_pushed_loads_both_models_from_the_hub_and_predicts(hub, run, tmp_path):
    if find_spec("gradio") is None:
        pytest.skip("the demo needs gradio")
    before = save(tmp_path / "before", seed=1)
    add(hub, run, "user/digits")
    add(hub, before, "user/before")
    home = tmp_path / "home"
    code, _, err = push(hub, home, run, "user/digits", "--space", "--source-only", "user/before")
    assert code == 0, err
    app = tmp_path / "space" / "app.py"
    app.parent.mkdir()
    app.write_text(text(hub, "app.py"), encoding="utf-8")
    assert app.read_text(encoding="utf-8").startswith(MARK)
    picture = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(picture)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    # as a Space sets them
    address = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, str(app)],
            env=env_for(hub, home, token="") | address,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split("  ")[0].strip()
            assert url == f"http://127.0.0.1:{port}/", (tmp_path / "stderr").read_text()
            found = predict(url, picture)
        finally:
            process.terminate()
            process.communicate(timeout=20)
    for folder, said in ((before, found[1]), (run, found[2])):
        wanted = api.load(folder).predict(picture)[0].probabilities
        assert {c["label"]: c["confidence"] for c in said["confidences"]} == pytest.approx(wanted, abs=1e-5)


def predict(url, picture):
    """Ask the app: upload a picture, and wait for the answer."""
    border = "border"
    body = (
        f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'.encode()
        + picture.read_bytes()
        + f"\r\n--{border}--\r\n".encode()
    )
    (path,) = post(f"{url}gradio_api/upload", body, f"multipart/form-data; boundary={border}")
    data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event = post(f"{url}gradio_api/call/predict", json.dumps(data).encode(), "application/json")["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/predict/{event}", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    assert lines[0] == "event: complete", lines
    return json.loads(lines[1].removeprefix("data: "))


def post(url, body, kind):
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    for _ in range(50):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
