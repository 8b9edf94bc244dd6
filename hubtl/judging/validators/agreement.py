"""Select the checkpoint that agrees most with the mean. The mean is that of all checkpoints of the run."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, Scores, Validator, need

CHECKPOINT = "checkpoint"


class EnsV(Validator):
    """Measure agreement with the checkpoints' mean softmax so far (EnsV, NeurIPS 2023).

    Each checkpoint's target predictions are kept; its merit is the share of rows on which its class is that of the
    mean. Deviation: the paper compares models of different options; here they are the checkpoints of one run. It is no
    member of ``ensemble``: ranks with it lose as much accuracy as without it (docs/benchmarks.md).
    """

    reads = frozenset({"target_logits"})
    comparable = False

    def __init__(self) -> None:
        self._seen: dict[int, torch.Tensor] = {}  # softmax [m, c] of each checkpoint, by its step

    def score(self, evidence: Evidence) -> float:
        raise HubtlError("ensv compares checkpoints and gives one alone no score", hint="--validator infomax")

    def scores(self, evidence: Evidence) -> Scores:
        self._seen[evidence.step] = need(evidence, "target_logits").float().softmax(dim=1).cpu()
        return {CHECKPOINT: float(evidence.step)}

    def merits(self, judged: Sequence[Scores]) -> list[float]:
        seen = torch.stack([self._seen[int(scores[CHECKPOINT])] for scores in judged])  # [k, m, c]
        agreed = seen.mean(dim=0).argmax(dim=1)
        return (seen.argmax(dim=2) == agreed).float().mean(dim=1).tolist()

    def state(self) -> dict[str, Any]:
        return {"seen": dict(self._seen)}

    def load(self, state: Mapping[str, Any]) -> None:
        self._seen = dict(state.get("seen", {}))
