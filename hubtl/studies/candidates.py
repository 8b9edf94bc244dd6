"""Select the best of several finished models by labels. Two models disagree on each labelled row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.data import rowlabels
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.io.shown import plural
from hubtl.judging.asking import Decided
from hubtl.models import saved
from hubtl.plugins.blame import minded
from hubtl.record import RunRecord
from hubtl.studies import compare
from hubtl.studies.amend import check, check_asks
from hubtl.studies.answers import Answer, Answers
from hubtl.studies.label import Labelling, Question, Rule, drawn, learnt_rows, seen_by, target_of


@dataclass(frozen=True)
class Met:
    """Hold two of the models, and the evidence of their labels."""

    kept: str  # the best of those before
    other: str
    labelling: Labelling | None  # None: they answer alike to every row
    decided: Decided | None  # "adapted": the other is better; None: it is being asked

    @property
    def sure(self) -> float:
        """Return the probability that the other is better."""
        return 0.5 if self.labelling is None else self.labelling.tally.better(self.labelling.rule.prior)


@dataclass
class Candidates:
    """Ask for labels of several models in turn: the winner of each pair meets the next model.

    All pairs share one random order of the rows, and each reads those on which it disagrees; a label hence counts for
    every pair that comes to its row. Each pair is decided separately, at the level of ``rule``.
    """

    names: list[str]
    whole: Labelling  # the rows on which any two disagree
    said: list[np.ndarray]  # what each model answers to the rows of ``whole.order``
    _pairs: dict[tuple[int, int], Labelling | None] = field(default_factory=dict)

    @property
    def met(self) -> list[Met]:
        """Return the pairs that have met; the last one may be undecided yet."""
        found: list[Met] = []
        best = 0
        for number in range(1, len(self.names)):
            labelling = self._pair(best, number)
            told = "undecided" if labelling is None else labelling.rule.decided(labelling.tally)
            if told is None and labelling is not None and labelling.current() is None:
                told = "undecided"  # no row is left
            if told is None and self.labelled >= self.whole.rule.most:
                told = "undecided"
            found.append(Met(self.names[best], self.names[number], labelling, told))
            if told is None:
                return found
            best = number if told == "adapted" else best
        return found

    @property
    def labelled(self) -> int:
        """Return the number of labelled rows."""
        known = (self.whole.answers.of(row) for row in self.whole.numbers)
        return sum(answer is not None and answer.label is not None for answer in known)

    @property
    def best(self) -> str:
        """Return the model that no other has beaten."""
        last = self.met[-1]
        return last.other if last.decided == "adapted" else last.kept

    def current(self) -> Question | None:
        """Return the next row to ask for; None where every pair has met."""
        last = self.met[-1]
        return None if last.decided is not None or last.labelling is None else last.labelling.current()

    def answer(self, question: Question, text: str) -> None:
        """Store a label.

        Raises:
            HubtlError: for text that is no label.
        """
        self.whole.answer(question, text)

    def skip(self, question: Question) -> None:
        """Skip a row that nobody can label."""
        self.whole.skip(question)

    def undo(self) -> Answer | None:
        """Remove the last answer, so that its row is asked for again; None where there is none."""
        return self.whole.undo()

    def opening(self) -> str:
        """Describe the task of the labeller in a line."""
        whole = self.whole
        return (
            f"{len(self.names)} models, and {len(whole.order):,} of {plural(whole.rows, 'target row')} on which any two disagree: "
            f"at most {whole.rule.most} are asked for"
        )

    def progress(self) -> str:
        """Describe the evidence on the present pair in a line."""
        return said(self.met[-1])

    def outcome(self) -> list[str]:
        """Describe the result of each pair and the best model, in lines."""
        if not self.labelled:
            return ["nothing is labelled; the same command asks"]
        met = self.met
        lines = [said(one) for one in met]
        open_ = [one for one in met if one.decided in (None, "undecided") and one.labelling is not None]
        if met[-1].decided is None:
            return [*lines, "continue with the same command: every answer is saved"]
        doubt = f"; undecided: {', '.join(f'{one.kept} and {one.other}' for one in open_)}" if open_ else ""
        return [*lines, f"best by {self.labelled} labelled rows: {self.best}{doubt}"]

    def summary(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        pairs = [
            {"kept": one.kept, "other": one.other, "decided": _plain(one), "other_better": one.sure} for one in self.met
        ]
        return {"models": self.names, "labelled": self.labelled, "best": self.best, "pairs": pairs}

    def _pair(self, one: int, other: int) -> Labelling | None:
        if (one, other) not in self._pairs:
            apart = np.flatnonzero(self.whole.task.disagree(self.said[one], self.said[other]))
            both = self.said[one][apart], self.said[other][apart]
            pair = replace(self.whole, order=self.whole.order[apart], said=both) if len(apart) else None
            self._pairs[one, other] = pair
        return self._pairs[one, other]


def said(met: Met) -> str:
    """Describe the evidence of the labels on two models in a line."""
    names = f"{met.other} against {met.kept}"
    if met.labelling is None:
        return f"{names}: they answer alike to every row"
    tally = met.labelling.tally
    counts = f"wins {tally.wins}, losses {tally.losses}, neither {tally.neither}"
    better = f"{met.other} better with {100 * met.sure:.1f} %"
    return f"{names}: {counts}: {better}" + (" (undecided)" if met.decided == "undecided" else "")


def _plain(met: Met) -> str | None:
    """Return the better of the two by name; "undecided", or None while it is being asked."""
    return {"adapted": met.other, "source-only": met.kept}.get(met.decided or "", met.decided)


def folders_of(given: Sequence[Path]) -> list[Path]:
    """Return the run directories to choose from.

    They are those given, and of a comparison those that it ranked, in order.

    Raises:
        HubtlError: for a folder without a model.
    """
    found: list[Path] = []
    for folder in given:
        if (folder / compare.FILE).is_file():
            try:
                entrants = json.loads((folder / compare.FILE).read_text(encoding="utf-8"))["entrants"]
                found += [folder / one["strategy"] for one in entrants if not one["failed"]]
            except (ValueError, KeyError, TypeError) as error:
                raise HubtlError(f"the comparison in {folder} is not finished", hint="hubtl compare, again") from error
        else:
            found.append(folder)
    return list(dict.fromkeys(found))


@minded()
def begin(folders: Sequence[Path], rule: Rule, *, home: Path | None = None) -> Candidates:
    """Open several finished runs of one target: their answers, and the rows of disagreement.

    Args:
        folders: the run directories.
        rule: when asking ends.
        home: the folder of the answers; by default the first run directory.

    Raises:
        HubtlError: for runs that are not finished, of different targets or with different outputs.
    """
    records = [check(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        check_asks(record, folder)
    for folder, record in zip(folders[1:], records[1:], strict=True):
        _check_alike(folders[0], records[0], folder, record)
    models = [saved.load(folder) for folder in folders]
    target = target_of(folders[0], records[0], models[0])
    every, answered = seen_by(models, target, records[0])
    task = models[0].task
    apart = np.zeros(len(every), dtype=bool)
    for other in answered[1:]:  # two that differ are not both alike the first
        apart |= task.disagree(answered[0], other)
    place = {int(position): at for at, position in enumerate(every)}
    learnt = {row for record in records for row in learnt_rows(record, target, task)}
    number = rowlabels.row_numbers(target.train, range(len(target.train)))
    askable = [p for p in drawn(target, rule) if p in place and int(number[p]) not in learnt]
    order = [p for p in askable if apart[place[p]]]
    if not askable:
        raise HubtlError(
            "every target row with a label was learnt from: none is left to ask for",
            hint="runs that read no label of the target, or hubtl evaluate on other rows",
        )
    if not order:
        raise HubtlError(
            f"the models answer alike to every target row ({len(askable):,})" + " that none learnt from" * bool(learnt),
            hint="nothing: any of them will do",
        )
    at = [place[position] for position in order]
    answers = Answers(home or folders[0])
    both = answered[0][at], answered[1][at]
    whole = Labelling(folders[0], records[0], task, target, np.array(order), both, len(askable), rule, answers)
    return Candidates(_called(folders), whole, [said_[at] for said_ in answered])


def _called(folders: Sequence[Path]) -> list[str]:
    """Return each folder's last name. Where two are equal, it is the whole path."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [shown.line(folder) for folder in folders]


def _check_alike(first: Path, one: RunRecord, folder: Path, other: RunRecord) -> None:
    if one.target.fingerprint != other.target.fingerprint or one.target.columns != other.target.columns:
        raise HubtlError(f"the runs in {first} and {folder} have different targets", hint="runs on one target")
    if (one.task, one.outputs.names) != (other.task, other.outputs.names):
        raise HubtlError(f"the models in {first} and {folder} do not answer with the same", hint="runs of one task")
