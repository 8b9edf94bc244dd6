"""What is published says what was measured: tables from result files, cards from records."""

import subprocess
import sys
from pathlib import Path

import pytest

from hubtl.card import metadata, render
from hubtl.record import RunRecord

ROOT = Path(__file__).parent.parent
RUNS = sorted(path.parent for path in (ROOT / "model_cards").glob("*/record.json"))


def test_the_tables_of_the_benchmarks_are_written_from_their_results():
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_a_published_card():
    assert RUNS


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_published_card_is_what_its_record_says(run):
    record = RunRecord.load(run)
    written = (run / "README.md").read_text(encoding="utf-8")
    assert render(record, existing=written) == written
    assert record.status == "finished"
    assert metadata.problems(metadata.of(record)) == []
    assert all((run / "plots" / name).exists() for name in record.plots)
