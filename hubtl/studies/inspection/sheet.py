"""Draw a contact sheet: a few rows of each label on a light page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from hubtl.card.themes import LIGHT
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.plugins import modalities
from hubtl.studies.inspection.facts import Inspection
from hubtl.studies.inspection.opening import Data, cells, groups

SIDE, GAP, LEFT, MARGIN = 96, 8, 200, 24  # pixels
ACROSS, MOST = 8, 40  # tiles of a label, and labels
LINES, LETTERS = 3, 400  # of texts: for each label, and looked at in a line


def draw(data: Data, found: Inspection, path: Path) -> bool:
    """Draw the sheet to a PNG file; return whether there was anything to draw.

    Args:
        data: the opened data.
        found: facts, for the numbers beside names.
        path: the file.
    """
    first = data.cell_column()
    if first is None:
        return False
    modality, column = modalities.known(first[0]), first[1]
    chosen = {
        name: _spread(rows, LINES if modality.words else ACROSS)
        for name, rows in groups(data, list(data.splits)).items()
    }
    drawn = [(name, _tiles(data, modality, column, rows)) for name, rows in list(chosen.items())[:MOST]]
    if not any(tiles for _, tiles in drawn):
        return False
    high = [(LINES * 26 if modality.words else SIDE) + 2 * GAP for _ in drawn]
    width = LEFT + 2 * MARGIN + (SIDE + GAP) * ACROSS
    left_out = len(chosen) - len(drawn)
    page = Image.new("RGB", (width, 88 + sum(high) + (30 if left_out else 0) + MARGIN), LIGHT.page)
    pen, top = ImageDraw.Draw(page), 88
    pen.text(
        (MARGIN, 20),
        _cut(shown.line(data.shown), _font(22, bold=True), width - 2 * MARGIN),
        LIGHT.ink,
        _font(22, bold=True),
    )
    pen.text((MARGIN, 52), _about(found), LIGHT.muted, _font(14))
    counts = _counts(found)
    for (name, tiles), height in zip(drawn, high, strict=True):
        pen.line((MARGIN, top, width - MARGIN, top), LIGHT.grid)
        label = shown.line(name) if name else "rows"
        middle = top + height // 2
        pen.text((MARGIN, middle - 20), _cut(label, _font(15, bold=True), LEFT - 12), LIGHT.ink, _font(15, bold=True))
        pen.text((MARGIN, middle + 2), counts.get(name, ""), LIGHT.muted, _font(13))
        for place, tile in enumerate(tiles):
            if isinstance(tile, str):
                pen.text(
                    (MARGIN + LEFT, top + GAP + 26 * place),
                    _cut(tile, _font(13), width - LEFT - 2 * MARGIN),
                    LIGHT.ink,
                    _font(13),
                )
            else:
                x = MARGIN + LEFT + place * (SIDE + GAP) + (SIDE - tile.width) // 2
                page.paste(tile, (x, top + GAP + (SIDE - tile.height) // 2))
        top += height
    if left_out:
        pen.text((MARGIN, top + 8), f"and {shown.plural(left_out, 'more label')}", LIGHT.muted, _font(14))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)
    return True


def _spread(rows: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    step = max(1, len(rows) // most)
    return list(rows[::step][:most])


def _tiles(data: Data, modality: Any, column: str, rows: Sequence[tuple[str, int]]) -> list[Any]:
    """Return pictures of rows, or first words; rows that cannot be read are left out."""
    found: list[Any] = []
    for split, row in rows:
        (cell,) = cells(data.splits[split], column, [row])
        if modality.words:
            found.append(shown.line(" ".join(str(cell or "").split()))[:LETTERS])
            continue
        try:
            picture = modality.tile(cell, SIDE)
        except (OSError, ValueError, TypeError, HubtlError):
            continue
        found += [] if picture is None else [picture]
    return found


def _about(found: Inspection) -> str:
    parts = [f"{split.name} {split.rows:,}" for split in found.splits]
    by = f"; labels in {', '.join(found.label_columns)}" if found.label_columns else "; no labels"
    return _cut(f"rows: {', '.join(parts)}{by}", _font(14), LEFT + (SIDE + GAP) * ACROSS)


def _counts(found: Inspection) -> dict[str, str]:
    names = dict.fromkeys(name for split in found.splits for name in split.counts)
    return {name: shown.plural(sum(split.counts.get(name, 0) for split in found.splits), "row") for name in names}


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"  # which has the signs of many scripts
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return a text that fits a width; a cut one has an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
