"""Define the contract of every transfer and adaptation method, on one screen.

A method turns mini-batches into losses (``step``) and, where it has stages, says which groups learn in each
(``phases``). The engine does the rest: devices, precision, accumulation, freezing, optimisers, schedules, checkpoints,
evaluation.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from hubtl.batch import Batch, Features, join
from hubtl.modules import Classifier, Encoder, reverse_gradient
from hubtl.plugins.blame import broken
from hubtl.recipe.bounded import Bounded
from hubtl.tasks import Task

Learner = nn.Module | Iterable[nn.Parameter]


class Swept(NamedTuple):
    """Hold the deployed model's outputs on a whole stream. They are in dataset order, on the CPU."""

    features: Tensor  # [n, d] pooled
    logits: Tensor  # [n, c]
    labels: Tensor | None  # [n]; None where the stream is sealed


Sweep = Callable[[str], Swept]


@dataclass(frozen=True)
class Judging:
    """Declare how a method's runs may be judged; ``a | b`` holds for both methods together.

    Attributes:
        improves: validators that the method's own loss optimises directly; they do not count for this method.
        forgets_source: the deployed model serves the target only, so that its source accuracy means nothing.
        calibrated: the head is calibrated by temperature unless the user says otherwise, where there are rows to fit
            the temperature on.
    """

    improves: Collection[str] = frozenset()  # kept as a frozenset
    forgets_source: bool = False
    calibrated: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.improves, str):  # a text is one name, not letters: refused when the method is loaded
            object.__setattr__(self, "improves", frozenset(self.improves))

    def __or__(self, other: "Judging") -> "Judging":
        return Judging(
            frozenset(self.improves) | frozenset(other.improves),
            self.forgets_source or other.forgets_source,
            self.calibrated or other.calibrated,
        )


class StrategyOptions(Bounded):
    """Hold a method's own options. Command line, validation, recipes, docs and card use them."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class Progress:
    """Describe the progress of a run. Schedules read it, never a counter in a module."""

    phase: int
    epoch: int
    step: int  # updates done in this phase
    fraction: float  # of the phase, 0..1
    reversal: float = 1.0  # factor on the strength of reversed gradients, where a run adjusts itself
    added: float = 1.0  # factor on what is learnt from the target without labels


@dataclass(frozen=True)
class Loss:
    """Hold one update's loss and the groups that learn from it."""

    total: Tensor  # scalar
    by: tuple[str, ...] | None = None  # groups that learn from it; None: every group of the phase
    logs: Mapping[str, Tensor] = field(default_factory=dict)  # scalars to show


@dataclass(frozen=True)
class Phase:
    """Describe a stage of a run: the streams it reads and the groups that learn.

    An unlisted stream is never opened; an unlisted module is frozen and in eval mode.

    ``sees`` names streams, or maps each to the random views (``weak``, ``strong``) that the step asks for by
    ``batch.view(name)``: ``{"source": (), "target": ("weak", "strong")}``. Other views are not made.
    """

    name: str
    step: Callable[..., Iterator[Loss]]  # called as step(**{stream: Batch}, at=Progress)
    sees: Sequence[str] | Mapping[str, Sequence[str]]
    learns: Mapping[str, Learner]
    steps: int | None = None  # updates; None: epochs, or a share of the run's steps
    share: float = 1.0
    epochs: float | None = None  # passes over the largest stream
    lr: Mapping[str, float] = field(default_factory=dict)  # group -> factor on its learning rate; missing: 1
    momentum: Mapping[str, float] = field(default_factory=dict)  # group -> its own; missing: the run's
    refresh: Callable[[Sweep, Progress], None] | None = None  # before each epoch
    refreshes: int | None = None  # at least so many in the phase, evenly, where it has fewer epochs

    @property
    def views(self) -> dict[str, tuple[str, ...]]:
        """Return the random views that the step asks for, by stream."""
        if isinstance(self.sees, Mapping):
            return {stream: tuple(views) for stream, views in self.sees.items()}
        return dict.fromkeys(self.sees, ())


def views_of(phases: Iterable[Phase]) -> dict[str, tuple[str, ...]]:
    """Return the random views that some phases ask for, by stream."""
    found: dict[str, tuple[str, ...]] = {}
    for phase in phases:
        for stream, views in phase.views.items():
            found[stream] = tuple(dict.fromkeys((*found.get(stream, ()), *views)))
    return found


@dataclass(frozen=True)
class Pair:
    """Hold a source and a target batch with their features and logits."""

    source: Batch
    target: Batch
    zs: Tensor  # [n, d] pooled features
    zt: Tensor  # [m, d]
    ys: Tensor  # [n, c] logits
    yt: Tensor  # [m, c]
    number: int = 0  # of the source domain, where there are several

    @property
    def sites(self) -> int:
        """Return the rows of features for each input: 1 unless the model is dense."""
        return len(self.zt) // max(1, len(self.target))

    def of(self, domain: int) -> "Pair":
        """Return the rows of one source domain, and all target rows."""
        assert self.source.domain is not None
        rows = self.source.domain == domain
        sites = rows.repeat_interleave(self.sites)
        return replace(self, source=self.source.select(rows), zs=self.zs[sites], ys=self.ys[sites], number=domain)


class Strategy(nn.Module):
    """Turn mini-batches into losses: the base class of every method.

    Its direct children are networks, each of which the engine wraps for its devices. A subclass writes ``step``; its
    docstring begins with one line of claim, then the formula, and says where it deviates from its paper. ``source`` and
    ``target`` batches may differ in size. The class axis of logits is dim 1.

    Args:
        encoder: backbone and bottleneck.
        head: maps pooled features [b, d] to outputs [b, c].
        task: the task, with its supervised loss.
        options: parsed options; None takes the defaults.

    Attributes:
        Options: the method's own options.
        paper: ``arXiv:NUMBER`` or an address.
        settings: where it works: ``adaptation`` (a labelled source, an unlabelled target), ``transfer`` (a labelled
            target alone), ``source-free`` (a classifier, an unlabelled target), ``sequential`` (both labelled).
        defaults: recipe keys that the method sets unless the user does.
        judging: how its runs may be judged.
        suits: relations of the domains that it is made for, each with the options that this relation changes. Other
            relations give a warning. Options of the user take precedence.
        ablations: its parts by name, each with the options that leave it out (``hubtl ablate``).
        needs: what it reads of the model: ``features``, and ``probabilities`` if it takes a softmax, an argmax or an
            entropy of the outputs. A method that needs probabilities is refused for tasks without them. ``sites``: it
            works on grids of predictions, and is refused unless the task is dense; ``rows``: it holds or matches one
            row for each input, and is refused for dense tasks.
        unknown: it learns one more output, ``task.unknown``, for rows of none of the source's classes.
        trains_backbone: False if no phase trains the backbone or changes its statistics. Inputs are then read once,
            without random views, and the baseline beside an adaptation freezes the backbone, too.
        moves_features: False if its losses are of outputs alone, so that a linear head on a frozen backbone can adapt.
        setting: the setting of this run, set before ``phases`` is called.
    """

    Options: ClassVar[type[StrategyOptions]] = StrategyOptions
    paper: ClassVar[str | None] = None
    settings: ClassVar[tuple[str, ...]] = ("adaptation",)
    defaults: ClassVar[Mapping[str, Any]] = {}
    judging: ClassVar[Judging] = Judging()
    suits: ClassVar[Mapping[str, Mapping[str, Any]]] = {"closed": {}}
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    needs: ClassVar[tuple[str, ...]] = ("features", "probabilities")
    unknown: ClassVar[bool] = False
    trains_backbone: ClassVar[bool] = True
    moves_features: ClassVar[bool] = True
    setting: str

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.task = task
        self.options: Any = options if options is not None else self.Options()
        self.setting = self.settings[0]

    def step(self, *args: Any, **kwargs: Any) -> Iterator[Loss]:
        """Yield the losses of one update after another; the number of yields is constant.

        The engine checks that it does not depend on the data.

        A strategy names what its phases see: ``step(self, source, target, *, at)``.

        Args:
            *args: none; the engine names its arguments.
            **kwargs: a ``Batch`` of each stream that the phase sees, and ``at``, the progress of the phase.
        """
        raise TypeError(f"{type(self).__name__} defines no step")

    def phases(self) -> Sequence[Phase]:
        """Return the stages of a run; by default one, in which everything learns.

        It must be pure and cheap: resuming calls it again.
        """
        sees = ("source", "target") if self.setting == "adaptation" else ("target",)
        return [Phase("adapt", self.step, sees, self.learners())]

    def deployed(self) -> Classifier:
        """Return the model that is evaluated and saved."""
        return Classifier(self.encoder, self.head)

    def learners(self) -> dict[str, Learner]:
        """Return every network by name: backbone, bottleneck, head, and the method's own."""
        encoder: Any = getattr(self.encoder, "module", self.encoder)  # a step may ask, while the encoder is wrapped
        groups: dict[str, Learner] = {"backbone": encoder.backbone}
        if encoder.bottleneck is not None:
            groups["bottleneck"] = encoder.bottleneck
        groups["head"] = self.head
        return groups | {n: child for n, child in self.named_children() if n not in ("encoder", "head")}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a state; buffers take the size that they were saved with.

        Some buffers have a row for each target row, for example. Arguments and result are those of torch.
        """
        for name, buffer in list(self.named_buffers()):
            if name in state_dict and state_dict[name].shape != buffer.shape:
                parent, _, leaf = name.rpartition(".")
                setattr(self.get_submodule(parent), leaf, buffer.new_empty(state_dict[name].shape))
        return super().load_state_dict(state_dict, *args, **kwargs)

    def encode(self, batch: Batch) -> Features:
        """Return the features of one stream, from its own forward. BatchNorm sees the stream alone."""
        features: Features = self.encoder(batch.inputs, batch.present or None)
        return features

    def encode_joint(self, *batches: Batch) -> list[Features]:
        """Return the features of several streams, from one forward. They share BatchNorm statistics."""
        together = self.encode(join(*batches))
        ends = [0]
        for batch in batches:
            ends.append(ends[-1] + len(batch))
        return [together.rows(start, stop) for start, stop in pairwise(ends)]

    def reverse(self, z: Tensor, strength: float, at: Progress) -> Tensor:
        """Return ``z`` unchanged; backward, multiply the gradient by ``−strength · at.reversal``.

        Args:
            z: features.
            strength: the factor of the method's own schedule.
            at: the progress of the phase.
        """
        return reverse_gradient(z, strength * at.reversal)


def scalar(method: Any, found: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return the added loss and its logs, checked.

    Args:
        method: the method, for the error.
        found: what ``added`` returned.

    Raises:
        HubtlError: unless they are a scalar tensor and scalar logs; a vector would be averaged silently.
    """
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping):
        values = [found[0], *found[1].values()]
        if all(isinstance(value, Tensor) and not value.ndim for value in values):
            return found
    parts = found if isinstance(found, tuple) else (found,)
    shapes = [f"a tensor of shape {tuple(p.shape)}" if isinstance(p, Tensor) else type(p).__name__ for p in parts]
    raise broken(
        method, f"adds {', '.join(shapes)}", "return a scalar tensor, and a mapping of names to scalar tensors"
    )


class Additive(Strategy):
    """Learn the source and add one loss; such methods combine by name (``cdan+mcc``).

    A subclass writes ``added``, and ``prepared`` if it changes what the forward sees. Networks of its own are direct
    children, made in ``__init__``; one that does not learn is left out of ``learners``. With several sources,
    each is compared with the target separately and the added losses are averaged. Labelled target rows are classified
    together with the source's, and do not enter the added loss. Where any combined method asks for weak views, the pair
    holds those.
    """

    joint: ClassVar[bool] = True  # both domains through one forward, BatchNorm statistics shared

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the weighted loss to add (a scalar), and scalars to log.

        Args:
            pair: features and logits of one source domain and the target.
            at: the progress of the phase.
        """
        raise TypeError(f"{type(self).__name__} defines no added loss")

    def prepared(self, source: Batch, target: Batch, *, at: Progress) -> tuple[Batch, Batch]:
        """Return both batches as the forward is to see them; called once for each batch, before it.

        Args:
            source: the source's rows.
            target: the target's rows.
            at: the progress of the phase.
        """
        return source, target

    def pair(self, source: Batch, target: Batch) -> Pair:
        """Return the features and logits of both domains.

        Args:
            source: a batch of the source.
            target: a batch of the target, without labels.

        Returns:
            Features ``zs`` [n, d] and ``zt`` [m, d] with their logits, from one forward if ``joint``, else from two.
        """
        if self.joint:
            fs, ft = self.encode_joint(source.weak(), target.weak())
        else:
            fs, ft = self.encode(source.weak()), self.encode(target.weak())
        return Pair(source, target, fs.pooled, ft.pooled, self.head(fs.pooled), self.head(ft.pooled))

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        source, target = self.prepared(source, target, at=at)
        pair = self.pair(source, target)
        task = self.task.loss(pair.ys, source.labels)
        parts = [scalar(self, self.added(part, at=at)) for part in self.pairs(pair)]
        added = torch.stack([loss for loss, _ in parts]).mean()
        logs = {name: torch.stack([said[name] for _, said in parts]).mean() for name in parts[0][1]}
        yield Loss(task + at.added * added, logs={"task": task, **logs})

    def pairs(self, pair: Pair) -> list[Pair]:
        """Return one pair of each source domain with the target."""
        if pair.source.domain is None:
            return [pair]
        return [pair.of(domain) for domain in range(max(1, len(self.task.source_domains)))]
