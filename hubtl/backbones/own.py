"""hubtl's own format, for architectures that neither timm nor transformers has: ``config.json`` and safetensors."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hubtl.backbones import lenet, torchvision
from hubtl.backbones.base import Backbone, BackboneInfo, BackboneRequest, ImageInput
from hubtl.errors import HubtlError
