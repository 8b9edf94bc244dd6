"""Measure how often two models answer differently; only such rows tell which is better."""

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.case import Case
from hubtl.judging.judge import some
from hubtl.modules import Classifier


def disagreement(case: Case, one: Classifier, other: Classifier, accelerator: Accelerator) -> float | None:
    """Return the share of target training rows with different answers; no label is read.

    It uses at most 512 rows, spread over them. None for a task whose answers are not one of its outputs.

    Args:
        case: the run to judge.
        one: one model.
        other: the other model.
        accelerator: the accelerator of the run.
    """
    rows = case.streams.target_plain
    seen = [outputs(model, rows, accelerator, rows=some(len(rows))).logits for model in (one, other)]
    first, second = (case.task.predicted(logits) for logits in seen)
    return None if first is None or second is None else float((first != second).mean())
