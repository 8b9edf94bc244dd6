"""From a recipe to everything that training needs: data, backbone, tuner, strategy, and nothing left undecided."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hubtl import backbones, plugins
from hubtl.api import trained_classifier
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.data import labels as label_sets
from hubtl.data.images import ImageSet
from hubtl.data.sources import Domain, open_domain
from hubtl.data.streams import steps_per_epoch
from hubtl.errors import HubtlError
from hubtl.modules import Bottleneck, Encoder
from hubtl.recipe import Recipe, merge, option_problems, parse
from hubtl.record import DomainFacts, LabelSets, ModelFacts
from hubtl.settings import logger
from hubtl.strategy import Strategy
from hubtl.tasks import Task

AUTO = {
    "transfer": ("finetune", "the target is labelled and there is no source"),
    "adaptation": (
        "mcc",
        "a labelled source and an unlabelled target; no critic, hence the stablest of the built-in methods",
    ),
    "source-free": ("shot", "a trained classifier, an unlabelled target and no source"),
}
NO_TARGET_LABELS = ("adaptation", "source-free")
OWN_LAYERS = 1_299_709  # added to the seed, or new layers would be drawn from the numbers that drew the backbone
SMALLEST_AUGMENTED = 64  # pixels; below, a random crop of a tenth of the image shows nothing


@dataclass
class Streams:
    """The images of a run. ``train`` is all that training may open; its target is sealed when adapting."""

    train: dict[str, ImageSet]
    source_eval: ImageSet | None
    target_eval: ImageSet
    source_eval_labels: np.ndarray | None
    target_eval_labels: np.ndarray | None
    target_plain: ImageSet  # the target's training rows in the evaluation view, for scores that read no labels


@dataclass
class Prepared:
    """A run that is ready to start."""

    recipe: Recipe
    setting: str
    reason: str | None  # why "auto" picked the strategy
    strategy_class: type[Strategy]
    classes: list[str]
    relation: LabelSets
    source: DomainFacts | None
    target: DomainFacts
    model: ModelFacts
    backbone: Backbone
    tuner: Any
    task: Task
    streams: Streams
    rows_per_update: int
    classifier: nn.Linear | None = None  # of a source-free run: what the model came with
    warnings: list[str] = field(default_factory=list)

    def build(self, name: str) -> Strategy:
        """A fresh strategy on a copy of the backbone; every strategy of a run starts from the same weights."""
        torch.manual_seed(self.recipe.run.seed + OWN_LAYERS)
        backbone = copy.deepcopy(self.backbone)
        width = self.recipe.model.bottleneck or 0
        bottleneck: nn.Module | None = Bottleneck(backbone.info.width, width) if width else None
        encoder = Encoder(backbone, bottleneck)
        head = self.task.head(encoder.width)
        if self.classifier is not None:
            head.load_state_dict(self.classifier.state_dict())
        cls = plugins.load("strategies", name)
        own = self.recipe.strategy.options if name == self.recipe.strategy.name else {}
        strategy: Strategy = cls(encoder, head, self.task, cls.Options(**own))
        strategy.setting = self.setting
        return strategy

    def epoch_steps(self, sees: Sequence[str]) -> int:
        """Updates in one pass over the largest of some streams."""
        return steps_per_epoch({name: self.streams.train[name] for name in sees}, self.rows_per_update)


def prepare(recipe: Recipe, *, processes: int = 1) -> Prepared:
    """Open the data, load the backbone and decide what the recipe left open. Writes nothing.

    Raises HubtlError for whatever does not fit together.
    """
    source = open_domain(recipe.source, recipe.data, role="source") if recipe.source else None
    target = open_domain(recipe.target, recipe.data, role="target")
    recipe, setting, reason, strategy_class = _decide_strategy(recipe, target)
    classifier = None
    torch.manual_seed(recipe.run.seed)  # what has no pretrained weights is drawn here
    if setting == "source-free":
        backbone, classifier, classes = trained_classifier(recipe.model.name)
        classes, relation = label_sets.match(classes, target.class_names)
    else:
        classes, relation = _classes(None if setting == "sequential" else source, target)
        request = BackboneRequest(classes, pretrained=recipe.model.pretrained, image_size=recipe.model.image_size)
        backbone = backbones.resolve(recipe.model.name, request)
    recipe = _decide_model(recipe, backbone, strategy_class)
    streams = _streams(recipe, setting, source, target, classes, backbone, strategy_class.views)
    rows = recipe.run.batch_size * recipe.run.gradient_accumulation_steps * processes
    recipe = _decide_length(recipe, setting, steps_per_epoch(streams.train, rows))
    torch.manual_seed(recipe.run.seed)
    tuner_class = plugins.load("tuners", recipe.tuner.name)
    tuner = tuner_class(tuner_class.Options(**recipe.tuner.options))
    tuner.apply(backbone)
    model = _model_facts(recipe, backbone, streams)
    task_class = plugins.load("tasks", recipe.task.name)
    task = task_class(classes, task_class.Options(**recipe.task.options))
    if setting == "sequential" and source is not None:
        task.source_classes = list(_classes(None, source)[0])
    return Prepared(
        recipe=recipe,
        setting=setting,
        reason=reason,
        strategy_class=strategy_class,
        classes=classes,
        relation=relation,
        source=_domain_facts(source, streams.train.get("source"), streams.source_eval),
        target=_domain_facts(target, streams.train["target"], streams.target_eval),
        model=model,
        backbone=backbone,
        tuner=tuner,
        task=task,
        streams=streams,
        rows_per_update=rows,
        classifier=classifier,
        warnings=_label_warnings(relation, streams, strategy_class),
    )


def default_output_dir(recipe: Recipe) -> Path:
    """``runs/MODEL-STRATEGY-TARGET``, in characters that every file system takes."""
    parts = [recipe.model.name, recipe.strategy.name, recipe.target.domain or recipe.target.dataset]
    return Path("runs") / "-".join(re.sub(r"[^\w.]+", "-", Path(part).name).strip("-") for part in parts)


def _decide_strategy(recipe: Recipe, target: Domain) -> tuple[Recipe, str, str | None, type[Strategy]]:
    reason, name = None, recipe.strategy.name
    possible = ("adaptation", "sequential") if recipe.source else ("transfer", "source-free")
    if name == "auto":
        labelled = target.label_column is not None and target.facts.labelled
        name, reason = AUTO["adaptation" if recipe.source else "transfer" if labelled else "source-free"]
        if problems := option_problems("strategies", name, recipe.strategy.options):
            raise HubtlError(problems[0], hint=f"hubtl show {name}")
        recipe = _changed(recipe, {"strategy.name": name})
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
    general: dict[str, Any] = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    general["model.bottleneck"] = 256 if setting == "adaptation" else 0
    general["run.validator"] = "ensemble" if setting in NO_TARGET_LABELS else "last"
    recipe = _filled(recipe, general | dict(cls.defaults))
    rule = plugins.load("validators", recipe.run.validator or "last")
    if setting != "adaptation" and "source_labels" in rule.reads and not rule.lenient:
        why = "and none is given" if not recipe.source else f"and {name} has no model of the source's classes to judge"
        raise HubtlError(f"validator {recipe.run.validator} reads a source, {why}", hint="--validator last")
    return recipe, setting, reason, cls


def _decide_model(recipe: Recipe, backbone: Backbone, cls: type[Strategy]) -> Recipe:
    size = backbone.info.input.size
    augment = recipe.data.augment
    frozen = recipe.tuner.name == "head" or not cls.trains_backbone  # its features are then worth keeping
    if augment == "auto":
        augment = "standard" if size >= SMALLEST_AUGMENTED and not frozen else "none"
    scale = 0.1 if backbone.info.pretrained else 1.0
    recipe = _filled(recipe, {"model.image_size": size, "optim.backbone_lr_scale": scale})
    return _changed(recipe, {"data.augment": augment})


def _decide_length(recipe: Recipe, setting: str, per_epoch: int) -> Recipe:
    run = recipe.run
    if run.steps is not None and run.epochs is not None:
        raise HubtlError("both steps and epochs are given", hint="give --steps or --epochs")
    epochs = run.epochs
    if run.steps is None and epochs is None and setting != "adaptation":
        epochs = 10.0
    steps = run.steps if run.steps is not None else max(1, round(epochs * per_epoch)) if epochs else 2000
    recipe = _changed(recipe, {"run.steps": steps, "run.epochs": None})
    return _filled(recipe, {"run.evaluate_every": max(1, steps // 5)})


def _classes(source: Domain | None, target: Domain) -> tuple[list[str], LabelSets]:
    if source is None:
        if target.label_column is None or target.class_names is None:
            raise HubtlError(
                f"{target.facts.dataset} has no labels, and there is nothing to learn from",
                hint="--label-column NAME, or --source-dataset for a labelled source",
            )
        return list(target.class_names), LabelSets(setting="closed", shared=list(target.class_names))
    if source.label_column is None:
        raise HubtlError(
            f"the source {source.facts.dataset} has no labels, or one class alone",
            hint="--label-column NAME; an image folder needs a sub-folder for each of at least two classes",
        )
    classes, relation = label_sets.match(source.class_names, target.class_names)
    if relation.setting not in ("closed", "unknown"):
        logger.info("%s", label_sets.describe(relation))
    return classes, relation


def _streams(
    recipe: Recipe,
    setting: str,
    source: Domain | None,
    target: Domain,
    classes: list[str],
    backbone: Backbone,
    views: tuple[str, ...],
) -> Streams:
    spec, augment = backbone.info.input, recipe.data.augment == "standard"
    bad = recipe.data.on_bad_sample

    def images(
        domain: Domain, split: str, labels: np.ndarray | None, augmented: bool, views: tuple[str, ...] = ()
    ) -> ImageSet:
        dataset = domain.train if split == "train" else domain.eval
        name = f"{domain.facts.dataset}/{split}"
        return ImageSet(
            dataset,
            domain.image_column,
            labels=labels,
            spec=spec,
            augment=augmented,
            views=views,
            name=name,
            on_bad_sample=bad,
        )

    def with_plain(domain: Domain, labels: np.ndarray | None, views: tuple[str, ...] = ()) -> ImageSet:
        """Training rows; beside random views, the same rows in the evaluation view."""
        made = images(domain, "train", labels, augment, views)
        if augment or views:
            made.plain = images(domain, "train", labels, False)
        return made

    def labels(domain: Domain, split: str) -> np.ndarray | None:
        own = list(domain.class_names or classes) if setting == "sequential" and domain is source else classes
        dataset = domain.train if split == "train" else domain.eval
        if domain.label_column is None or dataset is None:
            return None
        return label_sets.indices(dataset, domain.label_column, domain.class_names, own)

    train = {"target": with_plain(target, None if setting in NO_TARGET_LABELS else labels(target, "train"), views)}
    plain = train["target"].plain
    source_eval = source_eval_labels = None
    if source is not None:
        train = {"source": with_plain(source, labels(source, "train")), **train}
        if source.eval is not None and setting != "sequential":  # the deployed head knows the target's classes
            source_eval_labels = labels(source, "eval")
            source_eval = images(source, "eval", source_eval_labels, False)
            source_eval_labels = _kept(source_eval, source_eval_labels)
    target_eval_labels = labels(target, "eval")
    target_eval = images(target, "eval", target_eval_labels, False)
    return Streams(train, source_eval, target_eval, source_eval_labels, _kept(target_eval, target_eval_labels), plain)


def _kept(images: ImageSet, labels: np.ndarray | None) -> np.ndarray | None:
    """The labels of the rows that could be read."""
    return None if labels is None else images.labels


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
        parameters=sum(p.numel() for p in backbone.parameters()),
        width=info.width,
        input=info.input.as_dict(),
        tuner=recipe.tuner.name,
        trained_parameters=sum(p.numel() for p in backbone.parameters() if p.requires_grad),
        notes=notes,
    )


def _domain_facts(domain: Domain | None, train: ImageSet | None, evaluated: ImageSet | None) -> Any:
    if domain is None or train is None:
        return None
    skipped = [*train.bad, *(evaluated.bad if evaluated is not None else [])]
    return domain.facts.model_copy(update={"skipped": skipped})


def _label_warnings(relation: LabelSets, streams: Streams, cls: type[Strategy]) -> list[str]:
    warnings = []
    if relation.setting in ("open", "open-partial") and streams.target_eval_labels is not None:
        n = int((streams.target_eval_labels < 0).sum())
        listed = ", ".join(relation.target_only)
        warnings.append(f"{n} evaluation rows belong to classes that the source lacks ({listed}): they are not scored")
    if relation.setting in ("partial", "open-partial") and relation.setting not in cls.label_sets:
        listed = ", ".join(relation.source_only)
        warnings.append(f"the target lacks source classes ({listed}): methods that align whole domains may do harm")
    return warnings


def _filled(recipe: Recipe, defaults: Mapping[str, Any]) -> Recipe:
    """The recipe with undecided keys decided; what its user gave stays."""
    open_keys = {}
    for key, value in defaults.items():
        section, leaf = key.split(".")
        part = getattr(recipe, section)
        if getattr(part, leaf) is None or (
            leaf not in part.model_fields_set and type(part).model_fields[leaf].default is not None
        ):
            open_keys[key] = value
    return _changed(recipe, open_keys)


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    return parse(merge(recipe.model_dump(exclude_unset=True), changes))
