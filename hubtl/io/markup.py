"""Write foreign text and files as parts of a page. The page needs nothing else."""

import base64
import html

from hubtl.io import shown


def safe(text: object) -> str:
    """Write foreign text so that a page shows it, on one line."""
    return html.escape(shown.line(text))


def inline(content: bytes, kind: str) -> str:
    """Write a file as an address that holds it; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
