"""Load backbones by name (``--model``), through the registered loaders."""

from typing import Any, cast

import torch

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.loader import check_reopens as check_reopens
from hubtl.backbones.loader import loader
from hubtl.backbones.loader import made_by as made_by
from hubtl.backbones.loader import rebuilds as rebuilds
from hubtl.backbones.reference import ModelRef
from hubtl.backbones.reference import parts_of as parts_of
from hubtl.backbones.weights import check_finite
from hubtl.errors import HubtlError
from hubtl.modules import Encoder
from hubtl.plugins import modalities
from hubtl.plugins.blame import broken, minded, owner


def resolve(model_name: str | ModelRef, request: BackboneRequest) -> Backbone:
    """Load a backbone by the name that a user gives.

    In this order: ``image=NAME,text=NAME,audio=NAME``, one or more of them, with the loader that fuses them;
    ``SCHEME:NAME`` with a registered loader (``torchvision:alexnet``) or ``transformers:NAME``, a loader's own name
    (``lenet``), a folder, ``timm/NAME``, a Hub id ``user/repo[@revision]``, a timm name, a Hub id without an owner
    (``bert-base-uncased``). A folder and a Hub id may hold a classifier of images, texts or recordings.

    Args:
        name: the name.
        request: the wishes for the model.

    Raises:
        HubtlError: for an unknown name (with the nearest one), an unknown option of the loader, and missing weights.
    """
    if len(request.names) < 1:
        raise HubtlError("a model needs at least one output, and there is none", hint="choose other data")
    model = model_name if isinstance(model_name, ModelRef) else ModelRef(model_name)
    if request.dense:
        model = model.dense()
    name, rest = model.loader
    registered, found = plugins.load("backbones", name), loader(name)
    model.check_options(request.options)
    with minded(registered, f"loading {model.name}"):
        backbone: Any = found.load(rest, request)
    check_backbone(backbone, registered)
    if backbone.loader is None and rebuilds(found):
        backbone.loader = made_by(name)
    if request.pretrained:
        check_finite(backbone.state_dict(), f"the weights of {model.name}", hint="download or train the model again")
    return cast(Backbone, backbone)


def check_backbone(backbone: Any, load: Any) -> None:
    """Raise HubtlError for an object that is no backbone. So it does for features other than the declared ones.

    A backbone of images is tried on noise.
    """
    info = getattr(backbone, "info", None)
    if not isinstance(backbone, Backbone) or not isinstance(info, BackboneInfo):
        what = type(backbone).__name__ if not isinstance(backbone, Backbone) else f"backbone whose info is {info!r}"
        raise broken(load, f"loads a {what}", "return a hubtl.backbones.base.Backbone with its info")
    if not isinstance(info.width, int) or info.width < 1 or not callable(getattr(info.input, "as_dict", None)):
        raise broken(load, f"loads a backbone of width {info.width!r} and input {info.input!r}")
    if owner(backbone) is None or backbone.rows is not None or not isinstance(info.input, ImageInput):
        return  # what hubtl brings was tried when its classifier was taken out
    training = backbone.training
    with minded(backbone, "its forward"), torch.no_grad():
        Encoder(backbone.eval())(modalities.of(info.modalities[0]).trial(info.input))
    backbone.train(training)
