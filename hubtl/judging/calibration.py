"""Calibrate the head's confidence by temperatures. The labelled rows are not those that it learnt from."""

from typing import cast

import numpy as np
import torch
from torch import nn

from hubtl.backbones.base import Backbone
from hubtl.data.rows import Rows
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.errors import HubtlError
from hubtl.judging.case import Case
from hubtl.modules import Classifier
from hubtl.record import Calibration
from hubtl.tasks import Task


def calibrate(case: Case, model: Classifier, accelerator: Accelerator) -> Calibration:
    """Fit the logits' temperature on labelled rows, in the head's weights.

    The rows are the source's evaluation rows, or those that ``data.hold_out`` keeps of a labelled target. One linear
    head has one temperature, which changes no prediction (Guo et al., ICML 2017). Where a backbone's pooled feature
    consists of several, each with its own part of the head, each part has one, and predictions may change. Target
    labels are read only if they were learnt from. Under a domain shift the model may stay overconfident: the
    temperature fits the rows that it was fitted on.

    Args:
        case: the run to judge.
        model: the model, changed in place.
        accelerator: the accelerator of the run.

    Raises:
        HubtlError: where there are no such rows, for a head that is not linear, and for a task without probabilities.
    """
    rows, labels = labelled_rows(case)
    if not isinstance(model.head, nn.Linear):
        raise HubtlError(f"a {type(model.head).__name__} head has no temperature", hint="leave run.calibrate out")
    features = outputs(model, rows, accelerator).features
    known = torch.from_numpy(case.task.present(labels))
    blocks = cast(Backbone, model.encoder.backbone).head_blocks() if model.encoder.bottleneck is None else {}
    whole = {"head": slice(0, model.head.in_features)}
    factors, before, after = case.task.calibrate(model.head, features[known], labels[known.numpy()], blocks or whole)
    return Calibration(
        rows=int(known.sum()),
        temperatures={name: 1 / factor for name, factor in factors.items()},
        loss_before=before,
        loss_after=after,
    )


def fitted(case: Case, model: Classifier, accelerator: Accelerator) -> Task:
    """Return the task of one trained model, fitted to labelled rows. Thresholds, for example, are fitted.

    The rows are those of ``labelled_rows``, else the training rows of a target whose labels are learnt from.
    """
    task, learnt = case.task, case.streams.train["target"].plain
    if type(task).fit is Task.fit:
        return task
    held_out = True
    try:
        rows, labels = labelled_rows(case)
    except HubtlError:
        if learnt.labels is None:
            return task
        rows, labels, held_out = learnt, learnt.labels, False
    known = task.present(labels)
    if not known.any():
        return task
    seen = outputs(model, rows, accelerator).logits[torch.from_numpy(known)]
    return task.fit(seen, labels[known], held_out=held_out)


def labelled_rows(case: Case) -> tuple[Rows, np.ndarray]:
    """Return the rows that temperatures are fitted on, with labels.

    Raises:
        HubtlError: where there are none.
    """
    streams = case.streams
    if streams.source_eval is not None and streams.source_eval_labels is not None:
        return streams.source_eval, streams.source_eval_labels
    if streams.held_out is not None and streams.held_out.labels is not None:
        return streams.held_out, streams.held_out.labels
    raise HubtlError(
        "there are no labelled rows to calibrate on that training does not learn from",
        hint="data.hold_out=0.1 for a labelled target, or leave run.calibrate out",
    )
