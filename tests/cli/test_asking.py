"""A row of ``hubtl label`` in the terminal: what can be shown there, and where the rest is."""

import pytest

from hubtl.cli.asking import _shown
from hubtl.studies.label import Question

PAGE = "without a file name: hubtl label RUN --page shows it)"


@pytest.mark.parametrize(
    ("shown", "cells", "lines"),
    [
        ({"image": "a.png"}, {"image": {"path": "a.png"}}, ["1. row 303  a.png"]),
        ({}, {"image": {"bytes": b"x", "path": None}}, [f"1. row 303  (image {PAGE}"]),
        (
            {"text": "Good."},
            {"text": "Good.", "image": b"x", "audio": b"x"},
            [f"1. row 303  (image, audio {PAGE}", "   Good."],
        ),
        ({"text": "Good."}, {"text": "Good.", "image": None}, ["1. row 303", "   Good."]),
        ({}, {"text": ""}, ["1. row 303"]),
    ],
)
def test_what_the_terminal_cannot_show_the_page_does(shown, cells, lines):
    assert _shown(1, Question(303, shown, cells)) == lines
