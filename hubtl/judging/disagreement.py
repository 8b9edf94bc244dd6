"""How often two models answer differently: only such rows can say which of them is better."""

from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.judging.case import Case
from hubtl.judging.judge import some
from hubtl.modules import Classifier


def disagreement(case: Case, one: Classifier, other: Classifier, accelerator: Accelerator) -> float | None:
    """Measure the share of the target's training rows to which two models answer differently; no label is read.

    It is that of at most 512 rows, spread over them. None for a task whose answers are not one of its outputs.
    """
    rows = case.streams.target_plain
    seen = [outputs(model, rows, accelerator, rows=some(len(rows))).logits for model in (one, other)]
    first, second = (case.task.predicted(logits) for logits in seen)
    return None if first is None or second is None else float((first != second).mean())
