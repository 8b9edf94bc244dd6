"""A recording on a page, which plays it."""

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtl.data.cells import file_name
from hubtl.io.markup import inline, safe

LOUDEST = 2**25  # bytes of a recording that the page plays


def player(cell: Any) -> str:
    """Return the recording of a cell as HTML; for one that cannot be read, why."""
    try:
        content = cell.get("bytes") if isinstance(cell, Mapping) else None
        path = cell.get("path") if isinstance(cell, Mapping) else cell
        if content is None:
            content = Path(str(path)).read_bytes()
    except (OSError, TypeError) as error:
        return f"<p>{safe(f'The recording cannot be read: {file_name(cell)}: {error}')}</p>"
    if len(content) > LOUDEST:
        return f"<p>{safe(f'The recording is too long for this page: {file_name(cell)}')}</p>"
    kind = (mimetypes.guess_type(str(path or ""))[0] or "audio/wav").replace("x-wav", "wav")
    return f'<audio controls autoplay src="{inline(content, kind)}"></audio>'
