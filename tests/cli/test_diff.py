"""``hubtl diff``: two models on the same rows."""

import json

import pytest

import hubtl
from hubtl.studies.evaluate import measure_two
from tests.tiny import hubtl_command

DIGITS = "builtin:digits/mnist"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Source-only after a few updates and after many."""
    root = tmp_path_factory.mktemp("runs")
    common = {"model": "lenet", "pretrained": False, "source_dataset": "builtin:digits/mnist", "lr": 0.1}
    common |= {"target_dataset": "builtin:digits/uci", "strategy": "source-only", "options": {"run.plots": False}}
    for name, steps in (("few", 5), ("many", 60)):
        hubtl.adapt(output_dir=str(root / name), steps=steps, **common)
    return [str(root / name) for name in ("few", "many")]


def test_the_interval_says_which_is_better(runs):
    few, many, apart = measure_two(*runs, DIGITS)
    assert apart.low <= many.accuracy - few.accuracy <= apart.high
    assert (apart.low > 0) == (many.accuracy > few.accuracy)
    back = measure_two(*runs[::-1], DIGITS)[2]
    assert (back.low, back.high) == (pytest.approx(-apart.high, abs=0.01), pytest.approx(-apart.low, abs=0.01))


def test_the_command_lists_every_class_the_worst_change_first(runs, capsys):
    code, out, _ = hubtl_command(["diff", *runs, "--dataset", DIGITS], capsys)
    assert code == 0
    changes = [float(line.split()[-1].replace("−", "-")) for line in out.splitlines() if line.startswith("recall of")]
    assert len(changes) == 10
    assert changes == sorted(changes)
    assert "B is better" in out
    _, same, _ = hubtl_command(["diff", runs[0], runs[0], "--dataset", DIGITS], capsys)
    assert "the rows show no difference" in same


def test_json_holds_both_and_the_interval(runs, capsys):
    _, out, _ = hubtl_command(["diff", *runs, "--dataset", DIGITS, "--json"], capsys)
    found = json.loads(out)
    assert set(found) == {"first", "second", "difference"}
    assert found["second"]["accuracy"] > found["first"]["accuracy"]


def test_a_missing_model_is_one_error_and_a_hint(capsys):
    code, _, err = hubtl_command(["diff", "/nowhere/a", "/nowhere/b", "--dataset", DIGITS], capsys)
    assert code == 2
    assert "there is no folder /nowhere/a" in err
