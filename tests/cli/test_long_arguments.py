"""Arguments longer than a file's name may be: a text is predicted, anything else is one error."""

import json

import pytest

from hubtl.cli.rows import rows_of
from hubtl.errors import HubtlError
from hubtl.io.places import there
from hubtl.modalities.base import Modality
from hubtl.plugins import modalities
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
    class Signal(Modality):
        name = "signal"

        def column(self, dataset, asked, where):
            return "signal"

    signal = Signal()
    assert (signal.typed, signal.alone, signal.tabular) == ("signal=JSON", "DATASET", True)
    monkeypatch.setattr(modalities, "of", lambda name, **_: signal)
    cell = [0.25] * 200
    assert rows_of([f"signal={json.dumps(cell)}"], ("signal",), None, {}) == [{"signal": cell}]


@pytest.mark.parametrize("text", ["[0.1, 0.2]", '{"a": 1}', str([0.5] * 200)])
def test_json_without_its_modality_says_how_a_cell_is_typed(monkeypatch, text):
    class Signal(Modality):
        name = "signal"

        def column(self, dataset, asked, where):
            return "signal"

    monkeypatch.setattr(modalities, "of", lambda name, **_: Signal())
    with pytest.raises(HubtlError, match="a typed cell follows the name of its modality") as caught:
        rows_of([text], ("signal",), None, {})
    assert caught.value.hint == "signal='[0.1, 0.2]'"
    assert len(str(caught.value)) < 200
