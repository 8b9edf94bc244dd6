"""Published figures are measured ones: tables from result files, cards from records."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hubtl.card import metadata, render
from hubtl.recipe.schema import Recipe
from hubtl.record import RunRecord

ROOT = Path(__file__).parents[2]
RUNS = sorted(path.parent for path in (ROOT / "model_cards").glob("*/record.json"))


def test_the_tables_of_the_benchmarks_are_written_from_their_results():
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_gallery_has_a_run_of_every_kind_and_its_index_says_what_the_records_say():
    command = [sys.executable, str(ROOT / "docs" / "gallery.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = [RunRecord.load(run) for run in RUNS]
    assert {record.setting for record in records} >= {"transfer", "adaptation", "source-free"}
    assert any(len(record.model.parts) == 3 and record.ablation for record in records), "several modalities"
    assert any(later.online for record in records for later in record.evaluations), "test time"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_published_card_is_what_its_record_says(run):
    record = RunRecord.load(run)
    written = (run / "README.md").read_text(encoding="utf-8")
    assert render(record, existing=written) == written
    assert record.status == "finished"
    assert metadata.problems(metadata.of(record)) == []
    assert all((run / "plots" / name).exists() for name in record.plots)
    recipe = Recipe.model_validate(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
    assert recipe.strategy.name == record.strategy
    told = "".join(path.read_text(encoding="utf-8") for path in run.iterdir() if path.is_file())
    assert not re.search(r"(?<![\w.])(/home/|/root/|/tmp/|/Users/|[A-Z]:\\)", told), "a path of some machine"


def test_the_demo_computes_on_one_thread_however_many_are_offered():
    """Two threads add in another order. A network that learns makes another figure of it."""
    offered = {**os.environ, "OMP_NUM_THREADS": "2"}
    said = subprocess.run(["make", "-n", "demo"], cwd=ROOT, env=offered, capture_output=True, text=True, check=True)
    (line,) = [line for line in said.stdout.splitlines() if "examples/digits.yaml" in line]
    assert line.startswith("OMP_NUM_THREADS=1 ")
