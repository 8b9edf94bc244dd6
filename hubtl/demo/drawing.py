"""Draw an answer in words and bars, as HTML. Tasks with several outputs in an answer use it."""

import html

from hubtl.io import shown
from hubtl.tasks import Answer, Bar

CSS = """
.hubtl-answer { border: 1px solid var(--border-color-primary); border-radius: var(--block-radius); padding: 0.8em 1em;
  background: var(--block-background-fill); color: var(--body-text-color); overflow-wrap: anywhere; }
.hubtl-answer h2 { font-size: 0.85rem; font-weight: 400; margin: 0 0 0.6em; opacity: 0.75; color: inherit; }
.hubtl-answer p { margin: 0.3em 0; color: inherit; }
.hubtl-answer strong { font-size: 1.4rem; color: inherit; }
.hubtl-answer ul { list-style: none; margin: 0.9em 0 0; padding: 0; }
.hubtl-answer li { margin: 0.5em 0; color: inherit; }
.hubtl-answer li > span { display: flex; justify-content: space-between; gap: 1em; }
.hubtl-answer li > span > span:last-child { white-space: nowrap; }
.hubtl-answer .answered > span { font-weight: 700; }
.hubtl-bar { position: relative; height: 0.6em; margin-top: 0.2em; background: var(--border-color-primary); }
.hubtl-bar i { display: block; height: 100%; background: #8a8f98; }
.hubtl-answer .answered .hubtl-bar i { background: #d9730d; }
.hubtl-bar b { position: absolute; top: -0.2em; bottom: -0.2em; width: 2px; margin-left: -1px; background: var(--body-text-color); }
"""


def answer(title: str, said: Answer | None) -> str:
    """Draw an answer under a title; None: there is none yet."""
    lines = [] if said is None else [_line(line.name, line.value, line.aside) for line in said.said()]
    bars = [] if said is None else said.bars()
    below = ""
    if bars:
        note = "Answered is what lies above its mark."
        below = f'<ul>{"".join(map(_bar, bars))}</ul><p class="hubtl-note">{note}</p>'
    return f'<div class="hubtl-answer"><h2>{_safe(title)}</h2>{"".join(lines)}{below}</div>'


def _line(name: str, value: str, aside: str) -> str:
    words = f"{_safe(name)} <strong>{_safe(value)}</strong>" if name else f"<strong>{_safe(value)}</strong>"
    return f"<p>{words}</p>" + (f'<p class="hubtl-note">{_safe(aside)}</p>' if aside else "")


def _bar(bar: Bar) -> str:
    kind = ' class="answered"' if bar.share > bar.cut else ""
    said = f"<span><span>{_safe(bar.name)}</span><span>{100 * bar.share:.0f}%</span></span>"
    mark = f'<b style="left: {100 * bar.cut:.1f}%" title="threshold {100 * bar.cut:.0f}%"></b>'
    return f'<li{kind}>{said}<div class="hubtl-bar"><i style="width: {100 * bar.share:.1f}%"></i>{mark}</div></li>'


def _safe(text: str) -> str:
    return html.escape(shown.line(text))
