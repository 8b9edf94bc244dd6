"""Foreign text steers no terminal: names of classes, files, columns, models, and what libraries say, are written out."""

import errno
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.text import Text
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.card import render, wording
from hubtl.cli.app import run
from hubtl.cli.messages import Guarded, predicting
from hubtl.cli.table import Screen, Words
from hubtl.cli.table import show as show_table
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.models import saved as api
from hubtl.run.plan import describe
from hubtl.settings import configure_logging, logger
from hubtl.tasks.classification import plots
from tests import records
from tests.tiny import hubtl_command

NAMES = [
    "\x1b[31mred",
    "back\b\b\b\bspace",
    "re\rturn",
    "two\nlines",
    "\u202eturned",
    "[red]markup[/red]",
    "bell\x07 \x9b2J",
]
FORBIDDEN = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *map(chr, range(0x202A, 0x202F)), "\u2066", "\u2028"]


def raw(text, but="\n"):
    return {c for c in FORBIDDEN if c in text} - set(but)


@given(st.text())
def test_a_line_is_one_line_and_lines_are_json_still(text):
    assert not raw(shown.line(text), but="")
    assert not raw(shown.lines(text), but="\n\t")
    for escaped in (shown.line(text), shown.lines(text)):
        escaped.encode("utf-8")  # no half of a surrogate pair
    said = json.dumps({"label": text}, ensure_ascii=False)
    assert json.loads(shown.lines(said)) == {"label": text}
    plain = "".join(c for c in text if c.isalnum() or c == " ")
    assert shown.line(plain) == plain


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("runs/a", "runs/a"),
        ("my runs/a", "'my runs/a'"),
        ("a[1]*", "'a[1]*'"),
        ("it's", "'it'\"'\"'s'"),
        ("-x", "./-x"),
    ],
)
def test_a_path_in_a_command_to_type_is_as_a_shell_takes_it(path, words):
    assert shown.typed(path) == words
    assert f"hubtl predict {words} " in predicting(Path(path))


def test_what_people_write_is_left_alone():
    for name in ("café", "cafe\u0301", "日本語", "naïve – “quoted”", "👩\u200d🔬", "می\u200cخواهم", "a|b`c$d"):
        assert shown.line(name) == shown.lines(name) == name


def test_progress_bars_may_go_back_to_the_start_of_their_line():
    assert shown.bar("\r 40%|####") == "\r 40%|####"
    assert shown.bar("\x1b[A") == "\x1b[A"
    assert shown.bar("\n\n") == "\n\n"
    assert raw(shown.bar("\r\x1b[31m")) == {"\r"}
    assert not raw(shown.bar("name\rerror: none"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("names") / "model"
    backbone = backbones.resolve("lenet", BackboneRequest(NAMES, pretrained=False, image_size=32)).eval()
    meta = {"task": "classification", "strategy": "none", "base_model": None, "revision": None}
    api.save(folder, backbone, nn.Linear(backbone.info.width, len(NAMES)), NAMES, meta)
    return folder


@pytest.fixture
def call(monkeypatch, capfd):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hubtl", *map(str, words)])
        for name in ("stdout", "stderr"):  # as in a terminal's process: a stream each, until the command is over
            monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True))
        streams = [sys.stdout, sys.stderr]
        with pytest.raises(SystemExit) as stopped:
            run()
        return stopped.value.code or 0, *(s.buffer.getvalue().decode() for s in streams)

    return call


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "json"])
def test_predictions_are_printed_without_control_characters(model, tmp_path, call, form):
    for i, name in enumerate(["a\x1b[2Jb.png", "a\rb.png", "a\nb.png", "a\u202eb.png"]):
        Image.fromarray(np.full((32, 32, 3), 60 * i, np.uint8)).save(tmp_path / name)
    how = ["--json"] if form == "json" else ["--format", form]
    code, out, err = call("predict", model, tmp_path, "--top-k", len(NAMES), *how)
    assert code == 0
    assert not raw(out + err)
    assert "\\u001b[31mred" in out
    if form == "table":
        assert len(out.splitlines()) == 5
        assert "two\\nlines" in out
    if form == "json":
        found = json.loads(out)["predictions"][0]
        assert {found["label"], *(found[f"label_{k}"] for k in range(2, len(NAMES) + 1))} == set(NAMES)
        assert any("\r" in row["input"] for row in json.loads(out)["predictions"])
    if form == "csv":  # a file holds the names as they are
        call("predict", model, tmp_path, "--format", "csv", "--output", tmp_path / "found.csv", "--top-k", len(NAMES))
        assert "\x1b[31mred" in (tmp_path / "found.csv").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "no\x1b[31m/such\rmodel\u202e", "x.png"],
        ["predict", "MODEL", "no\x1b[31m file\n.png"],
        ["adapt", "--model", "lenet", "--target-dataset", "no\x1b[2J\rdata\x9b"],
        ["adapt", "no\x1b[31m.yaml"],
        ["adapt", "--\x1b[31m"],
        ["evaluate", "MODEL", "--dataset", "builtin:digits/uci", "--tta", "\x1b[5m[red]"],
        ["evaluate", "MODEL", "--dataset", "builtin:digits/uci", "--label-column", "\x1b[5mla\nbel\u202e"],
        ["show", "\x1b[31m"],
    ],
)
def test_errors_are_two_lines_without_control_characters(model, call, words):
    code, out, err = call(*(model if word == "MODEL" else word for word in words))
    assert (code, out) == (2, "")
    assert not raw(err)
    assert [line[:6] for line in err.splitlines()[-2:]] == ["error:", "try:  "]


def test_the_log_and_the_plan_write_names_out(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    before = logger.handlers[:], logger.propagate
    try:
        configure_logging()
        for name in NAMES:
            logger.info("kept       %s: %d rows", name, 3)
            logger.warning("bad        %s", HubtlError(f"cannot read {name}"))
        logging.getLogger("hubtl").info("100 % of \x1b[31m")
    finally:
        logger.handlers[:], logger.propagate = before
    assert not raw(said.getvalue())
    assert len(said.getvalue().splitlines()) == 2 * len(NAMES) + 1
    run_ = {"batch_size": 8, "gradient_accumulation_steps": 1}
    recipe = {"run": run_, "optim": {"name": "sgd", "schedule": "constant"}}
    record, plain = records.gain(classes=NAMES, recipe=recipe), records.gain(recipe=recipe)
    record.target.dataset = NAMES[0] + NAMES[3]
    assert not raw(describe(record))
    assert len(describe(record).splitlines()) == len(describe(plain).splitlines())


@pytest.mark.parametrize("terminal", [False, True])
def test_tables_show_names_as_they_are(monkeypatch, terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stdout", Guarded(stream))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    show_table(["class", "rows"], [[name, "1"] for name in NAMES], left=["class"])
    table = Words()
    table.add_column("[blue]class\x1b")
    for name in [*NAMES, ":smile:"]:
        table.add_row(name)
    Screen().print(table)
    Screen().print(f"warning: {NAMES[0]} {NAMES[5]}", style="bold")
    out = Text.from_ansi(stream.getvalue()).plain if terminal else stream.getvalue()
    assert not raw(out, but="\n\t")
    for name in NAMES:
        assert out.count(shown.line(name)) >= 2
    assert "[red]markup[/red]" in out
    assert ":smile:" in out
    assert "\x1b[31m" not in stream.getvalue()


def test_a_screen_that_cannot_show_a_name_shows_its_code():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    guarded = Guarded(stream)
    guarded.write("café \udcff 猫\n")
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\xe9 \\udcff \\u732b\n"


def test_cards_and_pictures_write_names_out(tmp_path):
    names = [*NAMES, "$\\frac{$", "a|b", "`tick`", "<img src=x onerror=alert(1)>"]
    after = records.evaluation(classes=names)
    record = records.gain(classes=names, adapted=after, source_only=records.evaluation(classes=names, right=0.5))
    record.warnings = [f"collapse: {name}" for name in names]
    record.command = f"hubtl adapt --set run.output_dir={NAMES[0]}"
    text = render(record)
    assert not raw(text)
    assert "<img" not in text.split("\n---\n", 1)[1]
    assert wording.plain(NAMES[3]) == "two\\nlines"
    assert len({wording.plain(name) for name in names}) == len(names)
    plots.confusion(after.figures, names, tmp_path / "c.png", NAMES[0])
    plots.per_class(record.source_only.figures, after.figures, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_stdout_that_takes_nothing_is_one_error():
    command = [sys.executable, "-m", "hubtl", "list", "tuners"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: what was found cannot be written to stdout: No space left on device"
    assert len(done.stderr.splitlines()) == 2
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + 13, "")


@pytest.mark.parametrize("text", ["hf-mirror.com", "http://127.0.0.1:80x", "http://", "ftp://host", "http://[::1"])
def test_an_endpoint_that_is_no_address_is_said_before_a_library_fails_at_it(monkeypatch, capsys, text):
    monkeypatch.setenv("HF_ENDPOINT", text)
    code, _, err = hubtl_command(["list", "tuners"], capsys)
    assert (code, err.splitlines()[0]) == (2, f"error: HF_ENDPOINT is {text!r}, not an address")


def test_a_fault_of_the_machine_is_one_error_in_any_command(monkeypatch, tmp_path, capsys):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("hubtl.cli.plugins.plugins.entries", full)
    code, _, err = hubtl_command(["list"], capsys)
    assert code == 2
    assert err.startswith(f"error: no space left to write {tmp_path / 'x'}")


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (1200, "labelled row", "1,200 labelled rows"),
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (3, "batch", "3 batches"),
    ],
)
def test_a_count_has_its_noun_in_the_right_number(number, noun, said):
    assert shown.plural(number, noun) == said
