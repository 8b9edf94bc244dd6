"""The public names: all there, all lazy, and the same for type checkers."""

import ast
from pathlib import Path

import pytest

import hubtl


def test_every_public_name_resolves():
    for name in hubtl.__all__:
        assert getattr(hubtl, name) is not None, name
    assert dir(hubtl) == sorted(hubtl.__all__)


def test_names_keep_what_they_are_called():
    for name in set(hubtl.__all__) - {"__version__"}:
        assert getattr(hubtl, name).__name__ == name


def test_type_checkers_see_what_python_sees():
    tree = ast.parse(Path(str(hubtl.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == hubtl._HOMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'adopt'"):
        hubtl.adopt  # noqa: B018


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    assert hubtl.__version__ == version("hubtl")
