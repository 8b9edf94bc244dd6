"""Prepare a run from its recipe: data, backbone, tuner, strategy, every key decided."""

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hubtl import backbones, plugins
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.data.rowlabels import row_numbers
from hubtl.data.sources import Domain, open_domain
from hubtl.data.streams import steps_per_epoch
from hubtl.engine.contract import phases_of
from hubtl.engine.device import check_device
from hubtl.engine.feed import open_stream
from hubtl.errors import HubtlError
from hubtl.judging.case import Streams
from hubtl.models.trained import Trained, trained_classifier
from hubtl.modules import Bottleneck, Encoder
from hubtl.plugins.blame import broken, label, minded
from hubtl.recipe.reading import made, option_problems
from hubtl.recipe.schema import Recipe
from hubtl.record import Decision, DomainFacts, LabelSets, ModelFacts, Outputs, Step
from hubtl.run.auto import names, pick
from hubtl.run.decisions import Decisions, by_model, by_relation, by_rows, by_strategy
from hubtl.run.ensembles import by_members, check_members
from hubtl.run.given import given
from hubtl.run.hints import instead
from hubtl.run.lengths import by_lengths, usage
from hubtl.run.needs import check_needs
from hubtl.run.streams import (
    NO_TARGET_LABELS,
    domain_facts,
    hold_out,
    label_warnings,
    open_streams,
    relate,
)
from hubtl.run.views import by_views
from hubtl.settings import logger
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Strategy, views_of
from hubtl.tasks import Related, Task

USUAL_TASK: str = Recipe.model_fields["task"].get_default(call_default_factory=True).name
OWN_LAYERS = 1_299_709  # added to the seed, or new layers would be drawn from the numbers that drew the backbone


@dataclass
class Prepared:
    """Hold a run that is ready to start."""

    recipe: Recipe
    decisions: list[Decision]  # on what the recipe left open
    setting: str
    reason: str | None  # why "auto" picked the strategy
    strategy_class: type[Strategy]
    relation: LabelSets
    source: DomainFacts | None
    target: DomainFacts
    model: ModelFacts
    backbone: Backbone
    tuner: Any
    task: Task
    streams: Streams
    rows_per_update: int
    per_epoch: int  # updates in one pass over the largest training stream
    given: Recipe  # with what it leaves open
    classifier: nn.Linear | None = None  # of a source-free run: what the model came with
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # that the strategy's phases ask for, by stream
    learnt: list[int] = field(default_factory=list)  # numbers of the target rows whose labels are learnt from, if few
    told: str | None = None  # tells the labels that a file gave from any others
    warnings: list[str] = field(default_factory=list)

    def build(self, name: str) -> Strategy:
        """Make a strategy on a copy of the backbone; every strategy of a run starts from equal weights."""
        strategy = _built(name, self.recipe, self.setting, self.backbone, self.task, self.classifier)
        if isinstance(strategy, SourceOnly) and name != self.recipe.strategy.name:
            strategy.views = self.views.get("source", ())
        return strategy

    def epoch_steps(self, sees: Iterable[str]) -> int:
        """Return the updates in one pass over the largest of some streams."""
        return steps_per_epoch(
            {name: open_stream(self.streams.train, name, label(self.strategy_class)) for name in sees},
            self.rows_per_update,
        )


def prepare(recipe: Recipe, *, processes: int = 1) -> Prepared:
    """Open the data, load the backbone and decide open keys. Writes nothing.

    Args:
        recipe: the recipe.
        processes: the number of processes.

    Raises:
        HubtlError: for anything that does not fit together.
    """
    check_device(recipe.run)
    decisions = Decisions(recipe)
    takes = decisions.model.modalities
    task = task_of(recipe)
    common: dict[str, Any] = {"modalities": takes, "instead": partial(instead, task)}
    source = open_domain(recipe.source, recipe.data, task, role="source", **common) if recipe.source else None
    known = source.outputs if source else None
    target = open_domain(recipe.target, recipe.data, task, role="target", known=known, **common)
    setting, reason, strategy_class = _decide_strategy(decisions, source, target, task)
    recipe = decisions.recipe
    check_needs(strategy_class, recipe.strategy.name, task)
    classifier, unnamed = None, list[str]()
    torch.manual_seed(recipe.run.seed)  # what has no pretrained weights is drawn here
    if setting == "source-free":
        trained, related, target, unnamed = _trained(recipe, target, task)
        backbone, classifier = trained.backbone, trained.head
    else:
        related = relate(task, None if setting == "sequential" else source, target, open_set=strategy_class.unknown)
        if task.dense and not strategy_class.trains_backbone:
            decisions.decide(
                "model.options.decoder", "linear", f"{recipe.strategy.name} would leave another one random"
            )
        own = decisions.recipe.model
        names = related.outputs.names
        request = BackboneRequest(
            names, own.pretrained, image_size=own.image_size, options=own.options, dense=task.dense
        )
        backbone = backbones.resolve(decisions.model, request)

        def again(options: Mapping[str, Any]) -> Backbone:
            torch.manual_seed(recipe.run.seed)
            return backbones.resolve(decisions.model, replace(request, options=options))

        backbone = by_lengths(decisions, backbone, [d for d in (source, target) if d is not None], again)
    backbones.check_reopens(backbone)
    relation, task.outputs, task.unknown = related.relation, related.outputs, related.unknown
    for note in related.notes:
        logger.info("%s", note)
    by_relation(decisions, relation, strategy_class, setting)
    by_model(decisions, backbone, strategy_class, task)
    recipe = decisions.recipe
    if setting not in NO_TARGET_LABELS:
        target = target.labelled()
    target, held_out = hold_out(target, recipe.data.hold_out, setting)
    tuner = tuned(recipe, backbone)
    head_of(task, backbone.info.width)
    task.source_domains = source.facts.domains if source is not None else []
    if setting == "sequential" and source is not None:
        task.source = task_of(recipe)
        task.source.outputs = relate(task, None, source).outputs
    by_members(decisions, task, setting, relation, picked=reason is not None)
    recipe = decisions.recipe
    check_members(recipe, task, setting, came=classifier is not None)
    everyone = dict.fromkeys([recipe.strategy.name, *recipe.ensemble.members])
    phases = [p for name in everyone for p in phases_of(_built(name, recipe, setting, backbone, task, classifier))]
    views = views_of(phases)
    unused = by_views(decisions, backbone, {name for names in views.values() for name in names})
    recipe = decisions.recipe
    told = given(recipe, target, task, setting)
    streams = open_streams(recipe, setting, source, target, task, backbone, views, held_out, told)
    backbone.ranges = streams.ranges.over(backbone.ranges)
    model = _model_facts(recipe, backbone, streams)
    model.notes += usage(backbone, [d for d in (source, target) if d is not None])
    rows = recipe.run.batch_size * recipe.run.gradient_accumulation_steps * processes
    labelled, per_epoch = streams.source_eval_labels is not None, steps_per_epoch(streams.train, rows)
    by_rows(decisions, strategy_class, setting, task, labelled=labelled, per_epoch=per_epoch)
    recipe = decisions.recipe
    return Prepared(
        recipe=recipe,
        decisions=decisions.made,
        setting=setting,
        reason=reason,
        strategy_class=strategy_class,
        relation=relation,
        source=domain_facts(source, streams.train.get("source"), streams.source_eval),
        target=domain_facts(target, streams.train["target"], streams.target_eval),
        model=model,
        backbone=backbone,
        tuner=tuner,
        task=task,
        streams=streams,
        rows_per_update=rows,
        per_epoch=per_epoch,
        given=decisions.given,
        classifier=classifier,
        views=views,
        learnt=[] if streams.few is None else row_numbers(target.train, streams.few.tolist()).tolist(),
        told=None if told is None else told.mark,
        warnings=[*unnamed, *unused, *label_warnings(task, relation, streams, strategy_class)],
    )


def tuned(recipe: Recipe, backbone: Backbone) -> Any:
    """Apply the recipe's tuner to a backbone. New layers are drawn from the recipe's seed."""
    torch.manual_seed(recipe.run.seed)
    cls = plugins.load("tuners", recipe.tuner.name)
    with minded(cls, "apply"):
        tuner = cls(made(cls.Options, recipe.tuner.name, recipe.tuner.options, "tuner."))
        tuner.apply(backbone)
    for parameter in backbone.new_layers():
        parameter.requires_grad_(True)
    for parameter in backbone.frozen():
        parameter.requires_grad_(False)
    return tuner


def _built(
    name: str, recipe: Recipe, setting: str, backbone: Backbone, task: Task, classifier: nn.Linear | None
) -> Strategy:
    """Make a strategy on a copy of the backbone. New layers are drawn from the recipe's seed."""
    torch.manual_seed(recipe.run.seed + OWN_LAYERS)
    backbone = copy.deepcopy(backbone)
    width = recipe.model.bottleneck or 0
    bottleneck: nn.Module | None = Bottleneck(backbone.info.width, width) if width else None
    encoder = Encoder(backbone, bottleneck)
    cls = plugins.load("strategies", name)
    if task.unknown is not None and classifier is None and not cls.unknown:
        task = copy.copy(task)  # the baseline of an open-set run has no output that it could not learn
        task.outputs, task.unknown = Outputs(names=task.outputs.names[: task.unknown]), None
    head = head_of(task, encoder.width)
    if classifier is not None:
        head.load_state_dict(classifier.state_dict())
    own = recipe.strategy.options if name == recipe.strategy.name else {}
    with minded(cls, "its __init__"):
        strategy: Any = cls(encoder, head, task, made(cls.Options, name, own, "strategy."))
    if not isinstance(strategy, Strategy) or not hasattr(strategy, "encoder"):
        raise broken(cls, f"makes a {type(strategy).__name__} that is no strategy", "call super().__init__ first")
    strategy.setting = setting
    return strategy


def task_of(recipe: Recipe) -> Task:
    """Make the task of a recipe, before its outputs are known."""
    cls = plugins.load("tasks", recipe.task.name)
    with minded(cls, "its __init__"):
        task: Task = cls(options=made(cls.Options, recipe.task.name, recipe.task.options, "task."))
    return task


def _trained(recipe: Recipe, target: Domain, task: Task) -> tuple[Trained, Related, Domain, list[str]]:
    """Return a trained model without its source. Its outputs are matched with the target's by name.

    A model without names for its outputs has nothing to match: the target then counts as unlabelled.
    """
    name = recipe.model.name
    if not recipe.model.pretrained:
        raise HubtlError(
            f"{recipe.strategy.name} adapts a trained classifier without its source: there is none in random weights",
            hint="leave --no-pretrained out, or --source-dataset for a labelled source",
        )
    trained = trained_classifier(name, image_size=recipe.model.image_size, options=recipe.model.options)
    warnings = []
    if trained.task != task.name:
        raise HubtlError(f"{name} is a model for {trained.task}, not for {task.name}", hint=f"--task {trained.task}")
    if not trained.named and target.label_columns:
        warnings.append(
            f"{name} gives its outputs no names: they are not matched with the target's, nothing is measured"
        )
        target = replace(target, label_columns=[], outputs=None, labels=None, eval_labels=None)
    known = Outputs(names=[other for other in trained.outputs.names if other != trained.unknown])
    related = task.relate(known, target.outputs, called=f"the model {name}")
    unknown = None if trained.unknown is None else trained.outputs.names.index(trained.unknown)
    return trained, replace(related, outputs=trained.outputs, unknown=unknown), target, warnings


def head_of(task: Task, width: int) -> nn.Linear:
    """Make a new head of a task.

    Raises:
        HubtlError: for anything but a linear layer from ``width`` to the outputs.
    """
    with minded(task, "head"):
        head: Any = task.head(width)
    shape = (getattr(head, "in_features", None), getattr(head, "out_features", None))
    if not isinstance(head, nn.Linear) or shape != (width, len(task.outputs.names)):
        found = f"a layer from {shape[0]} to {shape[1]}" if isinstance(head, nn.Linear) else f"a {type(head).__name__}"
        raise broken(task, f"makes {found} for a head", f"nn.Linear({width}, {len(task.outputs.names)})")
    return head


def default_output_dir(recipe: Recipe) -> Path:
    """Return ``runs/MODEL-STRATEGY-TARGET``, with the task unless it is the default one.

    It has only characters that every file system accepts.
    """
    named = backbones.parts_of(recipe.model.name).values() or [recipe.model.name]
    parts = [*named, recipe.strategy.name, recipe.target.domain or recipe.target.dataset]
    parts += [recipe.task.name] * (recipe.task.name != USUAL_TASK)
    return Path("runs") / "-".join(re.sub(r"[^\w.]+", "-", Path(part).name).strip("-") for part in parts)


def _decide_strategy(
    decisions: Decisions, source: Domain | None, target: Domain, task: Task
) -> tuple[str, str | None, type[Strategy]]:
    """Return the setting, the reason of "auto", and the strategy.

    Raises:
        HubtlError: where they do not fit together.
    """
    recipe = decisions.given
    reason, name = None, recipe.strategy.name
    if name == "auto" and recipe.ensemble.members:
        name = recipe.ensemble.members[0]
        decisions.decide("strategy.name", name, "the first of the members")
    possible = ("adaptation", "sequential") if recipe.source else ("transfer", "source-free")
    if name == "auto":
        if source is not None:
            relation = relate(task, source, target).relation.setting
            frozen = recipe.tuner.name == "head"
            name, reason = pick(task, "adaptation", relation, decisions.model.modalities, frozen=frozen)
        else:
            blind = target.labels is None and recipe.model.pretrained and names(task, "source-free")
            # without labels and a method for that, relate() says what is missing
            name, reason = pick(task, "source-free" if blind else "transfer", "unknown")
        if problems := option_problems("strategies", name, recipe.strategy.options):
            raise HubtlError(problems[0], hint=f"hubtl show {name}")
        decisions.decide("strategy.name", name, reason)
        decisions.decide(
            "run.fallback", True, "auto ships source-only where a guard rail stands against the adapted model"
        )
    cls: type[Strategy] = plugins.load("strategies", name)
    setting = next((s for s in possible if s in cls.settings), None)
    if setting is None:
        if recipe.source and "transfer" in cls.settings:
            raise HubtlError(
                f"{name} trains on a labelled target and takes no source, but a source dataset is given",
                hint="leave --source-dataset out, or --strategy source-only to train on the source alone",
            )
        if recipe.source:
            raise HubtlError(f"{name} takes no source, but a source dataset is given", hint="leave it out")
        raise HubtlError(f"{name} needs a labelled source, and none is given", hint="add --source-dataset")
    by_strategy(decisions, name, cls, setting, task)
    recipe = decisions.recipe
    if setting == "adaptation" and not cls.trains_backbone and recipe.tuner.name != "head":
        raise HubtlError(
            f"{name} never trains the backbone, and --tuner {recipe.tuner.name} says that it should learn",
            hint="leave --tuner out, or another --strategy, such as mcc",
        )
    rule = plugins.load("validators", recipe.run.validator or "last")
    if not task.probabilities and "probabilities" in rule.needs and not rule.lenient:
        raise HubtlError(
            f"validator {recipe.run.validator} needs probabilities that sum to one, and {task.name} {task.no_probabilities}",
            hint=f"--validator last, or another one: hubtl list validators --task {task.name}",
        )
    if setting != "adaptation" and "source_labels" in rule.reads and not rule.lenient:
        why = "and none is given" if not recipe.source else f"and {name} has no model of the source's labels to judge"
        raise HubtlError(f"validator {recipe.run.validator} reads a source, {why}", hint="--validator last")
    return setting, reason, cls


def _model_facts(recipe: Recipe, backbone: Backbone, streams: Streams) -> ModelFacts:
    info = backbone.info
    notes = [*info.notes, *(n for n in {s.note for s in streams.train.values()} if n)]
    return ModelFacts(
        name=info.name,
        library=info.library,
        architecture=info.architecture,
        pretrained=info.pretrained,
        base_model=info.base_model,
        revision=info.revision,
        weights=info.weights,
        license=info.license,
        lineage=[Step(**step) for step in info.lineage],
        parameters=sum(p.numel() for p in backbone.parameters()),
        width=info.width,
        input=info.input.as_dict(),
        tuner=recipe.tuner.name,
        trained_parameters=sum(p.numel() for p in backbone.parameters() if p.requires_grad),
        parts=info.parts,
        modalities=list(info.modalities),
        notes=notes,
    )
