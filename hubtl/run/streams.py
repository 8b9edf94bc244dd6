"""Open the data of a run: matched classes, and streams that hide what training may not read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hubtl.backbones.base import Backbone, PixelRanges
from hubtl.batch import OF_TARGET
from hubtl.data.joint import JointSet
from hubtl.data.origin import select
from hubtl.data.reading import open_rows, ranges_in_rows
from hubtl.data.rows import Opened, Rows
from hubtl.data.sealed import kept, sealed, unsealed
from hubtl.data.slices import cut
from hubtl.data.sources import Domain
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.judging.case import Streams
from hubtl.recipe.schema import Recipe
from hubtl.record import LabelSets
from hubtl.run.given import Given
from hubtl.run.hints import readable
from hubtl.strategy import Strategy
from hubtl.tasks import Related, Task

NO_TARGET_LABELS = ("adaptation", "source-free")


def hold_out(target: Domain, share: float | None, setting: str) -> tuple[Domain, Domain | None]:
    """Split held-out rows from a labelled target's training rows. They are the same in every run.

    Args:
        target: the target's data.
        share: the share of training rows to hold out.
        setting: the setting of the run.

    Returns:
        The target without these rows, and the rows.

    Raises:
        HubtlError: where the target's labels are not learnt from, since nothing can be validated then.
    """
    if not share:
        return target, None
    if setting in NO_TARGET_LABELS:
        raise HubtlError(
            "data.hold_out takes labelled rows out of the target's, and this run reads no label of its target",
            hint="leave data.hold_out out: the source's evaluation rows are validated on",
        )
    labelled = None if target.labels is None else ~target.task.unlabelled(target.labels)
    strata = target.task.strata(target.train, target.label_columns) if target.label_columns else None
    keep, taken = cut(len(target.train), strata, share, labelled)
    if target.labels is None or not len(taken):
        raise HubtlError(
            f"none of {plural(len(keep), 'training row')} can be held out", hint="--no-adjust, or more rows"
        )
    facts = target.facts.model_copy(update={"rows": len(keep), "split": f"{target.facts.split} less {share:.0%}"})
    held = replace(target, train=select(target.train, taken), labels=target.labels[taken])
    return replace(target, train=select(target.train, keep), labels=target.labels[keep], facts=facts), held


def relate(task: Task, source: Domain | None, target: Domain, *, open_set: bool = False) -> Related:
    """Return a run's outputs and the relation of its domains' labels.

    Raises:
        HubtlError: where there is nothing to learn from.
    """
    if source is None:
        if target.labels is None or target.outputs is None:
            raise HubtlError(
                f"{target.facts.dataset} has no labels{_why(target)}, and there is nothing to learn from",
                hint=f"{readable(task, target) or '--label-column NAME'}, or --source-dataset for a labelled source",
            )
        return task.relate(None, target.outputs, called=target.facts.dataset, open_set=open_set)
    if source.labels is None:
        raise HubtlError(
            f"the source {source.facts.dataset!r} has no labels{_why(source)}",
            hint=readable(task, source) or task.unlabelled_hint,
        )
    return task.relate(source.outputs, target.outputs, open_set=open_set)


def _why(domain: Domain) -> str:
    """Return why candidate columns are no label columns, in brackets."""
    return f" ({'; '.join(domain.passed)})" if domain.passed else ""


def open_streams(
    recipe: Recipe,
    setting: str,
    source: Domain | None,
    target: Domain,
    task: Task,
    backbone: Backbone,
    views: Mapping[str, tuple[str, ...]],
    held_out: Domain | None = None,
    told: Given | None = None,
) -> Streams:
    """Open a run's streams with the model's labels. They have the random views of its phases.

    ``told`` are target rows whose labels come from a file: they are learnt from, and no other target label is.
    """
    augment = recipe.data.augment == "standard"
    bad = recipe.data.on_bad_sample

    def opened(
        domain: Domain,
        split: str,
        labels: np.ndarray | None,
        augmented: bool,
        views: tuple[str, ...] = (),
        rows: np.ndarray | None = None,
    ) -> Opened:
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
            data=recipe.data,
            domains=domains,
            name=name,
            on_bad_sample=bad,
            ranges=ranges[domain is source][split == "eval"],
        )

    def with_plain(
        domain: Domain, labels: np.ndarray | None, views: tuple[str, ...] = (), rows: np.ndarray | None = None
    ) -> Opened:
        """Open training rows; beside random views, the same rows in the evaluation view."""
        made = opened(domain, "train", labels, augment, views, rows)
        if augment or views:
            made.plain = opened(domain, "train", labels, False, rows=rows)
        return made

    def labels(domain: Domain, split: str) -> np.ndarray | None:
        found = domain.labels if split == "train" else domain.eval_labels
        if found is None or domain.outputs is None:
            return None
        own = domain.outputs if setting == "sequential" and domain is source else task.outputs
        return task.targets(found, domain.outputs, own, task.unknown if domain is target else None)

    learnt_from = source if source is not None and setting != "sequential" else target
    if (known := labels(learnt_from, "train")) is not None and (source is not None or setting != "source-free"):
        task.learn(known)
    if task.source is not None and source is not None and (known := labels(source, "train")) is not None:
        task.source.learn(known)  # of a sequential run: values of its own, on a scale of their own
    ranges = [_ranges(target), (PixelRanges(), PixelRanges()) if source is None else _ranges(source)]
    few, own_labels = None, None
    if told is not None:
        few, own_labels = told.positions, told.labels
    elif recipe.target.few is not None:
        own_labels = labels(target, "train")
        few = _few(recipe, setting, own_labels, task)
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
        own: Rows = with_plain(source, labels(source, "train"), of_source)
        if few is not None and setting == "adaptation":
            labelled = with_plain(target, own_labels, of_source, few)
            own = JointSet([own, labelled], [0, OF_TARGET])
        train = {"source": own, **train}
        if source.eval is not None and setting != "sequential":  # the deployed head knows the target's classes
            source_eval_labels = labels(source, "eval")
            source_eval = opened(source, "eval", source_eval_labels, False)
            source_eval_labels = _readable(source_eval, source_eval_labels)
    target_eval_labels = labels(target, "eval")
    target_eval = opened(target, "eval", target_eval_labels, False)
    validating = None if held_out is None else opened(held_out, "train", labels(held_out, "train"), False)
    behind = kept(_readable(target_eval, target_eval_labels))
    target_eval.labels = None
    met = ranges[0][1].over(ranges[1][1])
    return Streams(train, source_eval, target_eval, source_eval_labels, behind, plain, met, validating, few)


def _ranges(domain: Domain) -> tuple[PixelRanges, PixelRanges]:
    """Return black and white of a domain's images. It concerns images of more than eight bits.

    One pair is for training rows, one for evaluation rows. The training rows decide for both; kinds that they lack take
    those of the evaluation rows.
    """
    name, none = domain.facts.dataset, PixelRanges()
    train = ranges_in_rows(domain.train, domain.columns, none, f"{name}/train")
    return train, train if domain.eval is None else ranges_in_rows(domain.eval, domain.columns, train, f"{name}/eval")


def _few(recipe: Recipe, setting: str, labels: np.ndarray | None, task: Task) -> np.ndarray | None:
    """Return the target's training rows whose labels may be learnt. The seed samples them."""
    k = recipe.target.few
    if k is None:
        return None
    if setting == "source-free":
        raise HubtlError(
            f"{recipe.strategy.name} learns from no label, and {k} labelled rows of each kind are given to learn from",
            hint="--strategy finetune to learn from those rows alone, or add --source-dataset",
        )
    return task.few(labels, k, np.random.default_rng([recipe.run.seed, k]))


def _readable(images: Rows, labels: np.ndarray | None) -> np.ndarray | None:
    """Return the labels of the rows that could be read."""
    return None if labels is None else images.labels


def domain_facts(domain: Domain | None, train: Rows | None, evaluated: Rows | None) -> Any:
    if domain is None or train is None:
        return None
    skipped = [*train.bad, *(evaluated.bad if evaluated is not None else [])]
    pixels = getattr(train, "ranges", PixelRanges()).as_dict()
    return domain.facts.model_copy(update={"skipped": skipped, "pixels": pixels})


def label_warnings(task: Task, relation: LabelSets, streams: Streams, cls: type[Strategy]) -> list[str]:
    """Warn where a strategy does not suit its domains' labels: the effect, and better strategies."""
    unknown = None if task.unknown is None else task.outputs.names[task.unknown]
    return task.warnings(relation, unsealed(streams.target_eval_labels), cls, unknown)
