"""The data of a run: classes matched, and streams of which training may open only what it may read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hubtl.backbones.base import Backbone
from hubtl.data import labels as label_sets
from hubtl.data.images import ImageSet
from hubtl.data.sources import Domain
from hubtl.errors import HubtlError
from hubtl.recipe import Recipe
from hubtl.record import LabelSets
from hubtl.settings import logger
from hubtl.strategy import Strategy

NO_TARGET_LABELS = ("adaptation", "source-free")


@dataclass
class Streams:
    """The images of a run. ``train`` is all that training may open; its target is sealed when adapting."""

    train: dict[str, ImageSet]
    source_eval: ImageSet | None
    target_eval: ImageSet
    source_eval_labels: np.ndarray | None
    target_eval_labels: np.ndarray | None
    target_plain: ImageSet  # the target's training rows in the evaluation view, for scores that read no labels


def match_classes(source: Domain | None, target: Domain) -> tuple[list[str], LabelSets]:
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


def open_streams(
    recipe: Recipe,
    setting: str,
    source: Domain | None,
    target: Domain,
    classes: list[str],
    backbone: Backbone,
    cls: type[Strategy],
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

    train = {"target": with_plain(target, None if setting in NO_TARGET_LABELS else labels(target, "train"), cls.views)}
    plain = train["target"].plain
    source_eval = source_eval_labels = None
    if source is not None:
        train = {"source": with_plain(source, labels(source, "train"), cls.source_views), **train}
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


def domain_facts(domain: Domain | None, train: ImageSet | None, evaluated: ImageSet | None) -> Any:
    if domain is None or train is None:
        return None
    skipped = [*train.bad, *(evaluated.bad if evaluated is not None else [])]
    return domain.facts.model_copy(update={"skipped": skipped})


def label_warnings(relation: LabelSets, streams: Streams, cls: type[Strategy]) -> list[str]:
    warnings = []
    if relation.setting in ("open", "open-partial") and streams.target_eval_labels is not None:
        n = int((streams.target_eval_labels < 0).sum())
        listed = ", ".join(relation.target_only)
        warnings.append(f"{n} evaluation rows belong to classes that the source lacks ({listed}): they are not scored")
    if relation.setting in ("partial", "open-partial") and relation.setting not in cls.label_sets:
        listed = ", ".join(relation.source_only)
        warnings.append(f"the target lacks source classes ({listed}): methods that align whole domains may do harm")
    return warnings
