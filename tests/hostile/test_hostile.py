"""Every hostile input ends in the right figure or a refusal. A word about it is said, and nothing is left behind."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.folders import FOLDERS
from tests.hostile.kit import Hostile
from tests.hostile.labels import LABELS
from tests.hostile.models import MODELS
from tests.hostile.pixels import PIXELS
from tests.hostile.recipes import RECIPES
from tests.tiny import hubtl_command

ROOM = 6 * 2**30  # bytes that a bomb may take before it fails, instead of the machine

ALL = [*FOLDERS, *LABELS, *PIXELS, *RECIPES, *MODELS]


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """A bomb that goes off takes its test along, and nothing else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("hostile", ALL, ids=[h.name for h in ALL])
def test_hostile(hostile: Hostile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "in"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    command = hostile.build(root)
    before = _files(tmp_path)
    code, out, err = hubtl_command(command, capsys)
    hostile.judge(code, out + err)
    assert _files(tmp_path) == before, "it leaves something behind"


def test_the_corpus_is_large_and_its_names_are_its_own():
    assert len(ALL) >= 150
    assert len({hostile.name for hostile in ALL}) == len(ALL)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        (0, "error: a\ntry:   b\n"),
        (2, "Traceback\nerror: a\ntry:   b\n"),
        (2, "error: a\nerror: b\ntry:   c\n"),
        (2, "error: a\n"),
        (2, "error: x\ntry:   b\n"),
    ],
)
def test_a_wrong_outcome_is_noticed(code: int, printed: str):
    hostile = Hostile("any", lambda root: [], refused=True, says=("a",))
    with pytest.raises(AssertionError):
        hostile.judge(code, printed)


def _files(root: Path) -> set[str]:
    return {str(place.relative_to(root)) for place in root.rglob("*")}
