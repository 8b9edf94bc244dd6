"""The same recipe and seed gives the recorded weights: closely, and with HUBTL_EXACT=1 to the bit.

The last bit is that of a processor, too: HUBTL_EXACT=1 is for the machine that recorded them.
"""

import json
import os

import pytest

from tests.recorded import FILE, RUNS, machine, trained

KNOWN = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RUNS)
def test_a_recorded_run_is_what_it_was(name, tmp_path):
    was, now = KNOWN["runs"][name], trained(name, tmp_path / "run")
    assert now["tensors"].keys() == was["tensors"].keys()
    for tensor, figures in was["tensors"].items():
        assert now["tensors"][tensor] == pytest.approx(figures, abs=1e-3), tensor
    if os.environ.get("HUBTL_EXACT"):
        assert machine() == KNOWN["machine"]
        assert now["digest"] == was["digest"]


def test_the_recorded_runs_differ():
    digests = {run["digest"] for run in KNOWN["runs"].values()}
    assert len(digests) == len(RUNS) == 3
