"""Measure how often two models answer differently; only such rows tell which is better."""

from typing import NamedTuple

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.case import Case
from hubtl.judging.judge import some
from hubtl.modules import Classifier


class Apart(NamedTuple):
    """Hold how often two models answer differently, and by how much."""

    share: float  # of the rows
    gap: str | None = None  # on average, in words with units; None: answers are no numbers


def disagreement(case: Case, one: Classifier, other: Classifier, accelerator: Accelerator) -> Apart:
    """Compare two models' answers to target training rows; no label is read.

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
    return Apart(float(task.disagree(first, second).mean()), task.gap(first, second))
