"""Load backbones by name (``--model``), through the registered loaders."""

from typing import Any, cast

import torch

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.backbones.packages import multimodal as multimodal
from hubtl.backbones.packages import native as native
from hubtl.backbones.reference import MODALITIES as MODALITIES
from hubtl.backbones.reference import ModelRef
from hubtl.backbones.reference import parts_of as parts_of
from hubtl.backbones.weights import check_finite
from hubtl.errors import HubtlError
from hubtl.modules import Encoder
from hubtl.plugins.blame import broken, minded, owner


def resolve(name: str | ModelRef, request: BackboneRequest) -> Backbone:
    """Load a backbone by its name.

    Names are tried in this order: ``image=NAME,text=NAME,audio=NAME``, one or more of them, with the loader called
    multimodal; ``SCHEME:NAME`` with a registered loader (``torchvision:alexnet``) or ``transformers:NAME``; a loader's
    own name (``lenet``); a folder; ``timm/NAME``; a Hub id ``user/repo[@revision]``; a timm name; a Hub id without an
    owner (``bert-base-uncased``). A folder and a Hub id may hold a classifier of images, texts or recordings.

    Args:
        name: the name.
        request: the wishes for the model.

    Raises:
        HubtlError: for an unknown name (with the nearest one), an unknown option of the loader, and missing weights.
    """
    if len(request.names) < 1:
        raise HubtlError("a model needs at least one output, and there is none", hint="choose other data")
    model = name if isinstance(name, ModelRef) else ModelRef(name)
    loader, rest = model.loader
    load = plugins.load("backbones", loader)
    model.check_options(request.options)
    with minded(load, f"loading {model.name}"):
        backbone: Any = load(rest, request)
    check_backbone(backbone, load)
    if request.pretrained:
        check_finite(backbone.state_dict(), f"the weights of {model.name}", hint="download or train the model again")
    return cast(Backbone, backbone)


def check_backbone(backbone: Any, load: Any) -> None:
    """Raise HubtlError for an object that is no backbone, or makes other features than declared.

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
    spec, training = info.input, backbone.training
    with minded(backbone, "its forward"), torch.no_grad():
        images = torch.randn(2, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
        Encoder(backbone.eval())({"image": images})
    backbone.train(training)
