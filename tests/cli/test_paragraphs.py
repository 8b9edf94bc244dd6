"""``hubtl show`` wraps prose to the terminal. Lists, tables, formulas and code stay as they are."""

from itertools import pairwise

import pytest

from hubtl.cli.paragraphs import WIDEST, item, width, wrapped
from tests.tiny import hubtl_command

PROSE = "Train features that a domain critic cannot distinguish, by a gradient that is reversed on its\nway back."
BLOCKS = """- one item that is longer than the narrowest terminal of the test, by a few words
  and its continuation
* another
1. a number

| key | value |
| --- | --- |

    L = task(h(f(x_s)), y_s) + weight · BCE(critic(R(f(x))), domain)  # a formula by itself

```
code
that  stays
```

name   meaning   default"""


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_prose_is_wrapped_and_everything_else_is_kept(columns):
    found = wrapped(f"{PROSE}\n\n{BLOCKS}", columns)
    head, _, rest = found.partition("\n\n")
    assert rest == BLOCKS
    assert head.split() == PROSE.split()
    lines = head.split("\n")
    assert max(map(len, lines)) <= columns
    first = [len(line) + 1 + len(after.split()[0]) for line, after in pairwise(lines)]
    assert all(length > columns for length in first)  # no word would fit on the line before


def test_prose_around_a_list_is_wrapped_by_itself():
    text = "Some words before\na list:\n- one\n- two\nSome words\nafter it."
    assert wrapped(text, 80) == "Some words before a list:\n- one\n- two\nSome words after it."


def test_inline_code_is_broken_only_where_it_is_longer_than_a_line():
    assert wrapped("The loss is ``a + b + c`` in all.", 20).split("\n") == ["The loss is", "``a + b + c`` in", "all."]
    assert wrapped("``a + b + c + d + e + f``", 12).split("\n") == ["``a + b + c", "+ d + e +", "f``"]


def test_a_description_continues_under_its_option():
    assert item("  weight = 1.0", "weight of the loss", 40) == "  weight = 1.0  weight of the loss"
    assert item("  weight = 1.0", "weight of the loss", 24) == "  weight = 1.0  weight\n    of the loss"


def test_lines_are_at_most_120_characters_long(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert width() == WIDEST == 120
    monkeypatch.setenv("COLUMNS", "60")
    assert width() == 60


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", ["dann", "adda", "lora", "ensemble", "tent"])
def test_show_fits_the_terminal(columns, name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = hubtl_command(["show", name], capsys)
    assert code == 0
    prose = [line for line in out.split("\n") if not line.startswith(("label sets", "parts", "needs", "paper"))]
    assert max(map(len, prose)) <= columns
    assert max(map(len, prose)) > columns - 20  # and uses its width
