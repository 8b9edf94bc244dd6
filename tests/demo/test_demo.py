"""The demo shows a model: in words and pictures here, and in a browser that reads the page."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.demo import drawing
from hubtl.demo.answers import Answers
from hubtl.errors import HubtlError
from hubtl.modalities.image import Image as Images
from hubtl.models import saved as api
from hubtl.record import Outputs
from hubtl.tasks.multilabel import LabelledAs

CLASSES = ["even", "odd"]
# Ctrl-C works even where the tests themselves run in the background; what leaves this machine is told.
SERVER = """
import signal, socket, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
connect = socket.socket.connect
def told(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
        print("went out:", address, file=sys.stderr, flush=True)
        raise OSError("not from here")
    return connect(self, address)
socket.socket.connect = told
from hubtl.__main__ import main
main()
"""


@contextmanager
def serving(words, place):
    """A command that serves a page in its own process: its address, its stderr, and its last lines."""
    if find_spec("gradio") is None:
        pytest.skip("the demo needs gradio")
    port, said, last = free_port(), place / "stderr", []
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *words, "--no-browser", "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=dict(os.environ),
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.split()[:1] == [f"http://127.0.0.1:{port}/"], said.read_text()
        yield f"http://127.0.0.1:{port}", said, last
        process.send_signal(signal.SIGINT)
        last.extend(process.stdout.read().splitlines())
        process.stdout.close()
        assert process.wait(timeout=20) == 0, said.read_text()
    assert "Traceback" not in said.read_text()


def save(folder, classes=CLASSES, *, seed=0, strategy="coral"):
    torch.manual_seed(seed)
    backbone = backbones.resolve("lenet", BackboneRequest(classes, pretrained=False)).eval()
    head = nn.Linear(500, len(classes))
    with torch.no_grad():
        head.weight.mul_(50)  # it is sure of something
    api.save(folder, backbone, head, classes, {"task": "classification", "strategy": strategy})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory that keeps its source-only model."""
    folder = save(tmp_path_factory.mktemp("demo") / "run")
    save(folder / "source-only", seed=1, strategy="source-only")
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 50, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    return path


def test_both_models_say_what_they_say_alone(run, picture):
    before, after = Answers.of(run).predict({"image": str(picture)})
    assert after == pytest.approx(api.load(run).predict(picture)[0].probabilities, abs=1e-6)
    assert before == pytest.approx(api.load(run / "source-only").predict(picture)[0].probabilities, abs=1e-6)
    assert before != after


def test_relevance_is_what_explain_draws_for_light_and_for_dark_pages(run, picture, tmp_path):
    answers = Answers.of(run)
    api.load(run).explain(picture, label="odd", folder=tmp_path)
    light, dark = answers.relevance({"image": str(picture)}, "odd")
    assert np.array_equal(np.asarray(light), np.asarray(Image.open(tmp_path / "explanation.png")))
    assert np.array_equal(np.asarray(dark), np.asarray(Image.open(tmp_path / "explanation-dark.png")))
    assert light.convert("L").getpixel((2, 2)) > 250
    assert dark.convert("L").getpixel((2, 2)) < 30


def test_source_only_is_found_named_or_said_to_be_missing(run, tmp_path, picture):
    cells = {"image": str(picture)}
    alone, wanted = save(tmp_path / "alone"), Answers.of(run).predict(cells)[0]
    assert "keep_source_only" in Answers.of(alone).note
    assert Answers.of(alone).predict(cells)[0] is None
    for named in (run / "source-only", run):  # the model, or the run that keeps it
        assert Answers.of(alone, named).predict(cells)[0] == wanted
    assert "nothing was adapted" in Answers.of(run / "source-only").note
    others = save(tmp_path / "others", ["even", "odd", "neither"])
    with pytest.raises(HubtlError, match="outputs even, odd, neither, and the model has even, odd") as error:
        Answers.of(alone, others)
    assert "--source-only" in error.value.hint


def test_a_run_that_ships_source_only_shows_what_adapting_made_beside_it(run, tmp_path, picture):
    folder = save(tmp_path / "run", seed=1, strategy="source-only")
    save(folder / "adapted")
    answers, cells = Answers.of(folder), {"image": str(picture)}
    assert answers.predict(cells) == Answers.of(run).predict(cells)
    assert (answers.name, answers.strategy) == ("run", "coral")
    assert "ships source-only" in answers.note
    assert Answers.of(run).note == ""


def test_a_model_that_is_not_explained_predicts_and_says_so(run, picture, monkeypatch):
    answers = Answers.of(run)
    assert answers.explains
    monkeypatch.setattr(Images, "covers", False)  # as of texts: nothing takes their parts away
    assert not answers.explains
    assert set(answers.predict({"image": str(picture)})[1]) == set(CLASSES)
    with pytest.raises(HubtlError, match="no parts to explain a prediction by"):
        answers.relevance({"image": str(picture)})


def saved_of(folder, task, names, details):
    torch.manual_seed(0)
    backbone = backbones.resolve("lenet", BackboneRequest(names, pretrained=False)).eval()
    outputs = Outputs(names=names, details=details)
    api.save(folder, backbone, nn.Linear(500, len(names)), outputs, {"task": task, "strategy": "coral"})
    return Answers.of(folder)


def test_numbers_are_said_with_unit_and_interval(tmp_path, picture):
    answers = saved_of(tmp_path / "run", "regression", ["angle"], {"unit": ["degrees"], "margin": [3.5]})
    _, answer = answers.predict({"image": str(picture)})
    (said,) = answer.said()
    value = answer.values["angle"]
    assert (said.name, said.value) == ("angle", f"{value:.1f} degrees".replace("-", "−"))
    assert said.aside == f"90% interval {value - 3.5:.1f} to {value + 3.5:.1f}".replace("-", "−")
    assert f"angle <strong>{said.value}</strong>" in drawing.answer("Prediction", answer)
    assert answers.model.task.about() == "1 output: angle (degrees)"
    assert answers.unexplained.startswith("There is no relevance: what is explained is the probability of")


def test_classes_that_are_answered_are_listed_and_thresholds_are_marked(tmp_path, picture):
    names = ["a<b", "square", "cross"]
    answers = saved_of(tmp_path / "run", "multi-label", names, {"thresholds": [0.01, 0.02, 0.99]})
    assert not answers.bars
    _, answer = answers.predict({"image": str(picture)})
    (said,) = answer.said()
    assert set(said.value.split(", ")) == {"a<b", "square"}
    drawn = drawing.answer("Prediction", answer)
    assert drawn.count('<li class="answered">') == 2
    assert 'left: 99.0%" title="threshold 99%"' in drawn
    assert "a&lt;b" in drawn
    assert "a<b" not in drawn
    nothing = LabelledAs("", [], dict.fromkeys(names, 0.1), dict.fromkeys(names, 0.5))
    assert "<strong>none</strong>" in drawing.answer("Prediction", nothing)


def test_what_cannot_be_read_is_told_without_the_servers_paths(run, broken):
    answers = Answers.of(run)
    for ask in (answers.predict, answers.relevance):
        with pytest.raises(HubtlError, match=r"image cannot be read: broken.png: it is no image") as error:
            ask({"image": str(broken)})
        assert "broken.png" in str(error.value)
        assert str(broken.parent) not in str(error.value)
        for nothing in (None, " "):
            with pytest.raises(HubtlError, match="Nothing is given"):
                ask({"image": nothing})


def test_without_the_extra_one_error_says_what_to_install():
    code = "import sys; sys.modules['gradio'] = None; sys.argv = ['hubtl', 'demo', 'x']; from hubtl.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: the demo needs gradio, which is not installed",
        'try:   pip install "hubtl[demo]"',
    ]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def served(run, tmp_path_factory):
    """``hubtl demo`` in a process of its own: its address, and what it wrote to stderr."""
    with serving(["demo", str(run)], tmp_path_factory.mktemp("served")) as (address, said, _):
        yield address, said


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_uploaded_predicted_by_both_and_explained(served, browser, run, picture, theme):
    address, said = served
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/?__theme={theme}")
    page.locator("input[type=file]").first.set_input_files(str(picture))
    page.locator("img[src*='photo.png']").wait_for()  # it is uploaded
    page.get_by_role("button", name="Predict").click()
    for folder, title in ((run / "source-only", "Source-only"), (run, "Adapted with coral")):
        wanted = api.load(folder).predict(picture)[0]
        block = page.locator(".block", has=page.get_by_text(title, exact=True))
        for name, p in wanted.probabilities.items():
            block.get_by_role("button", name=f"{name} {100 * p:.0f}%").wait_for()
        assert block.locator("h2").inner_text() == wanted.label
    page.get_by_role("button", name="Explain").click()
    page.locator(f".on-{theme} img:visible").wait_for()
    page.wait_for_function(f"document.querySelector('.on-{theme} img').naturalWidth > 1000")  # it came
    assert page.locator(".hubtl-relevance img:visible").count() == 1
    assert page.get_by_role("alert").count() == 0
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert outside == []
    assert "went out" not in said.read_text()
    page.close()


def test_an_input_that_cannot_be_read_is_told_in_the_page(served, browser, broken):
    page = browser.new_page()
    page.goto(served[0])
    page.get_by_role("button", name="Predict").click()
    page.get_by_role("alert").get_by_text("Nothing is given").wait_for()
    with page.expect_response("**/upload*") as uploaded:
        page.locator("input[type=file]").first.set_input_files(str(broken))
    assert uploaded.value.ok
    message = page.get_by_role("alert").get_by_text("broken.png: it is no image")
    for _ in range(20):  # the upload is known to the page a moment after its answer
        page.get_by_role("button", name="Explain").click()
        time.sleep(0.5)
        if message.count():
            break
    assert message.count() == 1
    assert "Traceback" not in page.inner_text("body")
    page.close()


def test_a_port_that_is_taken_is_an_error(served, run):
    words = ["demo", str(run), "--no-browser", "--port", served[0].rpartition(":")[2]]
    done = subprocess.run([sys.executable, "-m", "hubtl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: the demo cannot be served")
    assert "--port" in hint
