"""Define the result of a run: its folder, its record, and its push."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtl.errors import HubtlError
from hubtl.hub import PushResult
from hubtl.record import Evaluation, RunRecord


@dataclass(frozen=True)
class Result:
    """Hold the result of ``hubtl.adapt``."""

    output_dir: Path
    record: RunRecord
    url: str | None = None  # of the push's commit
    pushed: PushResult | None = None
    not_pushed: HubtlError | None = None  # why the push failed, and the command that tries it again; the run is whole

    def summary(self) -> dict[str, Any]:
        """Summarise the run, as ``--json`` prints it."""
        record = self.record

        def figures(evaluation: Evaluation | None) -> dict[str, Any] | None:
            if evaluation is None:
                return None
            told = evaluation.estimate
            estimate = None if told is None else told.model_dump(exclude={"kept"})
            bound = None if evaluation.bound is None else evaluation.bound.model_dump()
            return {**evaluation.numbers(), "estimate": estimate, "bound": bound, "scores": evaluation.scores}

        return {
            "output_dir": str(self.output_dir),
            "setting": record.setting,
            "strategy": record.strategy,
            "model": record.model.name,
            "target": {"source_only": figures(record.source_only), "adapted": figures(record.adapted)},
            "selection": {"rule": record.selection.rule, "oracle": record.selection.oracle},
            "steps": record.training.steps,
            "seconds": round(record.training.seconds, 3),
            "warnings": record.warnings,
            "url": self.url,
        }
