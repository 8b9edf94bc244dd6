"""Show a row of data as self-contained HTML. Each cell is shown as its modality does."""

from collections.abc import Mapping
from typing import Any

from hubtl.data.cells import file_name
from hubtl.io.markup import safe
from hubtl.plugins import modalities

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
    return f'<figure class="hubtl-row">{parts}<figcaption>{safe(caption)}</figcaption></figure>'


def _cell(modality: str, cell: Any) -> str:
    known = modalities.known(modality)
    made: str | None = None if known is None else known.html(cell)
    return f"<p>{safe(f'{modality}: {file_name(cell)}')}</p>" if made is None else made
