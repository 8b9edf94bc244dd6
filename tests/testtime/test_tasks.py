"""Test-time methods on tasks without probabilities: bn, which learns nothing, and no other."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.data.reading import open_rows
from hubtl.errors import HubtlError
from hubtl.models import saved
from hubtl.record import Outputs
from hubtl.studies.evaluate import online_beside_frozen

NAMES = {"regression": ["size"], "multi-label": ["left", "large"]}
IMAGES = [Image.fromarray(np.full((32, 32, 3), 6 * i, dtype=np.uint8)) for i in range(10)]


@pytest.fixture(params=list(NAMES))
def model(request, tmp_path):
    torch.manual_seed(0)
    names = NAMES[request.param]
    backbone = backbones.resolve("test_resnet", BackboneRequest(names, pretrained=False, image_size=32))
    meta = {"task": request.param, "strategy": "finetune", "base_model": None, "revision": None}
    saved.save(tmp_path, backbone, nn.Linear(backbone.info.width, len(names)), Outputs(names=names), meta)
    return saved.load(tmp_path, device="cpu")


def test_bn_takes_the_statistics_of_the_batch(model):
    """As every BatchNorm in training mode does. Its running statistics are left alone."""
    answers = model.predict(IMAGES, tta="bn", tta_seed=None)
    frozen = model.predict(IMAGES)
    inputs = model.intake().batch(IMAGES)
    with torch.no_grad():
        norms = [m for m in model.classifier.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.train()
        expected = model.task.decode([str(i) for i in range(10)], model.classifier(inputs))
    rows = [{k: v for k, v in answer.row(9).items() if k != "input"} for answer in answers]
    wanted = [{k: v for k, v in answer.row(9).items() if k != "input"} for answer in expected]
    for own, other in zip(rows, wanted, strict=True):
        numbers = {k: v for k, v in own.items() if isinstance(v, float)}
        assert numbers == pytest.approx({k: other[k] for k in numbers}, abs=2e-4)
    assert [answer.row(9) for answer in frozen] != [answer.row(9) for answer in answers]


def test_what_reads_probabilities_is_refused_by_name(model):
    for method in ("tent", "sar", "cotta"):
        with pytest.raises(HubtlError, match=method):
            model.predict(IMAGES, tta=method)
    with pytest.raises(HubtlError, match="guard counts the classes") as refused:
        model.predict(IMAGES, tta="bn", tta_options={"guard": 0.1})
    assert refused.value.hint == "--tta-set guard=0"


def test_the_frozen_model_stands_beside_it(model):
    from datasets import Dataset, Features
    from datasets import Image as ImageFeature

    names = model.task.outputs.names
    labels = (np.arange(10)[:, None] % 2 == np.arange(len(names))).astype(np.float32)
    table = Dataset.from_dict({"image": IMAGES}, features=Features({"image": ImageFeature()}))
    rows = open_rows(model.backbone, table, {"image": "image"}, labels=labels, name="rows")
    online, frozen = online_beside_frozen(model, model.test_time("bn"), "bn", rows, 4, 0)
    assert online.figures.primary.name == frozen.primary.name == model.task.primary().name
    assert online.figures.value != frozen.value
    assert (online.batches, online.learnt, online.warnings) == (3, 0, [])
