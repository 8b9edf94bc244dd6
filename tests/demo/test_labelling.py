"""The page of ``hubtl label``: rows are shown and labelled in a browser, and the winner is shipped."""

import base64
import io
import shutil
import wave

import numpy as np
import pytest
from PIL import Image

from hubtl.demo import rowshown
from hubtl.demo.labelling import Shown, _keys, _said
from hubtl.record import RunRecord
from hubtl.studies import label as study
from hubtl.studies.outcome import outcome
from tests.demo.test_demo import serving
from tests.studies.test_label import finished as finished
from tests.studies.test_label import spoil, truth


@pytest.fixture
def harmed(finished, tmp_path):
    """Source-only is right on every row, adapted on none."""
    run = shutil.copytree(finished, tmp_path / "run")
    spoil(run)
    return run


def opened(browser, address, theme="light"):
    tab = browser.new_page()
    tab.goto(f"{address}/?__theme={theme}")
    tab.locator(".hubtl-row img").wait_for()
    return tab


def caption(tab):
    return tab.locator(".hubtl-row figcaption").inner_text()


def press(tab, shown):
    tab.keyboard.press("2" if truth(shown.split(", ")[1]) == "light" else "1")


def moved_on(tab, before):
    tab.wait_for_function("before => !document.body.innerText.includes(before)", arg=before)
    return caption(tab) if tab.locator(".hubtl-row figcaption").count() else ""


def test_rows_are_labelled_by_keys_and_buttons_taken_back_and_settled(harmed, browser, tmp_path):
    with serving(["label", str(harmed), "--page"], tmp_path) as (address, _, last):
        tab = opened(browser, address)
        assert "source-only or adapted with mcc? They answer each of 48" in tab.inner_text("body")
        assert "1 to 3 the labels" in tab.inner_text("body")
        assert "Nothing is labelled yet" in tab.locator(".hubtl-said").inner_text()
        box, skip, undo = (tab.locator(name).bounding_box() for name in (".hubtl-said", "#hubtl-skip", "#hubtl-undo"))
        assert (skip["x"], undo["x"] + undo["width"]) == (box["x"], box["x"] + box["width"]), "no button sticks out"
        first = caption(tab)
        number, name = first.removeprefix("1. row ").split(", ")
        assert int(number) == int(name.removesuffix(".png"))
        press(tab, first)
        second = moved_on(tab, first)
        assert second.startswith("2. row ")
        assert "wins 0, losses 1, neither 0" in tab.locator(".hubtl-said").inner_text()
        tab.keyboard.press("u")
        assert moved_on(tab, second) == first
        tab.get_by_role("button", name=truth(name)).click()
        assert moved_on(tab, first) == second
        tab.keyboard.press("s")
        third = moved_on(tab, second)
        assert third.startswith("2. row "), "a skipped row is no label"
        tab.close()
    assert f"continue with: hubtl label {harmed} --page" in last
    assert RunRecord.load(harmed).verified.losses == 1

    with serving(["label", str(harmed), "--page"], tmp_path) as (address, _, last):
        tab = opened(browser, address, "dark")
        shown = caption(tab)
        assert shown == third
        while shown:
            press(tab, shown)
            shown = moved_on(tab, shown)
        assert "settled: source-only is better, 96.5 %; shipped" in tab.locator(".hubtl-said").inner_text()
        assert not tab.locator("#hubtl-skip").is_visible()
        assert "Key: u undo." in tab.inner_text("body")
        assert "the labels" not in tab.inner_text("body")
        box, last = (tab.locator(name).bounding_box() for name in (".hubtl-said", "#hubtl-undo-last"))
        assert last["y"] > box["y"] + box["height"], "what is settled comes first"
        record = RunRecord.load(harmed)
        assert (record.strategy, record.verified.answer, record.verified.losses) == ("source-only", "source-only", 6)
        tab.keyboard.press("u")
        tab.locator(".hubtl-row figcaption").wait_for()
        record = RunRecord.load(harmed)
        assert (record.strategy, record.verified.answer, record.verified.losses) == ("mcc", "undecided", 5)
        tab.close()


def test_an_answer_to_another_row_than_the_one_that_is_asked_is_none(harmed):
    at = Shown(study.begin(harmed, study.Rule()))
    first = at.asking.current()
    assert at.act(str(first.row), lambda q: at.asking.answer(q, "dark")) == ""
    assert at.act(str(first.row), lambda q: at.asking.answer(q, "light")) == "", (
        "a second click, before the next row came"
    )
    assert (at.asking.tally.asked, at.asking.answers.of(first.row).label) == (1, "dark")
    assert "unknown class 'grey'" in at.act(str(at.asking.current().row), lambda q: at.asking.answer(q, "grey"))
    assert (at.undo(), at.undo()) == ("", "There is nothing to undo.")


def test_a_picture_a_sound_and_a_text_are_in_the_page_itself(tmp_path):
    Image.fromarray(np.tile(np.arange(60, dtype=np.uint16) * 1000, (40, 1))).save(tmp_path / "deep.png")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    cells = {
        "image": {"path": str(tmp_path / "deep.png"), "bytes": None},
        "audio": {"path": str(tmp_path / "tone.wav")},
    }
    made = rowshown.row({**cells, "text": "a <b>\n& two"}, "1. row 4")
    assert '<img class="small"' in made
    assert 'src="data:image/png;base64,' in made
    shown = Image.open(io.BytesIO(base64.b64decode(made.split("base64,")[1].split('"')[0])))
    assert (shown.getpixel((0, 0)), shown.getpixel((30, 0)), shown.getpixel((59, 0))) == (0, 129, 255)
    assert '<audio controls autoplay src="data:audio/wav;base64,UklGR' in made
    assert "<blockquote>a &lt;b&gt;\n&amp; two</blockquote>" in made
    assert str(tmp_path) not in made
    broken = {"image": {"path": "/home/me/no.png", "bytes": b"no"}, "audio": {"path": str(tmp_path / "gone.wav")}}
    made = rowshown.row(broken, "")
    assert "The image cannot be read: no.png" in made
    assert "The recording cannot be read: gone.wav" in made


@pytest.mark.parametrize(
    ("choices", "keys"),
    [
        (["dark", "light", "none of these"], ["1", "2", "3"]),
        (["0", "1", "9", "10", "none of these"], ["0", "1", "9", "", ""]),
        ([f"c{i}" for i in range(11)], [*"123456789", "", ""]),
    ],
)
def test_the_key_of_a_label_is_its_number_and_of_a_digit_itself(choices, keys):
    assert _keys(choices) == keys


def test_what_is_not_settled_is_not_said_to_be_and_the_command_that_goes_on_keeps_the_rule(harmed):
    asking = study.begin(harmed, study.Rule(prior="flat", certain=0.05, most=2, seed=3))
    for _ in range(2):
        asking.answer(asking.current(), truth(asking.current().name))
    assert asking.current() is None
    said = _said(asking, settled=True)
    assert 'class="hubtl-said open"' in said
    flags = "--page --certain --prior flat --seed 3"
    assert f"more rows to decide: hubtl label {harmed} {flags} --max " in said
    assert f"{harmed} --certain --prior flat --seed 3 --max " in "".join(outcome(asking, asking.verified()))
