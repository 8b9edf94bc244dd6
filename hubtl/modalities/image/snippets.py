"""Write programs that open an image and predict it. A card shows them."""

from collections.abc import Mapping
from typing import Any

TIMM = """\
import timm
import torch
from PIL import Image

model = timm.create_model("{where}", pretrained=True).eval()
config = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**config, is_training=False)

image = Image.open("image.jpg").convert("{mode}")
with torch.inference_mode():
    logits = model(transform(image).unsqueeze(0))
{prints}
"""

TRANSFORMERS = """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("{where}")
model = AutoModelForImageClassification.from_pretrained("{where}").eval()

image = Image.open("image.jpg").convert("{mode}")
with torch.inference_mode():
    logits = model(**processor(image, return_tensors="pt")).logits
{prints}
"""

HUBTL = """\
import hubtl{needs}
from PIL import Image

model = hubtl.load("{where}")
image = Image.open("image.jpg").convert("{mode}")
logits = model.logits([image])
{prints}
"""

OPENS = """\
from PIL import Image

image = Image.open("image.jpg").convert("{mode}")
"""


def program(library: str, where: str, spec: Mapping[str, Any], prints: str) -> str:
    """Write a whole program for a library; ``spec`` says how the model wants its images."""
    template = {"timm": TIMM, "transformers": TRANSFORMERS}.get(library, HUBTL)
    return template.format(where=where, mode=mode_of(spec), prints=prints, needs="")


def mode_of(spec: Mapping[str, Any]) -> str:
    """Return the mode that PIL converts to."""
    return "L" if spec.get("channels") == 1 else "RGB"
