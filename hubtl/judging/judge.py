"""Judge models: label-free scores during training, checkpoint selection, final figures, warnings."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from hubtl import plugins
from hubtl.batch import Batch
from hubtl.card.metrics import amount
from hubtl.data.rows import Rows
from hubtl.data.sealed import unsealed
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import finite, outputs
from hubtl.io.shown import plural
from hubtl.judging.case import Case
from hubtl.judging.shift import shift
from hubtl.judging.subsets import dominance, subsets
from hubtl.judging.validators import LABELS, Evidence, measured, merits_of, rule_of, scores_of
from hubtl.judging.validators.ensemble import Ensemble
from hubtl.judging.validators.probes import mixture, partners
from hubtl.modules import Classifier
from hubtl.record import Candidate, Estimate, Evaluation, RunRecord, Selection
from hubtl.settings import logger
from hubtl.strategy import Strategy
from hubtl.tasks import Task
from hubtl.tasks.base import FLOOR

EVIDENCE_ROWS = 512  # of each stream, for scores on the way
RESEMBLES = 0.8  # share of rows on which one model has to answer as the average that it stands for, or it is said


class Judge:
    """Score a strategy while it trains, and keep the best weights. Its rule selects them.

    The rule sees source evaluation rows and target training rows. Only an oracle sees labelled target rows; a rule is
    an oracle if it reads them, whatever it declares. Guard rails come first: a checkpoint with collapsed predictions,
    or one that lost more than FLOOR of the best score on the source, is not selected while there is another. One set of
    weights is kept: the best of all seen so far.
    """

    _read = False  # whether the rule has read target labels

    def __init__(
        self,
        case: Case,
        accelerator: Accelerator,
        rule: str,
        *,
        source_score: float | None = None,
    ) -> None:
        self.case, self.accelerator = case, accelerator
        self.name = rule
        self.rule = rule_of(rule)
        self.selection = Selection(rule=rule, oracle=LABELS in self.rule.reads)  # until it is seen what it reads
        self._reference = source_score  # of the baseline
        self._weights: dict[str, torch.Tensor] = {}

    def __call__(self, strategy: Strategy, step: int) -> dict[str, float]:
        evidence = self.evidence(strategy.deployed(), step)
        scores = label_free(evidence, self.case.task.scores)
        watched = self.case.task.guard
        if self.name == "last":
            self.selection.step = step
            return scores
        if forgets := self.case.strategy_class.judging.forgets_source and self.rule.lenient:
            evidence = without_source(evidence)
        judged = scores_of(self.rule, evidence)
        self._read |= LABELS in getattr(evidence, "read", ())
        self.selection.oracle = self._read
        guard = {watched: scores[watched]} if watched in scores and not forgets else {}
        collapsed = float(fallen(evidence, self.case) is not None)
        new = Candidate(step=step, scores=judged, guard=guard | {"collapsed": collapsed})
        # a run that goes on from a checkpoint may come by a candidate again
        self.selection.candidates = [*(c for c in self.selection.candidates if c.step != step), new]
        if self._champion(new) is new:
            self.selection.step = step
            self._weights = {name: value.detach().cpu().clone() for name, value in strategy.state_dict().items()}
        return scores | judged if len(judged) > 1 else scores

    def _champion(self, new: Candidate) -> Candidate:
        """Return the better of the kept and the newest candidate.

        Their merits count all that were judged.
        """
        tried = self.selection.candidates
        for candidate, merit in zip(tried, merits_of(self.rule, [c.scores for c in tried]), strict=True):
            candidate.merit = merit
        kept = [c for c in tried if c.step == self.selection.step and c is not new]
        return max([*kept, new], key=lambda c: (not self.refused(c), c.merit))

    def refused(self, candidate: Candidate) -> bool:
        """Return whether a guard rail rejects a candidate."""
        watched = self.case.task.guard
        known = [c.guard[watched] for c in self.selection.candidates if watched in c.guard]
        best = max([*known, *([] if self._reference is None else [self._reference])], default=0.0)
        return bool(candidate.guard["collapsed"]) or candidate.guard.get(watched, best) < best - FLOOR

    def restore(self, strategy: Strategy) -> None:
        """Load the selected weights into the strategy."""
        if self.name != "last":
            strategy.load_state_dict(self._weights)

    def evidence(self, model: Classifier, step: int) -> Evidence:
        return gather(self.case, self.accelerator, model, step, self.rule.reads)

    def state(self) -> dict[str, Any]:
        """Return the judge's state for the checkpoint of the same update. It is what has been seen so far."""
        return {"weights": self._weights, "selection": self.selection.model_dump(), "rule": self.rule.state()}

    def load(self, state: dict[str, Any]) -> None:
        self._weights = state["weights"]
        self.selection = Selection.model_validate(state["selection"])
        self._read = self.selection.oracle
        self.rule.load(state.get("rule", {}))


def gather(case: Case, acc: Accelerator, model: Classifier, step: int, reads: Collection[str]) -> Evidence:
    """Gather the evidence on a model: fields of the standard scores, and others by name."""
    streams = case.streams
    source, target = streams.source_eval, streams.target_plain
    rows = some(len(target))
    labels = streams.source_eval_labels
    seen = None
    if source is not None:
        swept = finite(outputs(model, source, acc, rows=some(len(source))), "the source")
        labels = None if labels is None else swept.labelled(labels[some(len(source))], case.task)
        seen = swept.flat()
    there = finite(outputs(model, target, acc, rows=rows), "the target").flat()
    mixed = None
    if "target_mixed_logits" in reads:
        mixed = outputs(model, Mixtures(target, rows), acc).flat().logits
    told, judged = None, None
    if LABELS in reads:
        told = unsealed(streams.target_eval_labels)
        whole = outputs(model, streams.target_eval, acc)
        judged = whole.flat().logits
        told = None if told is None else whole.labelled(told, case.task)
    return Evidence(
        step=step,
        task=case.task,
        source_logits=None if seen is None else seen.logits,
        source_features=None if seen is None else seen.features,
        source_labels=None if source is None else labels,
        target_logits=there.logits,
        target_features=there.features,
        target_mixed_logits=mixed,
        target_labels=told,
        target_eval_logits=judged,
    )


def without_source(evidence: Evidence) -> Evidence:
    """Return the evidence for a source-free method."""
    return dataclasses.replace(evidence, source_logits=None, source_features=None, source_labels=None)


def voters_on(cls: type[Strategy], task: Task | type[Task]) -> list[str]:
    """Return the validators that count for a method.

    Validators that its own loss optimises, or that read a source that it forgets, do not count.
    """
    read = {name: plugins.load("validators", name).reads for name in task.voters}
    return [name for name in task.voters if not (cls.judging.forgets_source and "source_labels" in read[name])]


class Mixtures:
    """Mix each row of a stream with a partner (see ``validators.probes``)."""

    def __init__(self, images: Rows, rows: Sequence[int]) -> None:
        self._images, self._rows, self._partner = images, list(rows), partners(len(rows))

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, rows: Sequence[int]) -> Batch:
        of = self._images.fetch([self._rows[i] for i in rows])
        other = self._images.fetch([self._rows[self._partner[i]] for i in rows])
        return dataclasses.replace(
            of, inputs={name: mixture(value, other.inputs[name]) for name, value in of.inputs.items()}
        )


def some(n: int) -> list[int]:
    """Return at most EVIDENCE_ROWS rows, spread over the dataset. They are always the same ones."""
    found: list[int] = np.unique(np.linspace(0, n - 1, min(n, EVIDENCE_ROWS)).round().astype(int)).tolist()
    return found


def fallen(evidence: Evidence, case: Case) -> str | None:
    """Return why the target outputs look collapsed, or None."""
    if evidence.target_logits is None:
        return None
    return case.task.collapse(evidence.target_logits, case.relation)


def label_free(evidence: Evidence, names: Sequence[str]) -> dict[str, float]:
    """Return the named scores as far as the evidence allows; none reads target labels."""
    scores = {}
    for name in dict.fromkeys(names):
        rule = rule_of(name)
        if not rule.suffices(evidence):
            continue
        if (score := measured(rule, evidence)) is None:
            logger.info("scores     %s is left out: of these rows it gives no number", name)
        else:
            scores[name] = score
    return scores


def assess(
    case: Case,
    model: Classifier,
    acc: Accelerator,
    step: int,
    beside: Evaluation | None = None,
    *,
    adapted: bool = True,
) -> Evaluation:
    """Evaluate a model on both domains' evaluation rows, and by label-free evidence.

    Args:
        case: the run to judge.
        model: the model.
        acc: the accelerator of the run.
        step: the update of its weights.
        beside: the baseline's evaluation of this process; contradictions inform on both models.
        adapted: whether the model learnt on the target.
    """
    streams, task = case.streams, case.task
    seen = finite(outputs(model, streams.target_eval, acc), "the target")
    labels = unsealed(streams.target_eval_labels)
    found = task.evaluation(seen.logits, labels)
    found.subsets = subsets(model, streams.target_eval, labels, task, acc)
    evidence = gather(case, acc, model, step, Ensemble.reads)
    found.scores = label_free(evidence, [*task.scores, *task.voters])
    found.collapse = fallen(evidence, case)
    found.shift = shift(evidence)
    if streams.source_eval is not None:
        source = finite(outputs(model, streams.source_eval, acc), "the source")
        found.source = task.evaluation(source.logits, streams.source_eval_labels).value
        other = None if beside is None else beside.estimate
        found.estimate = estimated(case, source.logits, seen.logits, other, adapted=adapted)
        known, both = streams.source_eval_labels, None if other is None else other._beside.both
        if adapted and other is not None and both is not None and other.tells and found.estimate and known is not None:
            found.bound = task.bound(source.logits, known, seen.logits, both, other.value)
        if case.source is not None and streams.source_eval_labels is not None:
            for number, name in enumerate(case.source.domains):
                rows = streams.source_eval.domains == number
                own = task.evaluation(source.logits[torch.from_numpy(rows)], streams.source_eval_labels[rows]).value
                if own is not None:
                    found.sources[name] = own
    return found


def estimated(
    case: Case, source: torch.Tensor, target: torch.Tensor, beside: Estimate | None = None, *, adapted: bool = True
) -> Estimate | None:
    """Estimate the primary metric from outputs on both domains' evaluation rows.

    No target label is read. None without labels of source rows that training did not learn from, and where the target
    has classes that the model lacks.
    """
    labels = case.streams.source_eval_labels
    if labels is None or case.relation.target_only:
        return None
    kept = case.task.gauge(source, labels)
    if kept is None:
        return None
    held = None if beside is None or beside._beside.both is None else beside._beside.both[1]
    others = [] if beside is None or held is None else [(held, beside.kept)]
    found = case.task.estimate([(target, kept), *others], adapted=adapted)
    if found is not None:
        found.kept, found._beside.both = kept, (source, target)
    return found


def doubts(record: RunRecord) -> list[str]:
    """Return reasons to distrust an adapted model. They come from label-free evidence and measured figures."""
    adapted, base = record.adapted, record.source_only
    if adapted is None:
        return []
    found = []
    if adapted.collapse:
        found.append(f"collapse: {adapted.collapse}")
    if said := dominance(adapted.subsets, len(record.outputs.names)):
        found.append(said)
    if record.verdict is not None and record.verdict.tried is not None:
        labels = record.verified if record.verified and record.verified.answer == "source-only" else None
        why = f"the labels of {plural(labels.n, 'row')} favour source-only" if labels else record.verdict.reason
        return [f"source-only was kept, {record.verdict.tried} was dropped: {why}"]
    if (one := record.ensemble) is not None and one.closeness is not None and one.closeness < RESEMBLES:
        found.append(
            f"the model answers as the average of its members on {one.closeness:.0%} of the target's rows alone: more "
            "--steps bring it nearer"
        )
    if base is None:
        return found
    trusted = record.verified is not None and record.verified.answer == "adapted"
    if record.verdict is not None and record.verdict.rail and not adapted.collapse and not trusted:
        helped = record.difference is not None and record.difference.shows(adapted.primary)
        advice = "and yet adapting helped on the labelled rows" if helped else "consider --strategy source-only"
        found.append(f"{record.verdict.reason}: {advice}")
    lost = base.primary.gain(adapted.primary) if base.primary and adapted.primary else None
    if base.primary is not None and lost is not None and lost < 0:
        found.append(f"negative transfer: the adapted model is {amount(base.primary, -lost)} worse")
    return found
