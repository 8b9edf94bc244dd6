"""The demo of a model of several modalities: its inputs, what may be missing, and its relevance."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from trimodal import CLASSES, adapting, row

from hubtl.demo.answers import Answers
from hubtl.errors import HubtlError
from hubtl.models import saved as api


@pytest.fixture(scope="module")
def run(models, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "run"
    words = [
        *adapting(models, data, folder, steps=12),
        "--set",
        "run.keep_source_only=true",
        "--set",
        "run.plots=false",
    ]
    done = subprocess.run([sys.executable, "-m", "hubtl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def answers(run):
    return Answers.of(run)


@pytest.fixture
def cells(tmp_path):
    """As a browser gives them: files, and words."""
    given = row(1)
    given["image"].save(tmp_path / "x.png")
    (tmp_path / "x.wav").write_bytes(given["audio"])
    return {"image": str(tmp_path / "x.png"), "text": given["text"], "audio": str(tmp_path / "x.wav")}


def test_any_modality_may_stay_empty(answers, run, cells):
    assert answers.modalities == ("image", "text", "audio")
    models = [api.load(run / "source-only"), api.load(run)]
    for there in (set(cells), {"image", "audio"}, {"text"}):
        said = answers.predict({m: cell if m in there else ("" if m == "text" else None) for m, cell in cells.items()})
        for model, found in zip(models, said, strict=True):
            (wanted,) = model.predict({m: cells[m] for m in there})
            assert found == pytest.approx(wanted.probabilities, abs=1e-6)
    with pytest.raises(HubtlError, match="This model takes image, text or audio"):
        answers.predict({"image": None, "text": "", "audio": None})


def test_relevance_is_the_picture_of_hubtl_explain(answers, run, cells, tmp_path):
    from PIL import Image

    drawn = answers.relevance(cells, CLASSES[0])
    api.load(run).explain(cells, label=CLASSES[0], folder=tmp_path / "why")
    names = ("explanation.png", "explanation-dark.png")  # for light and for dark pages
    written = [np.asarray(Image.open(tmp_path / "why" / name)) for name in names]
    assert [np.array_equal(*pair) for pair in zip(map(np.asarray, drawn), written, strict=True)] == [True, True]
    assert [tuple(picture[0, 0, :3]) for picture in written] == [(255, 255, 255), (13, 17, 23)]


def test_a_recording_that_cannot_be_read_is_told_by_the_name_that_its_owner_gave_it(answers, cells, tmp_path):
    (tmp_path / "voice.wav").write_bytes(b"no sound")
    for ask in (answers.predict, answers.relevance):
        with pytest.raises(HubtlError, match=r"cannot read its audio.*voice\.wav") as error:
            ask({**cells, "audio": str(tmp_path / "voice.wav")})
        assert str(tmp_path) not in str(error.value)


PAGE = """
import json, sys
from hubtl.demo.answers import Answers
from hubtl.demo.page import page
config = page(Answers.of(sys.argv[1])).get_config_file()
named = {c["id"]: [c["type"], c["props"].get("label")] for c in config["components"]}
print(json.dumps({d["api_name"]: [named[i] for i in d["inputs"]] for d in config["dependencies"]}))
"""


def test_the_page_has_an_input_for_each_modality(run):
    if find_spec("gradio") is None:
        pytest.skip("the demo needs gradio")
    # in a process of its own, for gradio leaves sockets open
    done = subprocess.run([sys.executable, "-c", PAGE, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout)
    inputs = [["image", "Image"], ["textbox", "Text"], ["audio", "Audio"]]
    assert asked["predict"] == inputs
    assert asked["explain"] == [["dropdown", "Class to explain"], *inputs]
