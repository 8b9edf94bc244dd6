"""Ask for labels of rows on which two models disagree. It ends when one is clearly better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.data import rowlabels
from hubtl.data.content import undecoded
from hubtl.data.reading import open_rows
from hubtl.data.sources import Domain, open_domain
from hubtl.engine.device import make_accelerator
from hubtl.engine.sweep import finite, outputs
from hubtl.errors import HubtlError
from hubtl.judging.asking import MOST, Decided, Tally, decided
from hubtl.models import saved
from hubtl.models.model import AdaptedModel
from hubtl.plugins import modalities
from hubtl.plugins.blame import minded
from hubtl.recipe.reading import parse
from hubtl.recipe.schema import RunSection
from hubtl.record import Asked, Outputs, RunRecord, Verified
from hubtl.run import ship
from hubtl.run.prepare import task_of
from hubtl.run.resume import check_same_rows
from hubtl.run.workplace import changing
from hubtl.studies.amend import check, check_asks
from hubtl.studies.answers import Answer, Answers
from hubtl.tasks import Task

ORDER = 86_028_121  # added to the seed: no other draw has these numbers
FOUND = {1: "win", 0: "neither", -1: "loss"}


def _names_files(modality: str) -> bool:
    """Return whether what is shown of a modality names a file; words are not kept outside of the data."""
    known = modalities.known(modality)
    return known is None or not known.words


@dataclass(frozen=True)
class Rule:
    """Define when asking ends."""

    prior: str = "helps"
    certain: float | None = None
    most: int = MOST
    seed: int = 0  # of the order of the rows

    def decided(self, tally: Tally) -> Decided | None:
        return decided(tally, prior=self.prior, certain=self.certain, most=self.most)


@dataclass(frozen=True)
class Question:
    """Hold a row to label."""

    row: int  # its number in the data as they were opened
    shown: Mapping[str, str]  # modality -> text, or the name of a file
    cells: Mapping[str, Any]  # modality -> what is in its cell, not decoded

    @property
    def name(self) -> str:
        """Return the name of its file, where it has one; words are not stored outside of the data."""
        return next((name for m, name in self.shown.items() if _names_files(m)), "")


@dataclass
class Labelling:
    """Ask for labels of one run.

    ``order`` are positions in ``target.train`` on which ``models`` disagree.
    """

    folder: Path
    record: RunRecord
    task: Task
    target: Domain
    order: np.ndarray
    said: tuple[np.ndarray, np.ndarray]  # what source-only and adapted answer to the rows of ``order``
    rows: int  # of the target's training stream
    rule: Rule
    answers: Answers
    _labels: dict[str, np.ndarray] = field(default_factory=dict)  # by text: a text is read once

    @cached_property
    def numbers(self) -> list[int]:
        """Return the number of each row of ``order`` in the data."""
        return [int(number) for number in rowlabels.row_numbers(self.target.train, self.order.tolist())]

    @property
    def share(self) -> float:
        """Return the share of all rows on which the models disagree."""
        return len(self.order) / max(1, self.rows)

    def question(self, place: int) -> Question:
        """Return the row at a position of the order."""
        position = int(self.order[place])
        columns = self.target.columns
        (shown,) = rowlabels.shown(self.target.train, columns, [position])
        row = undecoded(self.target.train.select_columns(list(columns.values())).with_format(None))[position]
        return Question(self.numbers[place], shown, {m: row[column] for m, column in columns.items()})

    def current(self) -> Question | None:
        """Return the next row to ask for; None where it is decided, or no row is left."""
        place = len(self._met())
        if self.rule.decided(self.tally) is not None or place == len(self.order):
            return None
        return self.question(place)

    def answer(self, question: Question, text: str) -> None:
        """Store a label.

        Raises:
            HubtlError: for text that is no label.
        """
        label = self.task.typed(text)
        self.answers.give(Answer(question.row, question.name, self.task.spelt(label, text)))

    def skip(self, question: Question) -> None:
        """Skip a row that nobody can label."""
        self.answers.give(Answer(question.row, question.name, None))

    def undo(self) -> Answer | None:
        """Remove the last answer, so that its row is asked for again; None where there is none."""
        mine = set(self.numbers)
        return self.answers.take_back(lambda answer: answer.row in mine)

    def take(self, given: Sequence[rowlabels.Given], path: Path) -> int:
        """Read labels from a file; return their number.

        Empty ones before the last label count as skipped.

        Args:
            given: the rows of the file.
            path: the file, for errors.

        Raises:
            HubtlError: for a row that was not asked for, one with other content, and text that is no label.
        """
        place = {number: place for place, number in enumerate(self.numbers)}
        rowlabels.positions(given, self.target.train, self.target.columns, path)
        for one in given:
            if one.row not in place:
                raise HubtlError(
                    f"{path.name}, line {one.line}: row {one.row} was not asked for: both models say the same of it",
                    hint="a file as hubtl label RUN --export writes it",
                )
            try:
                _ = one.label and self.task.typed(one.label)
            except HubtlError as error:
                raise HubtlError(f"{path.name}, line {one.line}, row {one.row}: {error}", hint=error.hint) from error
        ordered = sorted(given, key=lambda one: place[one.row])
        last = max((place[one.row] for one in ordered if one.label), default=-1)
        for one in ordered:
            before = self.answers.of(one.row)
            own = (m for m in one.shown if m in self.target.columns and _names_files(m))
            name = next((one.shown[m] for m in own), "")
            if one.label:
                spelt = self.task.spelt(self.task.typed(one.label), one.label)
                if before is None or before.label != spelt:
                    self.answers.give(Answer(one.row, name, spelt))
            elif place[one.row] < last and before is None:
                self.answers.give(Answer(one.row, name, None))
        return sum(bool(one.label) for one in given)

    def export(self, path: Path) -> int:
        """Write the next rows to label into a file, with known labels; return their number."""
        skipped = sum(answer.label is None for answer in self._met())
        count = min(len(self.order), self.rule.most + skipped)
        cells = rowlabels.shown(self.target.train, self.target.columns, self.order[:count].tolist())
        known = (self.answers.of(row) for row in self.numbers)
        labels = [answer.label or "" if answer else "" for _, answer in zip(range(count), known, strict=False)]
        rowlabels.write(path, zip(self.numbers, cells, labels, strict=False), list(self.target.columns))
        return count

    @property
    def tally(self) -> Tally:
        """Return the tally of the labels so far."""
        found = [self._found(place, answer) for place, answer in enumerate(self._met())]
        return Tally(*(sum(f == FOUND[sign] for f in found) for sign in (1, -1, 0)))

    def verified(self) -> Verified:
        """Return the evidence of the labels and their rows, for a record."""
        tally, rule = self.tally, self.rule
        answer = rule.decided(tally) or "undecided"
        evidence = max(tally.evidence(), tally.swapped().evidence())
        return Verified(
            answer=answer,
            wins=tally.wins,
            losses=tally.losses,
            neither=tally.neither,
            probability=tally.better(rule.prior),
            evidence=evidence if rule.certain is not None else None,
            gain=tally.gain(self.share),
            disagreement=self.share,
            disagreeing=len(self.order),
            prior=rule.prior,
            certain=rule.certain,
            most=rule.most,
            seed=rule.seed,
            before=ship.own_choice(self.record),
            rows=[
                Asked(row=answer.row, label=answer.label, found=self._found(place, answer))
                for place, answer in enumerate(self._met())
            ],
        )

    def close(self) -> Verified | None:
        """Write the evidence into record and card. The model that it favours is shipped.

        Returns None without labels. Undecided labels leave the choice to the run. Answers that another process stored
        meanwhile count.

        Raises:
            HubtlError: where another process is at work in the directory.
        """
        with changing(self.folder):
            self.answers, self.record = Answers(self.folder), check(self.folder)
            found = self.verified()
            if not found.n and self.record.verified is None:
                return None
            chosen = ship.own_choice(self.record) if found.answer == "undecided" else found.answer
            self.record = ship.ship(self.folder, chosen, found if found.n else None)
        return found

    def _met(self) -> list[Answer]:
        """Return the answers up to the first row without one.

        Rows beyond it were asked for another pair of models.
        """
        found = []
        for row in self.numbers:
            if (answer := self.answers.of(row)) is None:
                break
            found.append(answer)
        return found

    def _found(self, place: int, answer: Answer) -> Any:
        if answer.label is None:
            return None
        if answer.label not in self._labels:
            self._labels[answer.label] = self.task.typed(answer.label)
        one, other = (said[place : place + 1] for said in self.said)
        return FOUND[int(self.task.nearer(one, other, self._labels[answer.label][None])[0])]


@minded()
def begin(run: str | Path, rule: Rule) -> Labelling:
    """Open a finished run for labelling: both models, and the rows on which they disagree.

    The rows come in a random order. The target's own labels are not read. Only in a run of an earlier hubtl they serve
    to leave out the rows that were learnt from.

    Args:
        run: the run directory.
        rule: when asking ends.

    Raises:
        HubtlError: for a run that is not finished or has one model, and for data that have changed since.
    """
    folder = Path(run).expanduser()
    check_asks(check(folder), folder)
    with changing(folder):  # of a folder whose models another process swaps, either would be taken for the other
        ship.mend(folder)
        record = check(folder)
        found = ship.pair(folder, record)
        models = [saved.load(found[which]) for which in (ship.SOURCE_ONLY, ship.ADAPTED)]
    target = target_of(folder, record, models[1])
    every, (one, other) = seen_by(models, target, record)
    apart = models[1].task.disagree(one, other)
    place = {int(position): place for place, position in enumerate(every)}
    learnt = learnt_rows(record, target, models[1].task)  # a row that was learnt from says nothing of the others
    number = rowlabels.row_numbers(target.train, range(len(target.train)))
    other_rows = [
        position for position in drawn(target, rule) if position in place and int(number[position]) not in learnt
    ]
    order = [position for position in other_rows if apart[place[position]]]
    if not order:
        raise HubtlError(
            f"source-only and adapted answer alike on every target row ({len(other_rows):,}) of {folder}"
            + " that neither learnt from" * bool(learnt),
            hint="nothing: either model will do",
        )
    at = [place[position] for position in order]
    answers = Answers(folder)
    task = models[1].task
    return Labelling(
        folder, record, task, target, np.array(order), (one[at], other[at]), len(other_rows), rule, answers
    )


def drawn(target: Domain, rule: Rule) -> list[int]:
    """Return the positions of the target's training rows in random order."""
    order: list[int] = np.random.default_rng([ORDER, rule.seed]).permutation(len(target.train)).tolist()
    return order


def learnt_rows(record: RunRecord, target: Domain, task: Task) -> set[int]:
    """Return the numbers of the rows whose labels were learnt from.

    They are sampled again where the record has only their count.
    """
    k = record.target_few
    if record.target_told or target.labels is None or target.outputs is None:
        return set(record.target_told)
    if k is not None:
        labels = task.targets(target.labels, target.outputs, task.outputs, task.unknown)
        seed = record.recipe.get("run", {}).get("seed", 0)
        rows = task.few(labels, k, np.random.default_rng([seed, k]))
    elif record.target_labels == "training":
        rows = np.flatnonzero(~task.unlabelled(target.labels))
    else:
        return set()
    return set(rowlabels.row_numbers(target.train, rows.tolist()).tolist())


def target_of(folder: Path, record: RunRecord, model: AdaptedModel) -> Domain:
    """Open the target of a run as the run did."""
    recipe = parse(record.recipe)
    names = [name for number, name in enumerate(model.names) if number != model.task.unknown]
    known = None if recipe.source is None else Outputs(names=names, details=model.task.outputs.details)
    takes = model.info.modalities
    opened = open_domain(recipe.target, recipe.data, task_of(recipe), role="target", modalities=takes, known=known)
    check_same_rows("target", record.target, opened.facts, folder)
    return opened


def seen_by(models: Sequence[AdaptedModel], target: Domain, record: RunRecord) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the positions of readable rows, and each model's answers to them."""
    bad = record.recipe.get("data", {}).get("on_bad_sample", "error")
    accelerator = make_accelerator(RunSection(), None)
    name, said = f"{target.facts.dataset}/train", []
    for model in models:
        places = np.arange(len(target.train))
        rows = open_rows(model.backbone, target.train, target.columns, labels=places, name=name, on_bad_sample=bad)
        seen = finite(outputs(model.classifier, rows, accelerator), name)
        said.append(model.task.answered(seen.logits))
        every = rows.labels
    assert every is not None
    return every, said
