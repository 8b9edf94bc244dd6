"""Define a run as judging sees it: its rows, its task, and the relation of its labels."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hubtl.backbones.base import PixelRanges
from hubtl.data.rows import Rows
from hubtl.data.sealed import Seal
from hubtl.record import DomainFacts, LabelSets
from hubtl.strategy import Strategy
from hubtl.tasks import Task


@dataclass
class Streams:
    """Hold the rows of a run.

    ``train`` is all that training may open; its target is sealed when adapting.
    """

    train: dict[str, Rows]
    source_eval: Rows | None
    target_eval: Rows
    source_eval_labels: np.ndarray | None
    target_eval_labels: Seal | None  # the images have none: only the judge opens it
    target_plain: Rows  # the target's training rows in the evaluation view, for scores that read no labels
    ranges: PixelRanges = field(
        default_factory=PixelRanges
    )  # of the target's images of more than eight bits, else of the source's
    held_out: Rows | None = None  # labelled rows that were taken out of the target's training rows, to validate on
    few: np.ndarray | None = (
        None  # places of the target's training rows whose labels are learnt from, where they are few
    )


class Case(Protocol):
    """Describe a run to be judged; ``hubtl.run.prepare.Prepared`` is one."""

    streams: Streams
    task: Task
    relation: LabelSets
    source: DomainFacts | None
    strategy_class: type[Strategy]
