"""Replace the inputs of a frozen backbone by its features."""

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from hubtl.backbones.base import Backbone
from hubtl.data import cache
from hubtl.data.features import FeatureSet, structure_digest, weights_digest
from hubtl.data.joint import JointSet
from hubtl.data.rows import Opened, Rows
from hubtl.data.sealed import SealedSet
from hubtl.engine.contract import phases_of
from hubtl.engine.device import Accelerator
from hubtl.engine.modes import parameters_of
from hubtl.engine.sweep import outputs
from hubtl.modules import Classifier, Encoder
from hubtl.recipe.schema import NamedSection
from hubtl.run.prepare import Prepared
from hubtl.settings import logger

READERS = ("soundfile", "scipy", "tokenizers")  # of what a backbone of several modalities is given


def reads_features(prepared: Prepared) -> bool:
    """Return whether features never change: no phase trains the backbone, no stream has random views."""
    recipe = prepared.recipe
    if prepared.task.dense:  # features of each place would take more room than the images
        return False
    for name in dict.fromkeys((recipe.strategy.name, *recipe.ensemble.members)):
        strategy = prepared.build(name)
        own = {p for p in strategy.encoder.backbone.parameters() if p.requires_grad}
        for phase in phases_of(strategy):
            if not phase.learns and strategy.trains_backbone:  # it may estimate statistics of it, as AdaBN's does
                return False
            if any(p in own for learner in phase.learns.values() for p in parameters_of(learner)):
                return False
    return not any(s.plain is not s or isinstance(s, FeatureSet) for s in prepared.streams.train.values())


def with_features(prepared: Prepared, accelerator: Accelerator) -> Prepared:
    """Return the same run on features, or unchanged where they would change.

    They would if the backbone learns, or if inputs have random views.
    """
    if not reads_features(prepared):
        return prepared
    recipe = prepared.recipe
    reader = FeatureReader(prepared.backbone, accelerator, recipe.run.mixed_precision, recipe.tuner)

    def swapped(images: Rows) -> Rows:
        if isinstance(images, JointSet | SealedSet):  # the rows of a sealed set are kept as they lay, whatever the seed
            return images.replaced(swapped)
        return reader.read(cast(Opened, images))  # what stands for no other rows is read from a dataset

    streams = prepared.streams
    changed = dataclasses.replace(
        streams,
        train={name: swapped(images) for name, images in streams.train.items()},
        source_eval=None if streams.source_eval is None else swapped(streams.source_eval),
        target_eval=swapped(streams.target_eval),
        target_plain=swapped(streams.target_plain),
        held_out=None if streams.held_out is None else swapped(streams.held_out),
    )
    return dataclasses.replace(prepared, streams=changed)


class FeatureReader:
    """Read a frozen backbone's features from the cache. Features that are not there are extracted and cached.

    The key holds the architecture with its settings, the weights, the input's transform, the content of the data, the
    precision, how the backbone was tuned, and the versions of what decodes and computes. Names of the model and the
    files do not matter.
    """

    def __init__(
        self, backbone: Backbone, accelerator: Accelerator, precision: str = "no", tuner: NamedSection | None = None
    ) -> None:
        self.model, self.accelerator = Classifier(Encoder(backbone), nn.Identity()), accelerator
        self.name = backbone.info.name
        self.facts: dict[str, Any] = {
            "architecture": backbone.info.architecture,
            "structure": structure_digest(backbone),
            "weights": weights_digest(backbone.state_dict()),
            "input": backbone.info.input.as_dict(),
            "precision": precision,
            "versions": cache.installed("pillow", "torch", *READERS, backbone.info.library),
            "tuner": (tuner or NamedSection(name="full")).model_dump(mode="json"),
        }
        # the images too, for the id of an object that is gone comes again
        self._known: dict[int, tuple[Opened, FeatureSet]] = {}

    def read(self, images: Opened) -> FeatureSet:
        """Return the same rows as features, with their labels."""
        if id(images) not in self._known:
            rows = FeatureSet(self._features(images), images.labels, images.name, images.bad, images.domains)
            self._known[id(images)] = images, rows
        return self._known[id(images)][1]

    def _features(self, images: Opened) -> np.ndarray:
        facts, accelerator = {**self.facts, "data": images.fingerprint}, self.accelerator
        key = cache.key_of(facts)
        found = cache.get(key, len(images))
        there = torch.tensor([found is not None], device=accelerator.device)
        if not bool(accelerator.gather(there).all()):  # all ranks extract, or none: they meet in it
            found = None
        if found is not None:
            logger.info("features   %s: %d rows from the cache", images.name, len(images))
            return found
        logger.info("features   %s: one pass over %d rows", images.name, len(images))
        before, images.cached = images.cached, False  # each is read once: its pixels are worth no memory
        try:
            made = outputs(self.model, images, accelerator).features.numpy()
        finally:
            images.cached = before
        if accelerator.is_main_process:
            shown = {"model": self.name, "name": images.name, "rows": len(made), "width": made.shape[1]}
            cache.put(key, made, {**facts, **shown})
        return made
