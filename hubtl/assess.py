"""Judging models: label-free scores on the way, the choice of a checkpoint, the final figures,
and the doubts about them.
"""

from pathlib import Path

import numpy as np

from hubtl import plugins
from hubtl.engine import checkpoint
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import Outputs, outputs
from hubtl.evaluate import evaluation
from hubtl.modules import Classifier
from hubtl.prepare import Prepared
from hubtl.record import Evaluation, RunRecord, Selection
from hubtl.strategy import Strategy
from hubtl.validators import Evidence, Validator, collapse

EVIDENCE_ROWS = 512  # of each stream, for scores on the way
SCORES = ("source-accuracy", "infomax", "entropy")  # always reported; none reads target labels
FLOOR = 0.10  # accuracy on the source that adaptation may cost before it is doubted


class Judge:
    """Scores a strategy while it trains, and keeps the weights that its rule likes best.

    The rule sees source evaluation rows and target training rows; only an oracle sees labelled target rows.
    """

    def __init__(self, prepared: Prepared, accelerator: Accelerator, rule: str, folder: Path | None) -> None:
        self.prepared, self.accelerator, self.folder = prepared, accelerator, folder
        self.name = rule
        self.rule: Validator = plugins.load("validators", rule)()
        self.selection = Selection(rule=rule, oracle=self.rule.oracle)
        self._best: float | None = None
        if folder is not None and (folder / "best.pt").exists():
            self._recall(folder / "best.pt")

    def __call__(self, strategy: Strategy, step: int) -> dict[str, float]:
        evidence = self.evidence(strategy.deployed(), step)
        scores = label_free(evidence)
        if self.name != "last":
            score = scores.get(self.name)
            score = self.rule.score(evidence) if score is None else score
            self.selection.candidates.append({"step": float(step), "score": score})
            if self._best is None or score > self._best:
                self._best, self.selection.step = score, step
                self._keep(strategy)
        else:
            self.selection.step = step
        return scores

    def restore(self, strategy: Strategy) -> None:
        """Put the selected weights back into the strategy."""
        if self.name != "last":
            strategy.load_state_dict(self._weights)

    def evidence(self, model: Classifier, step: int) -> Evidence:
        streams, acc = self.prepared.streams, self.accelerator
        source = streams.source_eval
        oracle = self.rule.oracle
        seen = None if source is None else outputs(model, source, acc, rows=some(len(source)))
        target = outputs(model, streams.target_plain, acc, rows=some(len(streams.target_plain)))
        return Evidence(
            step=step,
            source_logits=None if seen is None else seen.logits,
            source_features=None if seen is None else seen.features,
            source_labels=None
            if source is None or streams.source_eval_labels is None
            else streams.source_eval_labels[some(len(source))],
            target_logits=target.logits,
            target_features=target.features,
            target_labels=streams.target_eval_labels if oracle else None,
            target_eval_logits=outputs(model, streams.target_eval, acc).logits if oracle else None,
        )

    def _keep(self, strategy: Strategy) -> None:
        self._weights = {name: value.detach().cpu().clone() for name, value in strategy.state_dict().items()}
        if self.folder is not None and self.accelerator.is_main_process:
            state = {"weights": self._weights, "selection": self.selection.model_dump(), "score": self._best}
            self.folder.mkdir(parents=True, exist_ok=True)
            checkpoint.write(self.folder / "best.pt", state)

    def _recall(self, path: Path) -> None:
        state = checkpoint.read(path)
        self._weights, self._best = state["weights"], state["score"]
        self.selection = Selection.model_validate(state["selection"])


def some(n: int) -> list[int]:
    """At most EVIDENCE_ROWS rows, spread over the dataset, the same ones each time."""
    return np.unique(np.linspace(0, n - 1, min(n, EVIDENCE_ROWS)).round().astype(int)).tolist()


def label_free(evidence: Evidence) -> dict[str, float]:
    """Every score that the evidence allows without target labels."""
    scores = {}
    for name in SCORES:
        rule: Validator = plugins.load("validators", name)()
        if all(getattr(evidence, field) is not None for field in rule.reads):
            scores[name] = rule.score(evidence)
    return scores


def assess(prepared: Prepared, model: Classifier, judge: Judge, step: int) -> tuple[Evaluation, Outputs]:
    """The final figures of a model on the target's evaluation rows, and what it cost on the source's."""
    streams, acc = prepared.streams, judge.accelerator
    seen = outputs(model, streams.target_eval, acc)
    figures = evaluation(seen.logits, streams.target_eval_labels, prepared.classes)
    figures.scores = label_free(judge.evidence(model, step))
    if streams.source_eval is not None:
        source = outputs(model, streams.source_eval, acc)
        figures.source_accuracy = evaluation(source.logits, streams.source_eval_labels, prepared.classes).accuracy
    return figures, seen


def doubts(record: RunRecord) -> list[str]:
    """Why an adapted model may not be trusted, from evidence that needs no target labels, and from measured figures."""
    adapted, base = record.adapted, record.source_only
    if adapted is None:
        return []
    found = []
    if reason := collapse(np.array(adapted.predicted_counts), len(record.classes)):
        found.append(f"collapse: {reason}")
    if base is None:
        return found
    if base.scores.get("infomax", 0) >= adapted.scores.get("infomax", 0):
        found.append(
            "no label-free evidence says that the adapted model is better than source-only "
            f"(infomax {adapted.scores['infomax']:.3f} against {base.scores['infomax']:.3f}): "
            "consider --strategy source-only"
        )
    if (base.source_accuracy or 0) - (adapted.source_accuracy or 0) > FLOOR:
        lost = 100 * ((base.source_accuracy or 0) - (adapted.source_accuracy or 0))
        found.append(f"adapting cost {lost:.1f} points of accuracy on the source")
    if base.accuracy is not None and adapted.accuracy is not None and adapted.accuracy < base.accuracy:
        found.append(
            f"negative transfer: the adapted model is {100 * (base.accuracy - adapted.accuracy):.1f} points worse"
        )
    return found
