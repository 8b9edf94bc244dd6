"""A plugin author's ``mypy --strict`` reads hubtl from the installed wheel: it passes on plugins, and it finds mistakes."""

import shutil
import subprocess
import sys

import pytest

from hubtl.plugins import kit
from tests.packages import clean

pytestmark = pytest.mark.slow

MISTAKES = """
from collections.abc import Iterator

import hubtl
from hubtl import Batch, Judging, Loss, Progress, Strategy, StrategyOptions, Tuner
from hubtl.losses import entropy


class Mistaken(Strategy):
    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        yield Loss(self.encode(source))  # features, not a loss
        yield Loss(entropy("logits").mean())
        yield Loss(self.head(self.encode_joint(source).pooled).mean())
        yield Loss(source.label)

    judging = Judging(improve=("snd",))


class Nameless(hubtl.Strategey): ...


class Wrong(Tuner):
    def apply(self, backbone: int) -> None: ...
"""
# What hubtl is built on is not read: its types are in no signature of a plugin, and reading it takes most of the time.
SETTINGS = """[mypy]
strict = True
[mypy-transformers.*,timm.*,datasets.*,accelerate.*,sklearn.*,scipy.*,torchvision.*,matplotlib.*,pyarrow.*,peft.*,optuna.*]
follow_imports = skip
"""
FOUND = [  # line and kind of each mistake
    (11, "arg-type"),
    (12, "arg-type"),
    (13, "attr-defined"),
    (14, "attr-defined"),
    (16, "call-arg"),
    (19, "name-defined"),
    (19, "misc"),
    (23, "override"),
]


def test_strict_mypy_passes_on_plugins_and_finds_mistakes_in_the_use_of_hubtl(environment, tmp_path):
    """Run once for all of them: mypy would read torch again for each."""
    modules = [f"my_{kind}" for kind in kit.KINDS]
    for kind in kit.KINDS:
        written = kit.write(f"my-{kind}", kind, tmp_path / kind)
        for path in written.folder.glob("my_*"):
            shutil.copy(path, tmp_path)
    example = clean.SOURCES["hubtl-example"] / "hubtl_example" / "__init__.py"
    shutil.copy(example, tmp_path / "example.py")
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    files = [f"{module}.py" for module in (*modules, "example", "mistakes")]
    line = [sys.executable, "-m", "mypy", "--python-executable", str(environment.python)]
    done = subprocess.run(
        [*line, "--cache-dir", str(tmp_path / "cache"), "--no-error-summary", *files],
        cwd=tmp_path,
        env=clean.inherited(),
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [said for said in done.stdout.splitlines() if ": error: " in said]
    assert not done.stderr
    assert [said for said in errors if not said.startswith("mistakes.py:")] == []
    found = [(int(said.split(":")[1]), said.rsplit("[", 1)[1].rstrip("]")) for said in errors]
    assert found == FOUND, done.stdout
