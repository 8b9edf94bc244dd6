"""The table of ``hubtl tune``."""

from types import SimpleNamespace

import pytest

from hubtl.cli.tune import _table


@pytest.mark.parametrize(
    ("guard", "shown"),
    [({"source-accuracy": 0.252}, "25.2 %"), ({"source-score": -3.25}, "-3.250"), ({}, "–")],
)
def test_a_score_on_the_source_is_a_percentage_of_accuracies_alone(guard, shown, capsys, tmp_path):
    trial = {"order": 0, "score": -1.5, "guard": guard, "parameters": {"optim.lr": 0.01}, "refused": None}
    _table(SimpleNamespace(objective="dev", oracle=False, trials=[trial], best=0, output_dir=tmp_path), 1)
    out = capsys.readouterr().out
    assert shown in out
    assert ("%" in out) == ("%" in shown)
