"""One-file plugins: their classes work by name, record and card say so, and what is wrong with a file is one error."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import hubtl
from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import modalities
from hubtl.plugins.files import add_plugin
from hubtl.record import RunRecord
from tests.tiny import hubtl_command

FILE = '''
print("on the way")
from hubtl import Loss, Strategy, Tuner, Validator
from hubtl.tasks.classification import Classification
from hubtl.backbones import lenet

class MeanGap(Strategy):
    """Bring the means together."""
    def step(self, source, target, *, at):
        zs, zt = self.encode_joint(source, target)
        gap = (zs.pooled.mean(0) - zt.pooled.mean(0)).square().sum()
        yield Loss(self.task.loss(self.head(zs.pooled), source.labels) + gap, logs={"gap": gap})

class LastBlock(Tuner):
    """The last block learns."""
    name = "the-last"
    def apply(self, backbone):
        backbone.requires_grad_(False)
        for parameter in backbone.blocks()[-1][1]:
            parameter.requires_grad_(True)

class Margin(Validator):
    """The gap between the two likeliest classes."""
    reads = frozenset({"target_logits"})
    def score(self, evidence):
        best, second = evidence.target_logits.softmax(dim=1).topk(2).values.T
        return float((best - second).mean())

class Kinds(Classification):
    """Classification by another name."""
    name = "kinds"

def load(name, request):
    return lenet.load("lenet", request)

class _Hidden(Strategy): ...
'''
RUN = ["--model", "mine", "--no-pretrained", "--image-size", "16", "--steps", "2", "--batch-size", "4", "--quiet"]
RUN += ["--strategy", "mean-gap", "--tuner", "the-last", "--validator", "margin", "--task", "kinds"]
RUN += ["--set", "run.plots=false"]


@pytest.fixture(autouse=True)
def clean():
    """No test leaves a file registered."""
    yield
    plugins._registered.clear()
    plugins.entries.cache_clear()
    plugins._combined.cache_clear()


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for domain in ("source", "target"):
        for level, name in enumerate(("dark", "light")):
            (home / domain / name).mkdir(parents=True)
            for i in range(8):
                pixels = (rng.integers(0, 60, (16, 16)) + 180 * level).astype(np.uint8)
                Image.fromarray(pixels).save(home / domain / name / f"{i}.png")
    return ["--source-dataset", str(home / "source"), "--target-dataset", str(home / "target")]


@pytest.fixture
def run(mine, data, tmp_path, capsys):
    """The folder of a run with five classes of a file. Nothing of that file is registered any more."""
    folder = tmp_path / "run"
    code, out, err = hubtl_command(["adapt", *RUN, *data, "--plugin", str(mine), "--output-dir", str(folder)], capsys)
    assert (code, "on the way" in out) == (0, False), err
    plugins._registered.clear()
    plugins.entries.cache_clear()
    return folder


def test_its_classes_are_registered_by_name_with_the_file_and_its_digest(mine, capsys):
    found = {(entry.kind, entry.name) for entry in add_plugin(mine)}
    assert found == {
        ("strategies", "mean-gap"),
        ("tuners", "the-last"),
        ("validators", "margin"),
        ("tasks", "kinds"),
        ("backbones", "mine"),
    }
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    entry = plugins.find("strategies", "mean-gap")
    assert (entry.package, entry.sha256, entry.builtin) == ("mine.py", digest, False)
    assert capsys.readouterr().out == "", "what a file prints is no part of what a command found"
    assert f"mean-gap  (mine.py sha256:{digest[:12]})" in hubtl_command(["list", "strategies"], capsys)[1]


def test_a_file_that_has_changed_replaces_what_it_was(mine):
    add_plugin(mine)
    mine.write_text(FILE.replace("class MeanGap", "class OtherGap"))
    add_plugin(mine)
    names = plugins.entries("strategies")
    assert ("mean-gap" in names, "other-gap" in names) == (False, True)
    assert plugins.load("strategies", "other-gap").__name__ == "OtherGap"


def test_record_card_and_model_name_all_that_took_part(run, mine):
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    record = RunRecord.load(run)
    took = {(p.kind, p.name, p.package, p.sha256) for p in record.plugins}
    kinds = (
        ("strategy", "mean-gap"),
        ("tuner", "the-last"),
        ("validator", "margin"),
        ("task", "kinds"),
        ("backbone", "mine"),
    )
    assert took == {(*pair, "mine.py", digest) for pair in kinds}
    facts = json.loads((run / "hubtl.json").read_text())
    assert {p["sha256"] for p in facts["plugins"]} == {digest}
    card = (run / "README.md").read_text()
    assert f"validator `margin` of mine.py (sha256 {digest[:12]}…)" in card
    assert "--plugin mine.py" in card


def test_a_model_that_needs_the_file_says_so_in_one_error_and_loads_with_it(run, mine, data, capsys):
    code, out, err = hubtl_command(["evaluate", str(run), "--dataset", data[3], "--json"], capsys)
    assert (code, out) == (2, "")
    assert "needs the task 'kinds' of mine.py (sha256" in err
    assert err.splitlines()[1].startswith("try:   --plugin mine.py")
    code, out, err = hubtl_command(
        ["evaluate", str(run), "--dataset", data[3], "--json", "--plugin", str(mine)], capsys
    )
    assert code == 0, err
    assert json.loads(out)["n"] == 4
    assert hubtl.load(run).task.name == "kinds"


def test_another_file_of_that_name_is_said_to_have_changed(run, mine, caplog):
    mine.write_text(FILE + "\n# changed\n")
    hubtl.add_plugin(mine)
    assert hubtl.load(run).task.name == "kinds"
    assert "was made with the task 'kinds' of mine.py (sha256" in caplog.text


def test_a_run_without_plugins_names_none(data, tmp_path, capsys):
    line = ["adapt", "--model", "lenet", *RUN[2:9], "--strategy", "coral", "--set", "run.plots=false", *data]
    code, _, err = hubtl_command([*line, "--output-dir", str(tmp_path / "plain")], capsys)
    assert code == 0, err
    assert RunRecord.load(tmp_path / "plain").plugins == []
    assert "plugins" not in json.loads((tmp_path / "plain" / "hubtl.json").read_text())


WRONG = {
    "no file": (None, "cannot be read: No such file"),
    "a syntax error": ("def (:", "does not load: SyntaxError"),
    "an exit": ("import sys\nsys.exit(0)", "does not load: SystemExit: 0"),
    "a missing module": ("import no_such_module", "does not load: ModuleNotFoundError"),
    "a HubtlError": (
        "from hubtl import HubtlError\nraise HubtlError('no licence', hint='buy one')",
        "does not load: no licence",
    ),
    "nothing": ("x = 1", "holds no plugin"),
    "only what it imports": ("from hubtl.strategies.dann import DANN", "holds no plugin"),
    "a built-in's name": (
        "from hubtl import Strategy\nclass DANN(Strategy):\n    def step(self, source, target, *, at): ...",
        "has a strategy called 'dann', and hubtl has one of that name",
    ),
    "one name twice": (
        "from hubtl import Tuner\nclass A(Tuner):\n    name = 'x'\n    def apply(self, b): ...\n"
        "class B(Tuner):\n    name = 'x'\n    def apply(self, b): ...",
        "has two tuners called 'x': A and B",
    ),
    "a name that nobody types": (
        "from hubtl import Tuner\nclass A(Tuner):\n    name = 'a b'\n    def apply(self, b): ...",
        "calls a tuner 'a b'",
    ),
    "a null byte": ("x = '\x00'", "does not load: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_cannot_be_used_is_one_error_and_registers_nothing(tmp_path, capsys, what):
    source, message = WRONG[what]
    path = tmp_path / "odd.py"
    if source is not None:
        path.write_text(source)
    code, out, err = hubtl_command(["list", "--plugin", str(path)], capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 2
    assert plugins.registered() == ()


def test_a_file_of_another_kind_is_not_run(tmp_path, capsys):
    path = tmp_path / "odd.txt"
    path.write_text("raise SystemExit(9)")
    code, _, err = hubtl_command(["list", "--plugin", str(path)], capsys)
    assert (code, "is no Python file" in err) == (2, True)


def test_two_files_with_one_name_are_refused(mine, tmp_path):
    add_plugin(mine)
    other = tmp_path / "other.py"
    other.write_text(FILE)
    with pytest.raises(HubtlError, match=r"other.py and mine.py both have a \w+ called"):
        add_plugin(other)


def test_a_file_wins_over_an_installed_package_which_keeps_its_full_name(install, mine):
    source = "from hubtl import Strategy\nclass Own(Strategy):\n    def step(self, source, target, *, at): ...\n"
    install("stranger", {"mean-gap": "Own"}, source=source)
    add_plugin(mine)
    assert plugins.load("strategies", "mean-gap").__name__ == "MeanGap"
    assert plugins.load("strategies", "stranger:mean-gap").__name__ == "Own"


def test_what_a_class_of_a_file_raises_names_the_file(tmp_path, data, capsys):
    path = tmp_path / "odd.py"
    path.write_text(
        "from hubtl import Strategy\nclass Odd(Strategy):\n    def step(self, source, target, *, at): return 1\n"
    )
    line = ["adapt", "--model", "lenet", *RUN[2:9], "--strategy", "odd", *data, "--output-dir", str(tmp_path / "r")]
    code, _, err = hubtl_command([*line, "--plugin", str(path)], capsys)
    assert code == 2
    assert "strategy 'odd' of odd.py sha256:" in err


LACKS = {
    "strategy": ("from hubtl import Strategy\nclass Odd(Strategy):\n    'Do.'\n", "step"),
    "tuner": ("from hubtl import Tuner\nclass Odd(Tuner):\n    'Do.'\n", "apply"),
    "validator": ("from hubtl import Validator\nclass Odd(Validator):\n    'Do.'\n", "score"),
    "backbone": ("from hubtl.backbones.loader import Loader\nclass Odd(Loader):\n    'Do.'\n", "load"),
    "modality": ("from hubtl.modalities.base import Modality\nclass Odd(Modality):\n    'Do.'\n", "column"),
}


@pytest.mark.parametrize("kind", LACKS)
def test_a_class_that_lacks_a_method_is_one_error_that_names_it(tmp_path, data, capsys, kind):
    source, method = LACKS[kind]
    folder = tmp_path / "my files"
    folder.mkdir()
    path = folder / "odd.py"
    path.write_text(source)
    add_plugin(path)
    with pytest.raises(
        HubtlError, match=rf"{kind} 'odd' of odd\.py .* is no {kind}: it does not define {method}"
    ) as caught:
        plugins.load({plugins.SINGULAR[k]: k for k in plugins.KINDS}[kind], "odd")
    assert caught.value.hint == f"mend '{path}'; hubtl plugin check --plugin '{path}' says what is amiss"
    if kind == "modality":
        return
    flag = "--model" if kind == "backbone" else f"--{kind}"
    line = ["adapt", "--model", "lenet", *RUN[2:9], *data, "--dry-run", flag, "odd", "--plugin", str(path)]
    code, _, err = hubtl_command(line, capsys)
    assert (code, f"is no {kind}: it does not define {method}" in err) == (2, True), err
    code, out, _ = hubtl_command(["plugin", "check", "--plugin", str(path)], capsys)
    assert (code, "FAIL  loads" in out) == (1, True), out


def test_a_class_that_others_are_made_of_is_no_plugin(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from hubtl import Strategy, Tuner\n"
        "class Base(Tuner): ...\n"
        "class Whole(Base):\n    def apply(self, backbone): ...\n"
        "class Method(Strategy): ...\n"
        "class Own(Method):\n    def phases(self): return []\n"
    )
    assert {(entry.kind, entry.name) for entry in add_plugin(path)} == {("tuners", "whole"), ("strategies", "own")}


def test_the_remedy_names_the_file_as_it_was_given(tmp_path, capsys, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "odd.py").write_text(
        "from hubtl.strategy import Additive\nclass Odd(Additive):\n    def __init__(self, *a): raise OSError('odd')\n"
        "    def added(self, pair, *, at): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    add_plugin("below/odd.py")
    for name in ("odd", "odd+mcc", "mcc+odd"):
        remedy = plugins.find("strategies", name).remedy
        assert remedy == "mend below/odd.py; hubtl plugin check --plugin below/odd.py says what is amiss"


def test_help_runs_no_file(mine, tmp_path):
    marker = tmp_path / "ran"
    mine.write_text(f"open({str(marker)!r}, 'w')")
    line = [sys.executable, "-m", "hubtl", "adapt", "--plugin", str(mine), "--help"]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert not marker.exists()


def test_a_modality_that_cannot_be_made_leaves_the_others_alone(tmp_path):
    (tmp_path / "odd.py").write_text(
        "from hubtl.modalities.audio import Audio\n"
        "class Odd(Audio):\n"
        "    name = 'odd'\n"
        "    def __init__(self):\n"
        "        raise RuntimeError('boom')\n"
    )
    before = modalities.names()
    add_plugin(tmp_path / "odd.py")
    assert modalities.names() == before
    with pytest.raises(HubtlError, match=r"modality 'odd' of odd\.py.* failed in its __init__: RuntimeError: boom"):
        modalities.of("odd")
