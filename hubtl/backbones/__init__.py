"""``--model``: from a name to a backbone, through the registered loaders."""

import re
from pathlib import Path

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.errors import HubtlError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def resolve(name: str, request: BackboneRequest) -> Backbone:
    """Load a backbone by the name that a user gives.

    In this order: ``SCHEME:NAME`` with a registered loader (``torchvision:alexnet``), a loader's own name
    (``lenet``), a folder, ``timm/NAME``, a Hub id ``user/repo[@revision]``, a timm name.

    Raises HubtlError for a name that nobody knows, with the nearest one, and for weights that are out of reach.
    """
    if len(request.classes) < 2:
        raise HubtlError(
            f"a classifier needs at least two classes, and there are {len(request.classes)}", hint="choose other data"
        )
    loaders = plugins.entries("backbones")
    scheme, colon, rest = name.partition(":")
    scheme = {"hf-hub": "hub", "local-dir": "local"}.get(scheme, scheme)
    if colon and scheme in loaders and not Path(name).exists():
        loader, rest = scheme, rest
    elif name in loaders:
        loader, rest = name, name
    elif Path(name).is_dir():
        loader, rest = "local", name
    elif name.startswith("timm/"):
        loader, rest = "timm", name.removeprefix("timm/")
    elif name.startswith((".", "/", "~")):
        raise HubtlError(f"there is no folder {name}", hint="give a folder that holds config.json, or a model's name")
    elif HUB_ID.fullmatch(name):
        loader, rest = "hub", name
    else:
        loader, rest = "timm", name
    backbone: Backbone = plugins.load("backbones", loader)(rest, request)
    return backbone
