"""``hubtl plugin check`` and ``list``: what fails and how to mend it in plain words, 1 for a failure, 2 for bad input."""

import json

import pytest

from hubtl import plugins
from tests.tiny import hubtl_command

GOOD = """
from hubtl import Validator

class Margin(Validator):
    '''The gap between the two likeliest classes on the target.'''
    reads = frozenset({"target_logits"})
    def score(self, evidence):
        best, second = evidence.target_logits.softmax(dim=1).topk(2).values.T
        return float((best - second).mean())
"""
PEEKS = GOOD.replace("        best,", "        evidence.target_labels\n        best,")


@pytest.fixture(autouse=True)
def clean():
    yield
    plugins._registered.clear()
    plugins.entries.cache_clear()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return path


def test_a_file_that_stands_every_check(file, capsys):
    code, out, err = hubtl_command(["plugin", "check", "--plugin", str(file)], capsys)
    assert code == 0, out + err
    lines = out.splitlines()
    assert lines[0].startswith("checking validator 'margin' of mine.py sha256:")
    assert [line.split()[:2] for line in lines[1:8]] == [
        ["ok", name] for name in ("loads", "documents", "scores", "declares", "keeps", "ranks", "lacks")
    ]
    assert lines[8].startswith("7 of 7 checks pass")


def test_what_fails_is_said_with_how_to_mend_it(file, capsys):
    file.write_text(PEEKS)
    code, out, _ = hubtl_command(["plugin", "check", "margin", "--plugin", str(file)], capsys)
    assert code == 1
    failing = out.split("FAIL")[1].splitlines()
    assert failing[0].split()[0] == "declares"
    assert "it reads target_labels, and declares target_logits" in failing[1]
    assert "mend: name what it reads in reads" in failing[2]
    assert "6 of 7 checks pass" in out, "the checks after it are run too"


def test_json_has_every_check(file, capsys):
    file.write_text(PEEKS)
    code, out, _ = hubtl_command(["plugin", "check", "--plugin", str(file), "--json"], capsys)
    (found,) = json.loads(out)["plugins"]
    assert (code, found["kind"], found["package"]) == (1, "validator", "mine.py")
    assert [row["check"] for row in found["checks"] if not row["ok"]] == ["declares"]
    assert all(row["claim"] and (row["ok"] or row["mend"]) for row in found["checks"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "does not load: ModuleNotFoundError"),
        ("Odd = None", "is no validator: it is None"),
        ("import sys\nsys.exit(0)", "does not load: SystemExit"),
    ],
)
def test_a_package_that_does_not_load_fails_its_first_check(install, capsys, source, said):
    install("stranger", {"odd": "Odd"}, source=source, group="hubtl.validators")
    code, out, err = hubtl_command(["plugin", "check", "odd"], capsys)
    assert (code, err) == (1, "")
    assert said in out
    assert "mend: pip install --upgrade stranger" in out
    assert "0 of 1 checks pass" in out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('odd')", "RuntimeError: odd"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise BaseException('base')", "BaseException: base"),
        ("assert 1 == 2", "odd.py:8: assert 1 == 2"),
    ],
)
def test_whatever_a_plugin_raises_is_a_failure_of_that_check_alone(tmp_path, capsys, body, said):
    path = tmp_path / "odd.py"
    path.write_text(GOOD.split("        best")[0] + f"        {body}\n")
    code, out, err = hubtl_command(["plugin", "check", "--plugin", str(path)], capsys)
    assert (code, err) == (1, "")
    assert said in out
    assert "ok    documents" in out


def test_a_package_says_which_hubtl_it_is_for(install, tmp_path, capsys):
    install("stranger", {"margin": "Margin"}, source=GOOD, group="hubtl.validators")
    code, out, _ = hubtl_command(["plugin", "check", "margin"], capsys)
    assert (code, "stranger does not require hubtl" in out) == (1, True)
    metadata = tmp_path / "stranger" / "stranger-1.2.dist-info" / "METADATA"
    for line, said in (
        ("Requires-Dist: hubtl", "stranger requires any hubtl"),
        ("Requires-Dist: hubtl>=0.1", "stranger requires hubtl >=0.1, without end"),
        ("Requires-Dist: hubtl>=0.1,<9", "8 of 8 checks pass"),
    ):
        metadata.write_text(f"Metadata-Version: 2.1\nName: stranger\nVersion: 1.2\n{line}\n")
        plugins.entries.cache_clear()
        assert said in hubtl_command(["plugin", "check", "margin"], capsys)[1]


BAD = {
    "nothing": ([], "nothing to check"),
    "an unknown name": (["marginn"], "unknown plugin 'marginn'"),
    "an unknown name of a kind": (["tuner:marginn"], "unknown tuner 'marginn'"),
    "a name that many begin like": (["bnn"], "unknown plugin 'bnn'"),
    "a name of two kinds": (["bnm"], "bnm is a strategy and a validator"),
    "a flag of another kind": (["validator:bnm", "--model", "x"], "--model is not for a validator"),
    "a setting that it is not for": (["mcc", "--setting", "transfer"], "mcc is not for transfer"),
    "options where there are none": (["validator:bnm", "--set", "a=1"], "bnm has no options"),
    "an option that there is not": (["mcc", "--set", "wait=1"], "mcc has no option 'wait'"),
    "no file": (["--plugin", "nowhere.py"], "nowhere.py cannot be read"),
    "a setting that there is not": (["mcc", "--setting", "open"], "invalid value for '--setting'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_error(capsys, what):
    line, said = BAD[what]
    code, _, err = hubtl_command(["plugin", "check", *line], capsys)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 2
    known = err.splitlines()[0].partition("known: ")[2].split(", ")
    assert len(set(known)) == len(known), "each name once"


def test_a_name_of_two_kinds_is_asked_for_with_its_kind(capsys):
    assert hubtl_command(["plugin", "check", "validator:bnm"], capsys)[0] == 0
    assert hubtl_command(["plugin", "check", "validators:bnm"], capsys)[0] == 0
    assert hubtl_command(["plugin", "check", "testtime:bn"], capsys)[0] == 0


def test_the_list_has_every_plugin_and_why_one_is_broken(install, tmp_path, capsys):
    assert hubtl_command(["plugin", "list", "--json"], capsys)[1].strip() == '{"plugins": []}'
    install("good-one", {"margin": "Margin"}, source=GOOD, group="hubtl.validators")
    install("lost", {"odd": "Odd"}, source="import no_such_module")
    install("clash", {"dann": "Odd"}, source="Odd = 7")
    install("damaged", {"x": "X"})
    (tmp_path / "damaged" / "damaged-1.2.dist-info" / "entry_points.txt").write_text("[hubtl.strategies]\nodd\n")
    plugins.installed.unreadable.cache_clear()
    rows = json.loads(hubtl_command(["plugin", "list", "--json"], capsys)[1])["plugins"]
    plugins.installed.unreadable.cache_clear()
    found = {(row["kind"], row["name"], row["package"], row["version"]): row["broken"] for row in rows}
    assert found[("validator", "margin", "good-one", "1.2")] is None
    assert "No module named 'no_such_module'" in found[("strategy", "odd", "lost", "1.2")]
    assert found[("strategy", "clash:dann", "clash", "1.2")].startswith("is no strategy: it is an int")
    assert "entry_points.txt cannot be read" in found[("", "", "damaged", "")]
    assert len(rows) == 4
    code, out, _ = hubtl_command(["plugin", "list"], capsys)
    assert code == 0
    assert "validator  margin" in out
    assert "broken: ModuleNotFoundError" in out
