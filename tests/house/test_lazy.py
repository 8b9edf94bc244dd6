"""Quick commands import neither torch nor anything else that takes seconds."""

import subprocess
import sys

import pytest

SLOW = (
    "torch", "transformers", "timm", "datasets", "sklearn", "accelerate", "peft", "torchvision", "pandas", "optuna", "gradio",
)  # fmt: skip


def slow_imports(code: str) -> set[str]:
    """The slow packages that a fresh interpreter has imported after running ``code``."""
    probe = f"{code}\nimport sys\nprint('imported:', *[m for m in {SLOW} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("imported:").split())


def command(line: str) -> str:
    return (
        f"import sys; sys.argv = {['hubtl', *line.split()]}\n"
        "from hubtl.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "--version",
        "adapt --help",
        "push --help",
        "tune --help",
        "pull --help",
        "card --help",
        "demo --help",
        "list strategies",
        "list --json",
        "rank --help",
        "plugin --help",
        "plugin check --help",
        "plugin list",
        "cache list",
        "cache clear --yes",
    ],
)
def test_commands_that_only_tell_import_nothing_slow(line):
    assert slow_imports(command(line)) == set()


def test_writing_a_package_imports_nothing_slow(tmp_path):
    assert slow_imports(command(f"plugin new my-loss --dir {tmp_path / 'x'}")) == set()
    assert (tmp_path / "x" / "pyproject.toml").exists()


@pytest.mark.parametrize(
    "module", ["hubtl", "hubtl.card", "hubtl.hub", "hubtl.recipe.schema", "hubtl.record", "hubtl.plugins"]
)
def test_modules_of_the_lowest_layers_import_nothing_slow(module):
    assert slow_imports(f"import {module}") == set()


def test_the_probe_can_fail():
    assert "torch" in slow_imports("import hubtl.losses")
