"""``run.energy``: what a run used, by codecarbon, and what of that no sensor measured."""

import logging
import sys
import types

import pytest

import hubtl
from hubtl.card import render
from hubtl.errors import HubtlError
from hubtl.record import Energy, RunRecord
from hubtl.run import energy
from tests import records

TINY = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
    "steps": 3,
    "strategy": "mcc",
}


@pytest.mark.filterwarnings("ignore")  # codecarbon's own
def test_a_run_records_what_codecarbon_metered(tmp_path, caplog, capfd):
    pytest.importorskip("codecarbon")
    folder = tmp_path / "run"
    with caplog.at_level(logging.INFO):
        hubtl.adapt(output_dir=str(folder), options={"run.energy": True, "run.plots": False}, **TINY)
    used = RunRecord.load(folder).energy
    assert used.kwh > 0
    assert used.kwh == pytest.approx(sum(used.parts.values()), rel=1e-6)
    assert used.meter.startswith("codecarbon 3")
    assert "ram" in used.estimated
    assert "- Energy: " in (folder / "README.md").read_text()
    assert "codecarbon" not in "".join(capfd.readouterr())


def test_unasked_nothing_is_metered(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "Meter", None)
    done = hubtl.adapt(output_dir=str(tmp_path / "run"), options={"run.plots": False}, **TINY)
    assert done.record.energy is None
    assert "Energy" not in (tmp_path / "run" / "README.md").read_text()


def test_without_codecarbon_the_run_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    with pytest.raises(HubtlError, match="needs codecarbon") as caught:
        hubtl.adapt(output_dir=str(tmp_path / "run"), options={"run.energy": True}, **TINY)
    assert "hubtl[energy]" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_the_meter_stops_when_the_run_fails(monkeypatch):
    class Tracker:
        on = False

        def __init__(self, **options):
            pass

        def start(self):
            Tracker.on = True

        def stop(self):
            assert Tracker.on, "stopped twice"
            Tracker.on = False

    monkeypatch.setitem(sys.modules, "codecarbon", types.SimpleNamespace(OfflineEmissionsTracker=Tracker))

    def fall():
        with energy.metered(True):
            assert Tracker.on
            raise RuntimeError("fell")

    with pytest.raises(RuntimeError, match="fell"):
        fall()
    assert not Tracker.on
    with energy.metered(True) as meter:
        assert meter.read() is None, "it had no time for a reading"


def test_what_no_sensor_reads_is_estimated():
    class CPU:
        def __init__(self, mode):
            self._mode = mode

    class GPU:
        pass

    class RAM:
        pass

    assert energy.estimated([RAM(), CPU("intel_rapl"), GPU()]) == ["ram"]
    assert energy.estimated([CPU("cpu_load")]) == ["cpu"]


def test_the_card_says_what_was_estimated():
    record = records.gain()
    record.energy = Energy(kwh=1.234, parts={"cpu": 0.2, "gpu": 1.0, "ram": 0.034}, estimated=["ram"], meter="meter 1")
    line = next(line for line in render(record).splitlines() if line.startswith("- Energy"))
    assert "1.23 kWh of the whole machine (cpu 200 Wh; gpu 1.00 kWh; ram 34 Wh, estimated), by meter 1" in line
    record.energy.partial = True
    assert "since it was last resumed" in render(record)
