"""Show a row of data as self-contained HTML: the picture, the sound, the text."""

import base64
import html
import io
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hubtl.data.decoding import decode
from hubtl.data.images import UNREADABLE, file_name
from hubtl.io import shown

LONGEST = 1280  # pixels of a picture's side
SMALL = 160  # pixels: what is smaller is shown enlarged, its pixels as they are
LOUDEST = 2**25  # bytes of a recording that the page plays
CSS = """
.hubtl-row { text-align: center; }
.hubtl-row img { display: block; margin: 0 auto; max-width: 100%; max-height: min(50vh, 28rem);
  border-radius: var(--block-radius); }
.hubtl-row img.small { image-rendering: pixelated; width: min(100%, 44vh, 24rem); object-fit: contain; }
.hubtl-row audio { width: 100%; max-width: 34rem; margin: 1rem auto; display: block; }
.hubtl-row blockquote { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 46vh; overflow-y: auto;
  margin: 0 auto; max-width: 42rem; padding: 0.8rem 1.1rem; font-size: 1.15rem; line-height: 1.5; border: 0;
  border-left: 4px solid var(--color-accent); background: var(--background-fill-secondary); color: var(--body-text-color); }
.hubtl-row figcaption { margin-top: 0.5rem; opacity: 0.75; overflow-wrap: anywhere; color: var(--body-text-color); }
"""


def row(cells: Mapping[str, Any], caption: str) -> str:
    """Return the cells of a row (modality -> content) with a caption below."""
    parts = "".join(_cell(modality, cell) for modality, cell in cells.items() if cell is not None)
    return f'<figure class="hubtl-row">{parts}<figcaption>{_safe(caption)}</figcaption></figure>'


def _cell(modality: str, cell: Any) -> str:
    if modality == "image":
        return _picture(cell)
    if modality == "audio":
        return _sound(cell)
    if isinstance(cell, str):
        return f"<blockquote>{html.escape(cell)}</blockquote>"
    return f"<p>{_safe(f'{modality}: {file_name(cell)}')}</p>"


def _picture(cell: Any) -> str:
    try:
        image = decode(cell)
    except (OSError, *UNREADABLE) as error:
        return f"<p>{_safe(f'The image cannot be read: {file_name(cell)}: {error}')}</p>"
    if image.mode[:1] in "IF":  # of more than eight bits: the page shows the range that is there
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        spread = max(values.max() - values.min(), 1e-12)
        image = Image.fromarray((255 * (values - values.min()) / spread).astype(np.uint8))
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    kind = ' class="small"' if max(image.size) < SMALL else ""
    return f'<img{kind} alt="the row to label" src="{_inline(buffer.getvalue(), "image/png")}">'


def _sound(cell: Any) -> str:
    try:
        content = cell.get("bytes") if isinstance(cell, Mapping) else None
        path = cell.get("path") if isinstance(cell, Mapping) else cell
        if content is None:
            content = Path(str(path)).read_bytes()
    except (OSError, TypeError) as error:
        return f"<p>{_safe(f'The recording cannot be read: {file_name(cell)}: {error}')}</p>"
    if len(content) > LOUDEST:
        return f"<p>{_safe(f'The recording is too long for this page: {file_name(cell)}')}</p>"
    kind = (mimetypes.guess_type(str(path or ""))[0] or "audio/wav").replace("x-wav", "wav")
    return f'<audio controls autoplay src="{_inline(content, kind)}"></audio>'


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _safe(text: str) -> str:
    return html.escape(shown.line(text))
