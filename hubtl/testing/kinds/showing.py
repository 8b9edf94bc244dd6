"""Check what a modality says on a card, and what it draws."""

import json
import re
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from hubtl.card.themes import THEMES
from hubtl.testing.kinds.tables import NEAR, Sample, at, unlike

LIBRARIES = ("timm", "transformers", "hubtl")
ELSEWHERE = re.compile(r"""(src|href|url)\s*[=(]\s*["']?\s*(https?:)?//|<script|<link""", re.IGNORECASE)
SCRIPT = "<script>alert(1)</script>"


def is_line(said: Any) -> bool:
    """Return whether something is a line of text with something in it."""
    return isinstance(said, str) and bool(said.strip()) and "\n" not in said


def check_says(sample: Sample) -> None:
    """Raise AssertionError for code that does not compile. Words are a line."""
    spec = sample.backbone.info.input.as_dict()
    assert json.loads(json.dumps(spec)) == spec, f"the model's input changes in a record: {spec}"
    takes = sample.modality.takes(spec)
    assert takes is None or is_line(takes), f"takes() says {takes!r}"
    for library in LIBRARIES:
        code = sample.modality.snippet(library, "user/model", spec, "print(logits)")
        if code is not None:
            check_compiles(code, f"snippet({library!r}, …)")
            for part in ("user/model", "print(logits)"):
                assert part in code, f"the code of snippet({library!r}, …) has no {part}"
    check_compiles(sample.modality.opens(spec), "opens()")


def check_shows(sample: Sample) -> None:
    """Raise AssertionError for a page that needs other files."""
    for cell in sample.cells:
        page = sample.modality.html(cell)
        assert page is None or isinstance(page, str), f"html() returns {type(page).__name__}"
        found = ELSEWHERE.search(page or "")
        assert found is None, f"html() needs something else: {found[0] if found else ''}"
    if isinstance(sample.cells[0], str):
        page = sample.modality.html(SCRIPT)
        assert SCRIPT not in (page or ""), "html() does not escape a cell's text"
    if find_spec("gradio") is not None:
        import gradio

        made = sample.modality.widget(gradio, "Input")
        assert isinstance(made, gradio.components.Component), f"widget() returns {type(made).__name__}"
        assert made.label == "Input", f"widget() calls its input {made.label!r}"


def check_explains(sample: Sample) -> None:
    """Raise AssertionError for a cover that cannot explain a row."""
    modality = sample.modality
    if not modality.covers:
        return
    cover = modality.cover(sample.backbone, {modality.name: sample.cells[0]})
    assert cover.name == modality.name, f"its cover is of {cover.name}"
    windows = cover.windows
    assert (windows.dtype, windows.ndim) == (torch.bool, 2), f"windows are {windows.dtype} {list(windows.shape)}"
    parts = windows.shape[1]
    taken = windows.sum(dim=0)
    assert bool((taken == cover.times).all()), (
        f"times is {cover.times}, and parts are in {int(taken.min())} to {int(taken.max())} windows"
    )
    layout = cover.layout
    assert isinstance(layout, dict), f"layout is {layout}"
    assert "kind" in layout, f"layout has no kind: {layout}"
    assert json.loads(json.dumps(layout)) == layout, f"layout changes in explanation.json: {layout}"
    gone = torch.zeros(3, parts, dtype=torch.bool)
    gone[1], gone[2, 0] = True, True
    batches = list(cover.without(gone))
    found = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    plain = {key: tensor for key, tensor in at(sample.inputs, 0).items() if key in found}
    assert all(len(tensor) == 3 for tensor in found.values()), (
        "without() yields another number of rows than it is asked for"
    )
    odd = unlike(plain, at(found, 0), near=NEAR)
    assert odd is None, f"without() of no part is not the row: {odd}"
    assert unlike(plain, at(found, 1)), "without() of all parts is the row as it was"
    assert unlike(at(found, 1), at(found, 2)), "without() of one part takes all"
    for theme in THEMES:
        _draws(cover, np.linspace(-1, 1, parts), theme)


def _draws(cover: Any, relevance: np.ndarray, theme: Any) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), facecolor=theme.page)
    canvas = FigureCanvasAgg(figure)
    plain, mapped = figure.subplots(1, 2)
    drawn = cover.draw(plain, mapped, relevance, theme)
    assert isinstance(drawn, ScalarMappable), (
        f"draw() returns {type(drawn).__name__}, not what was drawn by a colour map"
    )
    assert all(axis.has_data() for axis in (plain, mapped)), "draw() leaves an axes empty"
    figure.colorbar(drawn, ax=mapped)
    canvas.draw()


def check_compiles(code: Any, what: str) -> None:
    """Raise AssertionError for what is no code of Python."""
    assert isinstance(code, str), f"{what} returns {type(code).__name__}"
    try:
        compile(code, what, "exec")
    except SyntaxError as error:
        raise AssertionError(f"the code of {what} does not compile: {error}") from error
