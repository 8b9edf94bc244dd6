"""The suite for a task: it reads labels, makes a loss of them that can be learnt, answers, and judges."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hubtl import plugins
from hubtl.data.labels import Labels
from hubtl.errors import HubtlError
from hubtl.record import Evaluation, Figures, LabelSets, Metric
from hubtl.run.prepare import head_of
from hubtl.tasks import Answer, Task
from hubtl.testing.kinds.suite import Suite, declared, documented

WIDTH, ROWS, STEPS = 64, 40, 150
CLOSE = 1e-4


class TaskSuite(Suite):
    """Check one task, on a few rows and features of noise.

    Args:
        cls: the task.
        dataset: a ``datasets.Dataset`` with labels of the task; by default the first of some usual ones that it reads.
        column: its label column, where the task does not find it.
        **options: options of the task.

    Raises:
        HubtlError: for a dense task.
    """

    kind = "tasks"
    mends: ClassVar[Mapping[str, str]] = {
        "documents": 'write a docstring, name = "…" and Figures = a subclass of hubtl.record.Figures with task: Literal["…"]',
        "reads": "find() names the label columns, read() returns Labels with an array for each split, present() says which "
        "rows have one",
        "relates": "relate() works with and without a target; targets() turns labels of a domain into those of the model",
        "learns": "losses(outputs, labels) returns the loss [b] of each row, finite and with a gradient",
        "answers": "decode(names, outputs) returns an Answer for each row; row() has plain values that JSON takes",
        "judges": "meter() collects batches and judges all rows alike; score() is 1 at best",
        "records": "Figures holds plain values; primary() and rows() return Metrics, the primary one first",
        "names": "picks, scores, voters and oracle name strategies and validators that hubtl list has",
    }

    def __init__(self, cls: type[Task], dataset: Any = None, column: str | None = None, **options: Any) -> None:
        if getattr(cls, "dense", False):
            raise HubtlError(
                f"the suite of tasks looks at one answer a row, and {cls.__name__} is dense",
                hint="hubtl.testing.tasks.runs(METHOD, TASK) trains a method on it",
            )
        self.cls, self.column, self.options = cls, column, options
        self._given = dataset

    def _task(self) -> Task:
        return self.cls(options=self.cls.Options(**self.options))

    @cached_property
    def dataset(self) -> tuple[Any, list[str]]:
        """The dataset and its label columns."""
        said = []
        for name, dataset, asked in (
            [("the dataset", self._given, self.column)] if self._given is not None else _usual()
        ):
            try:
                columns, passed = self._task().find(dataset, asked, name)
                if columns and self._task().present(self._read(dataset, columns).values[0]).any():
                    return dataset, list(columns)
                said += [f"{name}: {'; '.join(passed) or 'no label column is found'}"]
            except HubtlError as error:
                said.append(f"{name}: {error}")
        raise AssertionError(f"no labels are read: {' | '.join(said)}; give the suite a dataset of its own")

    def _read(self, dataset: Any, columns: list[str]) -> Labels:
        half = len(dataset) // 2
        parts = [dataset.select(range(half)), dataset.select(range(half, len(dataset)))]
        return self._task().read(parts, columns, "the dataset", ["train", "test"], None)

    @cached_property
    def labels(self) -> Labels:
        return self._read(*self.dataset)

    def _made(self) -> tuple[Task, np.ndarray]:
        """Return a run's task and the labels of labelled rows. They are the model's labels."""
        task = self._task()
        related = task.relate(self.labels.outputs, self.labels.outputs)
        task.outputs = related.outputs
        targets = task.targets(self.labels.values[0], self.labels.outputs, related.outputs)
        targets = targets[task.present(targets)]
        task.learn(targets)
        return task, targets

    def documents(self) -> None:
        """The class has a docstring, a name, and figures of its task."""
        declared(self.kind, self.cls)
        documented(self.cls)
        assert str(getattr(self.cls, "name", "")), "it has no name"
        assert issubclass(self.cls.Figures, Figures), f"Figures is {self.cls.Figures!r}"
        field = self.cls.Figures.model_fields["task"]
        assert field.default == self.cls.name, (
            f"the figures say that they are of {field.default!r}, not {self.cls.name!r}"
        )

    def reads(self) -> None:
        """It finds the label column, and reads the labels of every split."""
        dataset, _ = self.dataset
        sizes = [len(values) for values in self.labels.values]
        assert sizes == [len(dataset) // 2, len(dataset) - len(dataset) // 2], f"labels of {sizes} rows"
        names = self.labels.outputs.names
        assert names, "there are no outputs"
        assert all(name and isinstance(name, str) for name in names), f"the outputs are called {names}"
        assert len(set(names)) == len(names), f"two outputs of the same name: {names}"
        there = self._task().present(self.labels.values[0])
        assert there.dtype == bool, f"present() gives {there.dtype}, not bool"
        assert there.shape == (sizes[0],), f"present() gives {there.shape} for {sizes[0]} rows"

    def relates(self) -> None:
        """It relates the labels of one domain, or of two, to outputs. It turns labels into the model's."""
        own = self.labels.outputs
        for source, target in ((own, None), (own, own), (None, own)):
            related = self._task().relate(source, target)
            assert related.outputs.names, "a model without outputs"
            assert isinstance(related.relation, LabelSets), f"the relation is {type(related.relation).__name__}"
            found = self._task().targets(self.labels.values[0], own, related.outputs)
            assert len(found) == len(self.labels.values[0]), (
                f"{len(found)} targets of {len(self.labels.values[0])} rows"
            )

    def learns(self) -> None:
        """A linear head learns a few rows' labels by its loss. Its score does not fall."""
        task, targets = self._made()
        torch.manual_seed(0)
        features = torch.randn(len(targets), WIDTH)
        head, labels = head_of(task, WIDTH), torch.from_numpy(targets)
        each = task.losses(head(features), labels)
        assert each.shape == (len(targets),), f"losses of shape {tuple(each.shape)} for {len(targets)} rows"
        assert bool(each.isfinite().all()), "losses that are not finite"
        total = task.loss(head(features), labels).detach()
        assert torch.allclose(total, each.detach().mean(), atol=CLOSE), "loss is not the mean of losses"
        before = task.score(head(features).detach(), targets)
        optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
        for _ in range(STEPS):
            optimizer.zero_grad()
            task.loss(head(features), labels).backward()
            optimizer.step()
        with torch.no_grad():
            outputs = head(features)
            last = float(task.loss(outputs, labels))
        assert last < float(total), f"the loss does not fall: {float(total):.4f}, then {last:.4f}"
        after = task.score(outputs, targets)
        assert before - CLOSE <= after <= 1 + CLOSE, f"the score goes from {before:.3f} to {after:.3f} while it learns"

    def answers(self) -> None:
        """It answers every row with plain values."""
        task, targets = self._made()
        outputs = self._outputs(task, len(targets))
        names = [f"row {i}" for i in range(len(outputs))]
        found = task.decode(names, outputs)
        assert len(found) == len(outputs), f"{len(found)} answers for {len(outputs)} rows"
        assert all(isinstance(answer, Answer) for answer in found), "what is no hubtl.tasks.Answer"
        assert [answer.input for answer in found] == names, "answers of other rows"
        for answer in found:
            assert "input" in answer.row(), f"row() has no input: {answer.row()}"
            json.dumps([answer.row(), answer.table()])
            answer.said()
            assert all(0 <= bar.share <= 1 for bar in answer.bars()), "a bar that is no share"

    def judges(self) -> None:
        """Rows in batches have the figures of all at once. Rows without labels have none."""
        task, targets = self._made()
        outputs = self._outputs(task, len(targets))
        whole = task.evaluation(outputs, targets)
        meter = task.meter()
        for part in np.array_split(np.arange(len(targets)), 3):
            meter.update(outputs[part], targets[part])
        parts = meter.result()
        assert whole.n == parts.n == len(targets), f"{len(targets)} rows, {whole.n} at once, {parts.n} in batches"
        ours, theirs = _numbers(whole), _numbers(parts)
        assert ours.keys() == theirs.keys(), "other figures in batches"
        odd = [name for name in ours if not _close(ours[name], theirs[name])]
        assert not odd, f"in batches another {odd[0]}: {theirs[odd[0]]}, at once {ours[odd[0]]}"
        assert whole.value is not None, "labelled rows have no primary figure"
        blind = task.evaluation(outputs, None)
        assert blind.value is None, "rows without labels have a primary figure"
        assert np.isfinite(task.score(outputs, targets)), "a score that is not finite"

    def records(self) -> None:
        """Its figures stay equal when written and read. They list the primary one first."""
        task, targets = self._made()
        whole = task.evaluation(self._outputs(task, len(targets)), targets)
        assert whole.figures is not None, "an evaluation without figures"
        again = self.cls.Figures.model_validate(json.loads(whole.figures.model_dump_json()))
        assert again.numbers() == whole.figures.numbers(), "other figures after they were written and read"
        listed, primary = whole.figures.rows(), whole.figures.primary()
        assert listed, "rows() is empty"
        assert all(isinstance(metric, Metric) for metric in listed), "rows() are no metrics"
        assert primary is not None, "primary() is None"
        assert listed[0].name == primary.name, f"rows() begin with {listed[0].name}, and primary() is {primary.name}"
        known = task.primary()
        assert known.name == primary.name, f"primary() of the task is {known.name}, of its figures {primary.name}"

    def names(self) -> None:
        """The strategies and validators that it names are installed. They work without probabilities where it has none."""
        strategies = [name for name, _ in self.cls.picks.values()] + list(self.cls.members)
        for kind, names in (
            ("strategies", strategies),
            ("validators", [*self.cls.scores, *self.cls.voters, self.cls.oracle]),
        ):
            for name in dict.fromkeys(names):
                found = plugins.load(kind, name)
                fits = self.cls.probabilities or "probabilities" not in found.needs or getattr(found, "lenient", False)
                assert fits, f"{name} needs probabilities, and the task has none"

    def _outputs(self, task: Task, n: int) -> Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            found: Tensor = nn.Linear(WIDTH, len(task.outputs.names))(torch.randn(n, WIDTH))
        return found


def _usual() -> Iterator[tuple[str, Any, str | list[str] | None]]:
    """Datasets with labels as most have them: their name, rows, and the columns to ask for."""
    from datasets import Dataset

    rng = np.random.default_rng(0)
    whole = rng.integers(0, 5, 2 * ROWS)
    whole[:5] = whole[ROWS : ROWS + 5] = np.arange(5)
    kinds = [f"kind {i}" for i in range(5)]
    yield "names", Dataset.from_dict({"label": [kinds[i] for i in whole]}), "label"
    yield "whole numbers", Dataset.from_dict({"label": whole.tolist()}), "label"
    yield "numbers", Dataset.from_dict({"label": (whole + rng.random(2 * ROWS)).tolist()}), "label"
    yield "lists", Dataset.from_dict({"label": [[kinds[i], kinds[(i + 1) % 5]][: 1 + i % 2] for i in whole]}), "label"
    columns = {"a": (whole % 2).tolist(), "b": (whole // 2 % 2).tolist()}
    yield "columns of 0 and 1", Dataset.from_dict(columns), ["a", "b"]


def _numbers(found: Evaluation) -> dict[str, float | int | None]:
    return found.figures.numbers() if found.figures else {}


def _close(a: float | int | None, b: float | int | None) -> bool:
    return a is b if a is None or b is None else abs(a - b) <= CLOSE * max(1.0, abs(a))
