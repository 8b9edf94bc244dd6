"""Serve the page of ``hubtl label``: one row at a time, a button for each label, the evidence."""

import html
import re
from collections.abc import Callable
from typing import Any

import gradio as gr

from hubtl.demo import rowshown
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.run.ship import shipped
from hubtl.studies.label import Labelling
from hubtl.studies.outcome import disagreeing, more, progress

MOST_BUTTONS = 12  # labels; more are typed, with a list to choose from
KEYS = """
() => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
    const box = typing && /^(checkbox|radio)$/.test(typing.type || "");
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || (typing && !box)) return;
    const ids = { u: ["hubtl-undo", "hubtl-undo-last"], s: ["hubtl-skip"] }[event.key] || [];
    if (/^[0-9]$/.test(event.key)) ids.push("hubtl-label-" + event.key);
    const there = ids.map((id) => document.getElementById(id)).find((button) => button && button.checkVisibility());
    if (there) { event.preventDefault(); there.click(); }
  });
}
"""
CSS = """
.hubtl-said { border: 1px solid var(--border-color-primary); border-radius: var(--block-radius); padding: 0.7rem 1rem;
  background: var(--block-background-fill); color: var(--body-text-color); }
.hubtl-said p { margin: 0.2rem 0; color: inherit; }
.hubtl-said.settled { border-left: 4px solid #2e8b57; }
.hubtl-said.open { border-left: 4px solid #8a8f98; }
.hubtl-scale { position: relative; height: 0.7rem; margin: 0.6rem 0 0.2rem; border-radius: 4px;
  background: var(--border-color-primary); }
.hubtl-scale i { position: absolute; top: 0; bottom: 0; background: #d9730d; opacity: 0.55; border-radius: 4px; }
.hubtl-scale b { position: absolute; top: -0.15rem; bottom: -0.15rem; width: 3px; margin-left: -1px;
  background: var(--body-text-color); }
.hubtl-scale u { position: absolute; top: 0; bottom: 0; left: 50%; width: 1px; background: var(--body-text-color); opacity: 0.5; }
.hubtl-ends { display: flex; justify-content: space-between; font-size: 0.85rem; opacity: 0.75; }
.hubtl-back button { flex: 1 1 6rem; min-width: 6rem; }
.hubtl-labels { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.hubtl-labels button { flex: 1 1 auto; min-width: 4.5rem; min-height: 3rem; white-space: normal; overflow-wrap: anywhere; }
"""


class Shown:
    """Act for the page; an answer counts only for the row that was shown with it."""

    def __init__(self, asking: Labelling) -> None:
        self.asking = asking

    def act(self, row: str, do: Callable[[Any], None]) -> str:
        """Act on the current row if it is ``row``. Returns an error, if any."""
        question = self.asking.current()
        if question is None or str(question.row) != row:
            return ""
        try:
            do(question)
            self.ship()
        except HubtlError as error:
            hint = f" ({error.hint})" if error.hint else ""
            return f"{error}{hint}"
        return ""

    def undo(self) -> str:
        """Undo the last answer, and the shipping that followed it."""
        try:
            return "" if self._undone() else "There is nothing to undo."
        except HubtlError as error:
            return str(error)

    def _undone(self) -> bool:
        there = self.asking.undo() is not None
        if there:
            self.ship()
        return there

    def ship(self) -> None:
        """Ship the decided model; undo what is no longer decided."""
        before = self.asking.record.verified
        settled = self.asking.rule.decided(self.asking.tally)
        if settled in ("adapted", "source-only") or (before is not None and before.answer != "undecided"):
            self.asking.close()


def page(asking: Labelling) -> gr.Blocks:
    """Build the page of one run; nothing in it comes from elsewhere."""
    at, choices = Shown(asking), asking.task.choices()
    blocks = gr.Blocks(analytics_enabled=False, title=f"label {asking.folder.name}, hubtl")
    with blocks:
        gr.HTML(f"<style>{CSS}</style>{_heading(asking)}", padding=False)
        keys = gr.HTML(padding=False)
        problem = gr.HTML(visible=False)
        row = gr.Textbox(visible=False)
        picture = gr.HTML(padding=False)
        answers: list[tuple[Any, Any]] = []  # each: a button, and what holds the label or the label itself
        with gr.Column() as answering:
            entry: Any = None
            if asking.task.several:
                entry = gr.CheckboxGroup(choices, label="Labels of this row: all that are there, or none")
            elif len(choices) > MOST_BUTTONS:
                entry = gr.Dropdown(choices, value=None, label="Label")
            elif not choices:
                entry = gr.Textbox(label="Label", max_lines=1, autofocus=True, submit_btn=False)
            if entry is None:
                with gr.Row(elem_classes="hubtl-labels"):
                    for number, (key, name) in enumerate(zip(_keys(choices), choices, strict=True), 1):
                        says = shown.line(name) if key in ("", name.strip()) else f"{key}  {shown.line(name)}"
                        button = gr.Button(says, elem_id=f"hubtl-label-{key or f'no-key-{number}'}")
                        answers.append((button, name))
            else:
                button = gr.Button("Answer", variant="primary", elem_id="hubtl-answer")
                answers.append((button, entry))
        with gr.Row(elem_classes="hubtl-back"):
            skip = gr.Button("Skip (s)", elem_id="hubtl-skip", size="sm")
            undo = gr.Button("Undo (u)", elem_id="hubtl-undo", size="sm")
        said = gr.HTML(padding=False)
        last = gr.Button("Undo the last answer (u)", elem_id="hubtl-undo-last", size="sm", visible=False)

        everything = [keys, said, problem, row, picture, answering, skip, undo, last] + (
            [] if entry is None else [entry]
        )

        def drawn(wrong: str = "") -> list[Any]:
            """Return everything that the page shows now."""
            question = asking.current()
            shows = "" if question is None else rowshown.row(question.cells, _caption(asking, question))
            made = [
                _keys_said(asking),
                _said(asking, settled=question is None),
                gr.HTML(_problem(wrong), visible=bool(wrong)),
                "" if question is None else str(question.row),
                gr.HTML(shows, visible=question is not None),
                gr.Column(visible=question is not None),
                gr.Button(visible=question is not None),
                gr.Button(visible=question is not None, interactive=bool(asking.verified().rows)),
                gr.Button(visible=question is None),
            ]
            if entry is not None:
                kept: dict[str, Any] = (
                    {} if wrong else {"value": [] if asking.task.several else "" if not choices else None}
                )
                made.append(type(entry)(**kept))
            return made

        def answered(row: str, label: Any) -> list[Any]:
            text = (", ".join(label) or "none of these") if isinstance(label, list) else str(label or "")
            if not text.strip():
                return drawn("Choose or type a label, or skip the row.")
            return drawn(at.act(row, lambda question: asking.answer(question, text)))

        def skipped(row: str) -> list[Any]:
            return drawn(at.act(row, asking.skip))

        how: Any = {
            "concurrency_id": "label",
            "concurrency_limit": 1,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        for button, label in answers:
            if label is entry and entry is not None:
                button.click(answered, [row, entry], everything, **how)
            else:
                button.click(lambda row, label=label: answered(row, label), [row], everything, **how)
        if entry is not None and not choices:
            entry.submit(answered, [row, entry], everything, **how)
        skip.click(skipped, [row], everything, **how)
        for button in (undo, last):
            button.click(lambda: drawn(at.undo()), None, everything, **how)
        blocks.load(lambda: drawn(), None, everything, **how)
        blocks.load(None, js=KEYS)
    return blocks


def _heading(asking: Labelling) -> str:
    record = asking.record
    method = record.verdict.tried if record.verdict and record.verdict.tried else record.strategy
    about = (
        f"Which is better, source-only or adapted with {method}? They {disagreeing(asking)}. "
        f"At most {asking.rule.most} of these are asked for."
    )
    name = html.escape(shown.line(asking.folder.resolve().name))
    return f'<h1>{name}</h1><p class="hubtl-note">{html.escape(shown.line(about))}</p>'


def _keys_said(asking: Labelling) -> str:
    """Describe the keys that do something now: without a row to label, only the one that undoes."""
    if asking.current() is None:
        return '<p class="hubtl-note">Key: u undo.</p>' if asking.verified().rows else ""
    choices = asking.task.choices()
    keyed = [] if asking.task.several or len(choices) > MOST_BUTTONS else [key for key in _keys(choices) if key]
    keys = "Keys: u undo, s skip" + (f", {keyed[0]} to {keyed[-1]} the labels" if keyed else "")
    return f'<p class="hubtl-note">{keys}.</p>'


def _keys(choices: list[str]) -> list[str]:
    """Return the key of each label: its number from 1, or its own digits; none for some."""
    if any(choice.isdecimal() for choice in choices):
        return [choice.strip() if re.fullmatch("[0-9]", choice.strip()) else "" for choice in choices]
    return [str(number) if number < 10 else "" for number in range(1, len(choices) + 1)]


def _caption(asking: Labelling, question: Any) -> str:
    place = f"{asking.tally.asked + 1}. row {question.row}"
    return f"{place}, {question.name}" if question.name else place


def _said(asking: Labelling, *, settled: bool) -> str:
    """Describe the evidence, as a line and an interval. Once decided, it is the shipped model."""
    found = asking.verified()
    first = "Nothing is labelled yet."
    if found.n:
        first = progress(asking)
    if settled:
        first = f"not settled: {found.brief}"
        if found.answer != "undecided":
            first = f"settled: {found.answer} is better, {found.brief.partition(', ')[2]}; shipped"
        elif len(found.rows) == len(asking.order):
            first += "; every row on which they disagree was asked for"
    lines = f"<p><strong>{html.escape(shown.line(first))}</strong></p>"
    if settled:
        lines += f"<p>{html.escape(progress(asking))}</p>"
        lines += f'<p class="hubtl-note">The run ships {shipped(asking.record)}. This page can be closed.</p>'
        if found.answer == "undecided":
            lines += f'<p class="hubtl-note">{html.escape(shown.line(more(asking, found)))}</p>'
    kind = (" open" if found.answer == "undecided" else " settled") if settled else ""
    return f'<div class="hubtl-said{kind}" role="status">{lines}{_scale(asking)}</div>'


def _scale(asking: Labelling) -> str:
    low, middle, high = (50 + 50 * number / max(asking.share, 1e-9) for number in asking.tally.gain(asking.share))
    if not asking.tally.asked:
        return ""
    bar = f'<i style="left: {low:.1f}%; width: {high - low:.1f}%"></i><u></u><b style="left: {middle:.1f}%"></b>'
    ends = "<span>source-only is better</span><span>adapted is better</span>"
    return f'<div class="hubtl-scale">{bar}</div><div class="hubtl-ends">{ends}</div>'


def _problem(text: str) -> str:
    return f'<div class="hubtl-problem" role="alert">{html.escape(shown.line(text))}</div>' if text else ""
