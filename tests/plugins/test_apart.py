"""Damaged metadata, names, versions and declarations break one package alone. They are named."""

import json
import subprocess
import sys
import time
from importlib.metadata import version

import pytest
from packaging.specifiers import SpecifierSet

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import installed
from tests.tiny import hubtl_command

METADATA = "Metadata-Version: 2.1\nName: stranger\nVersion: 1.2\n"
STRATEGY = (
    "from hubtl import Loss, Strategy\nfrom hubtl.strategy import StrategyOptions\nclass Odd(Strategy):\n    'Odd.'\n"
    "    def step(self, source, target, *, at):\n"
    "        yield Loss(self.task.loss(self.head(self.encode(source).pooled), source.labels))\n"
)


@pytest.fixture(autouse=True)
def read_again():
    installed.unreadable.cache_clear()
    yield
    installed.unreadable.cache_clear()


def rewrite(tmp_path, package, file, content):
    path = tmp_path / package / f"{package}-1.2.dist-info" / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    plugins.entries.cache_clear()


@pytest.mark.parametrize(
    "content",
    [
        "[hubtl.strategies]\nodd\n",
        "[hubtl.strategies]\nodd\n[hubtl.tuners]\nx = y:z\n",
        b"\xff\xfe[hubtl.strategies]\nodd = x:y\n",
        b"[hubtl.strategies]\nodd\x00 = x:y\n",
        "[hubtl.strategies]\nodd = not a reference:::\n",
        "[hubtl.strategies\nodd = x:y\n",
        "odd = x:y\n",
        "[hubtl.strategies]\n = x:y\n",
        "[hubtl.strategies]\na b = x:y\n",
        "[hubtl.strategies]\n\x1b[31mred = x:y\n",
        "",
    ],
)
def test_damaged_entry_points_break_no_other_package(install, tmp_path, capsys, content):
    install("good", {"fine": "Odd"}, source=STRATEGY)
    install("damaged", {"odd": "Odd"}, source=STRATEGY)
    rewrite(tmp_path, "damaged", "entry_points.txt", content)
    assert plugins.load("strategies", "dann").__name__ == "DANN"
    assert plugins.load("strategies", "fine").__name__ == "Odd"
    code, out, err = hubtl_command(["list", "strategies"], capsys)
    assert (code, err) == (0, "")
    assert "fine  (good 1.2)" in out
    assert "\x1b" not in out
    assert hubtl_command(["plugin", "list"], capsys)[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[hubtl.strategies]\nodd\n", "its entry_points.txt cannot be read: TypeError"),
        (b"\xff\xfe", "its entry_points.txt cannot be read: UnicodeDecodeError"),
        ("[hubtl.strategies]\na b = x:y\n", "it registers the name 'a b', which cannot be typed"),
    ],
)
def test_the_list_says_what_cannot_be_read(install, tmp_path, capsys, content, said):
    install("damaged", {"odd": "Odd"}, source=STRATEGY)
    rewrite(tmp_path, "damaged", "entry_points.txt", content)
    (row,) = json.loads(hubtl_command(["plugin", "list", "--json"], capsys)[1])["plugins"]
    assert (row["package"], row["broken"].startswith(said)) == ("damaged", True)


def test_a_name_that_one_package_registers_twice_does_not_load(install, tmp_path, capsys):
    module = install("stranger", {"odd": "Odd", "other": "Odd"}, source=STRATEGY + "class Even(Odd): 'Even.'\n")
    text = f"[hubtl.strategies]\nodd = {module}:Odd\nodd = {module}:Even\nother = {module}:Odd\nother = {module}:Odd\n"
    rewrite(tmp_path, "stranger", "entry_points.txt", text)
    with pytest.raises(
        HubtlError, match=r"^strategy 'odd' of stranger 1\.2 does not load: the package registers the name twice"
    ):
        plugins.load("strategies", "odd")
    assert plugins.load("strategies", "other").__name__ == "Odd", "the same twice is once"
    assert "registers the name twice" in hubtl_command(["plugin", "list"], capsys)[1]


@pytest.mark.parametrize(
    ("line", "loads"),
    [
        ("hubtl>=0.1,<99", True),
        ("hubtl>=0.2,<0.3", True),
        ("hubtl>=0.1,<0.2", False),  # written for the version before
        ("hubtl", True),
        ("Hubtl >=0.0.1", True),
        ("hubtl==0.*", True),
        ("hubtl>=99", False),
        ("hubtl<0.1", False),
        ("hubtl>=99 ; extra == 'test'", True),
        ("hubtl>=99 ; python_version < '3'", True),
        ("other-package>=99", True),
        ("not a requirement at all !!", True),
    ],
)
def test_a_package_for_another_hubtl_is_refused_by_name(install, tmp_path, capsys, line, loads):
    install("stranger", {"odd": "Odd"}, source=STRATEGY)
    rewrite(
        tmp_path,
        "stranger",
        "METADATA",
        f"Metadata-Version: 2.1\nName: stranger\nVersion: 1.2\nRequires-Dist: {line}\n",
    )
    code, _, err = hubtl_command(["show", "odd"], capsys)
    if loads:
        assert code == 0, err
        return
    assert code == 2
    asked = SpecifierSet(line.removeprefix("hubtl"))
    said = f"it is for hubtl {asked}, and this is hubtl {version('hubtl')}"
    assert err.startswith(f"error: strategy 'odd' of stranger 1.2 does not load: {said}\n")
    assert err.splitlines()[1].startswith("try:   pip install --upgrade stranger")
    assert plugins.load("strategies", "dann").__name__ == "DANN"


def test_an_import_that_takes_forever_is_not_waited_for_until_it_is_asked_for(install, capsys):
    module = install("slow", {"odd": "Odd"}, source="import time\ntime.sleep(600)\n", group="hubtl.tasks")
    start = time.perf_counter()
    for line in (["list"], ["list", "--json"], ["show", "dann"], ["adapt", "--help"]):
        assert hubtl_command(line, capsys)[0] == 0
    assert module not in sys.modules
    assert time.perf_counter() - start < 60


def test_what_looks_for_a_task_asks_hubtls_own_first(install):
    """Which task a foreign model is for is asked by transformers' problem_type: no plugin is imported for hubtl's own."""
    from hubtl.models.trained import task_called

    module = install("aaa", {"aaa": "Odd"}, source="raise RuntimeError('imported')", group="hubtl.tasks")
    assert task_called("regression") == "regression"
    assert module not in sys.modules
    assert task_called("no such problem") is None, "a task that does not load is no answer"


SHOWN = {
    "tuners": "from hubtl.tuners import Tuner\nclass Odd(Tuner):\n    'Odd.'\n    def apply(self, backbone): ...\n",
    "validators": "from hubtl import Validator\nclass Odd(Validator):\n    'Odd.'\n    def score(self, evidence): return 1.0\n",
    "testtime": "from hubtl.testtime import TestTime\nclass Odd(TestTime):\n    'Odd.'\n    def update(self, i, y): ...\n",
    "strategies": STRATEGY,
}
ODD = {
    "a paper that is a number": "paper = 7",
    "ablations that are none": "ablations = 7",
    "ablations of numbers": "ablations = {'part': 7}",
    "a default that JSON does not have": (
        "from hubtl.strategy import StrategyOptions\n    class Options(StrategyOptions):\n        x: object = object()"
    ),
    "settings that are none": "settings = 7",
    "suits that are none": "suits = 7",
    "needs that are none": "needs = 7",
    "Options of no model": "Options = 7",
    "options whose types are not there": (
        "from pydantic import BaseModel\n    class Options(BaseModel):\n        x: 'NotDefinedAnywhere' = None"
    ),
    "a docstring of another type": "__doc__ = 7",
    "a default that raises": (
        "from pydantic import BaseModel as B, Field as F\n    class Options(B):\n        x: int = F(default_factory=lambda: 1 / 0)"
    ),
}


@pytest.mark.parametrize("kind", SHOWN)
@pytest.mark.parametrize("what", ODD)
def test_whatever_a_class_declares_show_and_check_end_in_words(install, capsys, kind, what):
    install("stranger", {"odd": "Odd"}, source=f"{SHOWN[kind]}    {ODD[what]}\n", group=f"hubtl.{kind}")
    for line in (["show", "odd"], ["show", "odd", "--json"]):
        code, _, err = hubtl_command(line, capsys)
        assert code in (0, 2), err
        assert "Traceback" not in err
        assert code == 0 or (len(err.splitlines()) == 2 and "stranger 1.2" in err), err
    assert hubtl_command(["plugin", "list"], capsys)[0] == 0


def test_options_that_raise_something_of_their_own_name_their_package(install, tmp_path, capsys):
    options = (
        "    from pydantic import field_validator\n    class Options(StrategyOptions):\n        x: int = 1\n"
        "        from pydantic import field_validator\n        @field_validator('x')\n        @classmethod\n"
        "        def odd(cls, value): raise RuntimeError('odd')\n"
    )
    install("stranger", {"odd": "Odd"}, source=STRATEGY + options)
    line = [
        "adapt",
        "--model",
        "lenet",
        "--no-pretrained",
        "--strategy",
        "odd",
        "--set",
        "x=2",
        "--target-dataset",
        "x",
    ]
    code, _, err = hubtl_command(line, capsys)
    assert code == 2
    assert "stranger 1.2" in err
    assert "RuntimeError: odd" in err


def test_a_module_that_ends_the_process_while_it_is_imported_says_whose_it_is(tmp_path):
    """In a process of its own: a background thread of an import and what it writes to stdout change nothing."""
    home = tmp_path / "noisy-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[hubtl.tuners]\nnoisy = noisy:Odd\n")
    (tmp_path / "noisy.py").write_text(
        "import sys\nprint('hello', flush=True)\nsys.stdout.write('again')\nsys.exit(3)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['hubtl', 'plugin', 'list', '--json']\n"
    code += "from hubtl.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["plugins"]
    assert row["broken"] == "SystemExit: 3"
