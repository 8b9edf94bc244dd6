"""Measure how often two models answer differently; only such rows tell which is better."""

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.case import Case
from hubtl.judging.judge import some
from hubtl.modules import Classifier


def disagreement(case: Case, one: Classifier, other: Classifier, accelerator: Accelerator) -> float:
    """Return the share of target training rows with different answers; no label is read.

    It uses at most 512 rows, spread over them. Answers differ as ``hubtl label`` sees them.

    Args:
        case: the run to judge.
        one: one model.
        other: the other model.
        accelerator: the accelerator of the run.
    """
    rows, task = case.streams.target_plain, case.task
    seen = [outputs(model, rows, accelerator, rows=some(len(rows))).logits for model in (one, other)]
    first, second = (task.answered(logits) for logits in seen)
    return float(task.disagree(first, second).mean())
