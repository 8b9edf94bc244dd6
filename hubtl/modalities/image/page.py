"""An image on a page: as PNG, small enough to lie in it."""

import io
from typing import Any

import numpy as np
from PIL import Image

from hubtl.data.cells import file_name
from hubtl.io.markup import inline, safe
from hubtl.modalities.image.decoding import decode
from hubtl.modalities.image.rows import UNREADABLE

LONGEST = 1280  # pixels of a picture's side
SMALL = 160  # pixels: what is smaller is shown enlarged, its pixels as they are


def picture(cell: Any) -> str:
    """Return the image of a cell as HTML; for one that cannot be read, why."""
    try:
        image = decode(cell)
    except (OSError, *UNREADABLE) as error:
        return f"<p>{safe(f'The image cannot be read: {file_name(cell)}: {error}')}</p>"
    image = eight_bits(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    kind = ' class="small"' if max(image.size) < SMALL else ""
    return f'<img{kind} alt="the row to label" src="{inline(buffer.getvalue(), "image/png")}">'


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of at most eight bits a channel.

    Others are scaled by the range that is there.
    """
    if image.mode[:1] not in "IF":
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    spread = max(values.max() - values.min(), 1e-12)
    return Image.fromarray((255 * (values - values.min()) / spread).astype(np.uint8))
