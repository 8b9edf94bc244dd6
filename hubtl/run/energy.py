"""Meter the energy of a run by codecarbon. The recipe has to ask for it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from hubtl.errors import HubtlError
from hubtl.record import Energy

SENSORS = ("intel_rapl", "intel_power_gadget", "windows_emi")  # codecarbon's modes that read one; others calculate
MEASURED = ("AppleSiliconChip", "Raspberry")  # hardware of codecarbon's that is always read from sensors
INTERVAL = 5  # seconds between two readings
COUNTRY = "FRA"  # codecarbon wants one, for emissions; those are not recorded, as nobody said where this runs


class Meter:
    """Meter the energy between start and ``read``."""

    def __init__(self) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it talks before it reads log_level
        self._tracker: Any = OfflineEmissionsTracker(
            country_iso_code=COUNTRY,
            measure_power_secs=INTERVAL,
            save_to_file=False,
            allow_multiple_runs=True,
            log_level="critical",
        )
        self._tracker.start()
        self._runs = True

    def read(self, *, partial: bool = False) -> Energy | None:
        """Return the energy so far, and stop the meter; None before a first reading."""
        self.stop()
        found = getattr(self._tracker, "final_emissions_data", None)
        if found is None:
            return None
        parts = {name: float(getattr(found, f"{name}_energy")) for name in ("cpu", "gpu", "ram")}
        return Energy(
            kwh=float(found.energy_consumed),
            parts={name: kwh for name, kwh in parts.items() if kwh > 0},
            estimated=[name for name in estimated(getattr(self._tracker, "_hardware", ())) if parts.get(name)],
            meter=f"codecarbon {version('codecarbon')}",
            partial=partial,
        )

    def stop(self) -> None:
        """Stop the meter, if it still runs."""
        if self._runs:
            self._runs = False
            self._tracker.stop()


def check(asked: bool) -> None:
    """Raise HubtlError where energy is asked for and cannot be metered."""
    if asked and find_spec("codecarbon") is None:
        raise HubtlError(
            "run.energy needs codecarbon, which is not installed",
            hint="pip install 'hubtl[energy]', or run.energy=false",
        )


@contextmanager
def metered(asked: bool) -> Iterator[Meter | None]:
    """Run a meter inside the block; None where none is asked for."""
    if not asked:
        yield None
        return
    meter = Meter()
    try:
        yield meter
    finally:
        meter.stop()


def estimated(hardware: Any) -> list[str]:
    """Return the parts without a sensor: a processor without RAPL, and memory nearly always."""
    found = []
    for part in hardware:
        kind = type(part).__name__
        if kind in MEASURED or kind == "GPU" or getattr(part, "_mode", None) in SENSORS:
            continue
        found.append(kind.lower())
    return found
