"""Frozen encoders read features, not images: the streams of a run are swapped for what its backbone makes of them."""

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from hubtl.data import features
from hubtl.data.features import FeatureSet
from hubtl.data.images import ImageSet
from hubtl.engine.device import Accelerator
from hubtl.engine.modes import parameters_of
from hubtl.engine.sweep import outputs
from hubtl.modules import Classifier, Encoder
from hubtl.prepare import Prepared
from hubtl.settings import logger


def reads_features(prepared: Prepared) -> bool:
    """Whether no phase changes the backbone and no stream has random views: its features are the same all along."""
    strategy = prepared.build(prepared.recipe.strategy.name)
    own = {p for p in strategy.encoder.backbone.parameters() if p.requires_grad}
    for phase in strategy.phases():
        if not phase.learns:  # it estimates statistics, those of the backbone among them
            return False
        if any(p in own for learner in phase.learns.values() for p in parameters_of(learner)):
            return False
    return not any(s.plain is not s or isinstance(s, FeatureSet) for s in prepared.streams.train.values())


def with_features(prepared: Prepared, accelerator: Accelerator) -> Prepared:
    """The same run on features: from the cache, or extracted now, once, and kept there.

    The key holds the weights, the input's transform, the data and the precision. A run whose backbone learns, or whose
    images have random views, is returned as it is.
    """
    if not reads_features(prepared):
        return prepared
    backbone = prepared.backbone
    base = {
        "model": prepared.model.name,
        "architecture": prepared.model.architecture,
        "weights": features.weights_digest(backbone.state_dict()),
        "input": backbone.info.input.as_dict(),
        "precision": prepared.recipe.run.mixed_precision,
        "tuner": prepared.recipe.tuner.model_dump(mode="json"),
    }
    model = Classifier(Encoder(backbone), nn.Identity())
    known: dict[int, FeatureSet] = {}

    def swapped(images: ImageSet) -> ImageSet:
        if id(images) not in known:
            facts = {**base, "data": images.fingerprint}
            rows = _features(model, images, facts, accelerator)
            known[id(images)] = FeatureSet(rows, images.labels, images.name, images.bad)
        return cast(ImageSet, known[id(images)])

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


def _features(model: Classifier, images: ImageSet, facts: dict[str, Any], accelerator: Accelerator) -> np.ndarray:
    key = features.key_of(facts)
    found = features.get(key, len(images))
    there = torch.tensor([found is not None], device=accelerator.device)
    if not bool(accelerator.gather(there).all()):  # all ranks extract, or none: they meet in it
        found = None
    if found is not None:
        logger.info("features   %s: %d rows from the cache", images.name, len(images))
        return found
    logger.info("features   %s: one pass over %d images", images.name, len(images))
    made = outputs(model, images, accelerator).features.numpy()
    if accelerator.is_main_process:
        features.put(key, made, {**facts, "name": images.name, "rows": len(made), "width": made.shape[1]})
    return made
