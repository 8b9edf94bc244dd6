"""Arguments longer than a file's name may be: a text is predicted, anything else is one error."""

import json

import pytest

from hubtl.cli.rows import rows_of
from hubtl.io.places import there
from tests.tiny import hubtl_command

LONG = "a review that goes on " * 300


@pytest.mark.parametrize(
    "words",
    [
        [
            "adapt",
            "--model",
            LONG,
            "--source-dataset",
            "builtin:digits/mnist",
            "--target-dataset",
            "builtin:digits/uci",
        ],
        ["adapt", "--model", "lenet", "--source-dataset", LONG, "--target-dataset", "builtin:digits/uci"],
        ["adapt", "--model", "lenet", "--source-dataset", "x" * 300, "--target-dataset", "builtin:digits/uci"],
        ["adapt", LONG],
        ["predict", LONG, "builtin:digits/uci"],
        ["evaluate", LONG, "--dataset", "builtin:digits/uci"],
        ["show", LONG],
        ["card", LONG],
        ["label", LONG],
        ["push", LONG, "user/repo"],
        ["pull", LONG],
        ["demo", LONG],
        ["plugin", "check", LONG],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_it_is_one_error(words, capsys):
    code, _, err = hubtl_command(words, capsys)
    assert code == 2
    assert err.count("error: ") == 1


def test_a_long_text_is_a_row():
    assert rows_of([f"text={LONG}"], ("text",), None, {}) == [{"text": LONG}]


@pytest.mark.parametrize("name", [LONG, "a\0b", "~nobody-of-this-name/x"])
def test_nothing_is_there_where_no_path_can_be(name):
    assert not there(name)


def test_a_cell_that_is_in_tables_alone_is_typed_as_json(monkeypatch):
    from hubtl.modalities.base import Modality
    from hubtl.plugins import modalities

    class Signal(Modality):
        name = "signal"

        def column(self, dataset, asked, where):
            return "signal"

    signal = Signal()
    assert (signal.typed, signal.alone, signal.tabular) == ("signal=JSON", "DATASET", True)
    monkeypatch.setattr(modalities, "of", lambda name, **_: signal)
    cell = [0.25] * 200
    assert rows_of([f"signal={json.dumps(cell)}"], ("signal",), None, {}) == [{"signal": cell}]
