"""The data of a run: classes matched, and streams of which training may open only what it may read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from hubtl.backbones.base import Backbone, PixelRanges
from hubtl.batch import OF_TARGET
from hubtl.data import labels as label_sets
from hubtl.data.classes import UNKNOWN
from hubtl.data.images import ImageSet
from hubtl.data.joint import JointSet
from hubtl.data.origin import select
from hubtl.data.rows import open_rows, ranges_in_rows
from hubtl.data.sealed import kept, sealed, unsealed
from hubtl.data.slices import cut
from hubtl.data.sources import Domain
from hubtl.errors import HubtlError
from hubtl.judging.case import Streams
from hubtl.recipe.schema import Recipe
from hubtl.record import LabelSets
from hubtl.settings import logger
from hubtl.strategy import Strategy

NO_TARGET_LABELS = ("adaptation", "source-free")


def hold_out(target: Domain, share: float | None, setting: str) -> tuple[Domain, Domain | None]:
    """A labelled target without some of its training rows, and those rows as a domain; the same ones in every run.

    Raises HubtlError where the target's labels are not learnt from: there is nothing to validate then.
    """
    if not share:
        return target, None
    if setting in NO_TARGET_LABELS:
        raise HubtlError(
            "data.hold_out takes labelled rows out of the target's, and this run reads no label of its target",
            hint="leave data.hold_out out: the source's evaluation rows are validated on",
        )
    keep, taken = cut(target.train, target.label_column, share, target.labels)
    if target.labels is None or not len(taken):
        raise HubtlError(f"of {len(keep)} training rows none can be held out", hint="--no-adjust, or more rows")
    facts = target.facts.model_copy(update={"rows": len(keep), "split": f"{target.facts.split} less {share:.0%}"})
    held = replace(target, train=select(target.train, taken), labels=target.labels[taken])
    return replace(target, train=select(target.train, keep), labels=target.labels[keep], facts=facts), held


def match_classes(source: Domain | None, target: Domain) -> tuple[list[str], LabelSets]:
    """The classes of a run's model, and how those of its domains relate; of a labelled target alone its own.

    Raises HubtlError where there is nothing to learn from, or one class alone.
    """
    if source is None:
        if target.labels is None or target.class_names is None:
            raise HubtlError(
                f"{target.facts.dataset} has no labels{_why(target)}, and there is nothing to learn from",
                hint="--label-column NAME, or --source-dataset for a labelled source",
            )
        if len(target.class_names) < 2:
            only = label_sets.listed(target.class_names)
            raise HubtlError(
                f"{target.facts.dataset} has one class alone ({only}): nothing to tell apart", hint="choose other data"
            )
        return list(target.class_names), LabelSets(setting="closed", shared=list(target.class_names))
    if source.labels is None:
        raise HubtlError(
            f"the source {source.facts.dataset} has no labels{_why(source)}",
            hint="--label-column NAME; an image folder needs a sub-folder for each of at least two classes",
        )
    return label_sets.match(source.class_names, target.class_names)


def _why(domain: Domain) -> str:
    """The columns that could be the labels' and are not, in brackets."""
    return f" ({'; '.join(domain.passed)})" if domain.passed else ""


def open_streams(
    recipe: Recipe,
    setting: str,
    source: Domain | None,
    target: Domain,
    classes: list[str],
    backbone: Backbone,
    views: Mapping[str, tuple[str, ...]],
    unknown: int | None = None,
    held_out: Domain | None = None,
) -> Streams:
    """The streams of a run, with the random views that its phases ask for.

    Target rows of other classes are labelled ``UNKNOWN``, or ``unknown`` where that is a class.
    """
    augment = recipe.data.augment == "standard"
    bad = recipe.data.on_bad_sample

    def images(
        domain: Domain,
        split: str,
        labels: np.ndarray | None,
        augmented: bool,
        views: tuple[str, ...] = (),
        rows: np.ndarray | None = None,
    ) -> ImageSet:
        dataset = domain.train if split == "train" else domain.eval
        domains = domain.domains if split == "train" else domain.eval_domains
        name = f"{domain.facts.dataset}/{split}"
        if rows is not None and labels is not None:
            dataset, labels, name = select(dataset, rows), labels[rows], f"{name} ({len(rows)} labelled)"
        return open_rows(
            backbone,
            dataset,
            domain.columns,
            labels=labels,
            augment=augmented,
            views=views,
            domains=domains,
            name=name,
            on_bad_sample=bad,
            ranges=ranges[domain is source][split == "eval"],
        )

    def with_plain(
        domain: Domain, labels: np.ndarray | None, views: tuple[str, ...] = (), rows: np.ndarray | None = None
    ) -> ImageSet:
        """Training rows; beside random views, the same rows in the evaluation view."""
        made = images(domain, "train", labels, augment, views, rows)
        if augment or views:
            made.plain = images(domain, "train", labels, False, rows=rows)
        return made

    def labels(domain: Domain, split: str) -> np.ndarray | None:
        own = list(domain.class_names or classes) if setting == "sequential" and domain is source else classes
        codes = domain.labels if split == "train" else domain.eval_labels
        if codes is None or domain.class_names is None:
            return None
        other = unknown if unknown is not None and domain is target else UNKNOWN
        return label_sets.indices(codes, domain.class_names, own, other)

    ranges = [_ranges(target), (PixelRanges(), PixelRanges()) if source is None else _ranges(source)]
    few = _few(recipe, setting, None if recipe.target.labels_per_class is None else labels(target, "train"), classes)
    of_target = views.get("target", ())
    if setting in NO_TARGET_LABELS:
        train = {"target": sealed(with_plain(target, None, of_target), recipe.run.seed)}
    else:
        train = {"target": with_plain(target, labels(target, "train"), of_target, few)}
    plain = train["target"].plain
    source_eval = source_eval_labels = None
    if source is not None:
        # a frozen backbone learns nothing from random views; without them its features come from the cache
        of_source = () if recipe.tuner.name == "head" and not of_target else views.get("source", ())
        own = with_plain(source, labels(source, "train"), of_source)
        if few is not None and setting == "adaptation":
            known = with_plain(target, labels(target, "train"), of_source, few)
            own = cast(ImageSet, JointSet([own, known], [0, OF_TARGET]))
        train = {"source": own, **train}
        if source.eval is not None and setting != "sequential":  # the deployed head knows the target's classes
            source_eval_labels = labels(source, "eval")
            source_eval = images(source, "eval", source_eval_labels, False)
            source_eval_labels = _readable(source_eval, source_eval_labels)
    target_eval_labels = labels(target, "eval")
    target_eval = images(target, "eval", target_eval_labels, False)
    validating = None if held_out is None else images(held_out, "train", labels(held_out, "train"), False)
    behind = kept(_readable(target_eval, target_eval_labels))
    target_eval.labels = None
    met = ranges[0][1].over(ranges[1][1])
    return Streams(train, source_eval, target_eval, source_eval_labels, behind, plain, met, validating)


def _ranges(domain: Domain) -> tuple[PixelRanges, PixelRanges]:
    """Black and white of a domain's images of more than eight bits: of its training rows, and of those to evaluate on.

    The training rows decide for both; kinds that they lack have those of the evaluation rows.
    """
    name, none = domain.facts.dataset, PixelRanges()
    train = ranges_in_rows(domain.train, domain.columns, none, f"{name}/train")
    return train, train if domain.eval is None else ranges_in_rows(domain.eval, domain.columns, train, f"{name}/eval")


def _few(recipe: Recipe, setting: str, labels: np.ndarray | None, classes: Sequence[str]) -> np.ndarray | None:
    """The target's training rows whose labels may be learnt from, where they are to be few; the seed chooses them."""
    k = recipe.target.labels_per_class
    if k is None:
        return None
    if setting == "source-free":
        raise HubtlError(
            f"{recipe.strategy.name} learns from no label, but --target-labels-per-class is given",
            hint="--strategy finetune to learn from those rows alone, or add --source-dataset",
        )
    if labels is None:
        raise HubtlError(
            f"{k} labelled rows of each class are asked for, and the target's training rows have no labels",
            hint="leave --target-labels-per-class out, or --label-column NAME",
        )
    rng, chosen = np.random.default_rng([recipe.run.seed, k]), []
    for number, name in enumerate(classes):
        rows = np.flatnonzero(labels == number)
        if len(rows) < k:
            logger.warning("the target has %d training rows of class %s, not %d", len(rows), name, k)
        chosen.append(rng.permutation(rows)[:k])
    return np.sort(np.concatenate(chosen))


def _readable(images: ImageSet, labels: np.ndarray | None) -> np.ndarray | None:
    """The labels of the rows that could be read."""
    return None if labels is None else images.labels


def domain_facts(domain: Domain | None, train: ImageSet | None, evaluated: ImageSet | None) -> Any:
    if domain is None or train is None:
        return None
    skipped = [*train.bad, *(evaluated.bad if evaluated is not None else [])]
    pixels = getattr(train, "ranges", PixelRanges()).as_dict()
    return domain.facts.model_copy(update={"skipped": skipped, "pixels": pixels})


def label_warnings(relation: LabelSets, streams: Streams, cls: type[Strategy], unknown: str | None) -> list[str]:
    """Where a strategy does not suit the label sets: what that does to the run, and which ones would."""
    warnings = []
    if relation.target_only and unknown is None and (labels := unsealed(streams.target_eval_labels)) is not None:
        n = int((labels == UNKNOWN).sum())
        warnings.append(
            f"{n} evaluation rows belong to classes that the source lacks ({label_sets.listed(relation.target_only)}): "
            "they are not scored; osbp has an output for them"
        )
    if cls.unknown and relation.setting in ("closed", "partial"):
        warnings.append(
            f"the target has no class that the source lacks: whatever is called {unknown} is so by mistake, "
            "and methods for closed sets do better"
        )
    if relation.source_only and not {"partial", relation.setting} & set(cls.suits):
        warnings.append(
            f"the target lacks source classes ({label_sets.listed(relation.source_only)}): methods that align whole domains may "
            "do harm; shot, pada and iwan are made for it"
        )
    return warnings
