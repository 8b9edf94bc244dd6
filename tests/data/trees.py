"""Folders of tiny images and recordings, and hubtl's lists of them. They are grown from paths."""

import io
import wave
from pathlib import Path

from datasets import Audio, ClassLabel, Image
from PIL import Image as Picture

from hubtl.data.cells import Wanted
from hubtl.data.opening import opened


def _png() -> bytes:
    buffer = io.BytesIO()
    Picture.new("RGB", (4, 4), (200, 30, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 80)
    return buffer.getvalue()


PNG, WAV = _png(), _wav()


def grow(root: Path, *paths: str, **texts: str) -> Path:
    """Files at paths below a folder: recordings, texts of no meaning, or images; what ends in a slash is a folder."""
    for path in paths:
        place = root / path
        (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            content = {".wav": WAV, ".txt": b"words", ".csv": b"a,b\n1,2\n"}
            place.write_bytes(content.get(place.suffix, PNG))
    return root


def listed(root: Path, *modalities: str, **columns: str) -> dict[str, list[tuple[str, str | None]]]:
    """Each split's files by path, and their classes, in order.

    Paths are below the folder, the order is that of the rows.
    """
    found = {}
    for split, rows in opened(str(root), Wanted(tuple(modalities), columns)).splits.items():
        for name, feature in rows.features.items():
            if isinstance(feature, Image | Audio):
                rows = rows.cast_column(name, type(feature)(decode=False))
        kind = "image" if "image" in rows.features else "audio"
        label = rows.features.get("label")
        names = rows["label"][:] if label is not None else [None] * len(rows)
        if isinstance(label, ClassLabel):
            names = [label.names[number] for number in names]
        paths = [str(Path(cell["path"]).relative_to(root.resolve())) for cell in rows[kind][:]]
        found[split] = list(zip(paths, names, strict=True))
    return found
