"""model_cards/README.md: the gallery's index, from its records.

python docs/gallery.py            # write it
python docs/gallery.py --check    # exit 1, with the difference, if it is not what it should be
"""

import difflib
import sys
from pathlib import Path

from hubtl.card import comparison, names
from hubtl.card.metadata import SOURCE_ONLY
from hubtl.card.wording import code, percent
from hubtl.record import RunRecord

GALLERY = Path(__file__).parent.parent / "model_cards"
HEAD = """<!-- Written by docs/gallery.py: `make cards`. -->
# Model cards

Runs of this project, as they came out: `record.json`, `recipe.yaml`, plots, and the card that is rendered from the record.
`make cards` renders them all again; a test fails when a card does not say what its record says. The figures are accuracy on
target rows that were held out.

| run | setting | model | data | source-only | after |
|:--|:--|:--|:--|--:|--:|
"""
TAIL = """
The digits ship with hubtl: those runs can be repeated anywhere, with the `recipe.yaml` beside each card (that of `digits-shot`
starts from what `digits-mnist` made). PACS and the parts of TriRate-4 are not on the Hub and not in this repository;
[docs/benchmarks.md](../docs/benchmarks.md) says what they are.
"""


def index() -> str:
    """The page: a line for each run, by its folder's name."""
    runs = sorted(path.parent for path in GALLERY.glob("*/record.json"))
    return HEAD + "".join(_line(run.name, RunRecord.load(run)) for run in runs) + TAIL


def _line(folder: str, record: RunRecord) -> str:
    base, after = (e.accuracy if e else None for e in (record.source_only, record.adapted))
    how, setting = code(record.strategy), record.setting
    online = next((e.online for e in reversed(record.evaluations) if e.online), None)
    if record.strategy == SOURCE_ONLY and online is not None:
        setting, base, after, how = "test time", after, online.figures.accuracy, f"{code(online.method)}, online"
    model = names.model_name(record.model) + (
        "" if not record.model.parts else f" ({len(record.model.parts)} encoders)"
    )
    to = names.domain_link(record.target, short=True)
    data = f"{names.domain_link(record.source, short=True)} → {to}" if record.source else to
    extra = ", with its ablation" if comparison.ablation(record).lines else ""
    cells = (f"[{folder}]({folder}/README.md)", f"{setting}: {how}{extra}", model, data)
    return f"| {' | '.join(cells)} | {percent(base) if base is not None else '–'} | {percent(after)} |\n"


def main() -> None:
    path, text = GALLERY / "README.md", index()
    if "--check" not in sys.argv:
        path.write_text(text, encoding="utf-8")
        return
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    if written != text:
        sys.exit(
            "".join(difflib.unified_diff(written.splitlines(True), text.splitlines(True), str(path), "docs/gallery.py"))
        )


if __name__ == "__main__":
    main()
