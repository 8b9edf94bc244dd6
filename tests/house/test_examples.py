"""The examples work."""

import runpy
from pathlib import Path

import pytest

from hubtl.recipe.reading import parse, read

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_example_recipes_are_right(path):
    assert parse(read(path), where=path.name).setting == "adaptation"


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path, capsys):
    module = runpy.run_path(str(EXAMPLES / "quickstart.py"))
    module["main"](tmp_path / "run", steps=4)
    said = capsys.readouterr().out
    assert "source-only" in said
    assert "of 600 held-out target rows" in said
    assert "a 0 is taken for a " in said
