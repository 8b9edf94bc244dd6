"""Recipes within bounds: bombs, endless files, absurd numbers and texts are one error, at once."""

import contextlib
import os
import time

import pytest
import yaml
from pydantic import BaseModel

from hubtl.backbones.saved import read_config, read_facts
from hubtl.cli.messages import predicting
from hubtl.errors import HubtlError, RecipeError
from hubtl.hub.push import facts_of
from hubtl.io.plain import Refused, json_of, parsed
from hubtl.recipe.reading import merge, parse, parse_set, problems_of, read
from hubtl.record import RunRecord
from hubtl.run.workplace import Workplace

GOOD = {"model": "lenet", "target": "data"}
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
BOMBS = {
    "billion laughs": LAUGHS,
    "itself": "a: &a [*a]",
    "nested lists": "a: " + "[" * 3000 + "]" * 3000,
    "nested maps": "{a: " * 200 + "1" + "}" * 200,
    "digits": "run: {steps: " + "9" * 5000 + "}",
    "twice": "model: lenet\nmodel: resnet50\n",
    "twice below": "run: {steps: 1, steps: 2}",
    "tag": "a: !!python/object/apply:os.system [ls]",
    "own tag": "a: !thing 1",
    "key": "? [a, b]\n: 1",
    "date": "a: 2024-13-45",
    "long": "a: " + "x" * (2**20 + 1),
    "merge": "a: &a {b: 1}\nc: {<<: [" + "*a," * 30_000 + "]}",
    "many": "a: [" + "x," * 500_000 + "]",
    "bytes": "a: !!binary aGk=",
    "set": "a: !!set {x}",
    "binary": "a: \x00",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_one_error_at_once(tmp_path, bomb):
    path, began = tmp_path / "recipe.yaml", time.monotonic()
    path.write_text(BOMBS[bomb])
    with pytest.raises(HubtlError) as caught:
        read(path)
    assert time.monotonic() - began < 5
    assert len(str(caught.value)) < 600
    assert caught.value.hint


def test_files_that_are_none_and_files_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(2**30)
    (tmp_path / "latin.yaml").write_bytes(b"model: caf\xe9")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "huge.yaml", "latin.yaml", "folder.yaml", "/dev/zero", "none.yaml"):
        with pytest.raises(HubtlError):
            read(tmp_path / name)
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "digits.json").write_text("1" * 5000)
    for name in ("deep.json", "pipe.yaml", "latin.yaml", "digits.json"):
        with pytest.raises(Refused):
            json_of(tmp_path / name)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[]", "7", "null", '"a"', "{", "\xff", '{"format_version": []}'], ids=lambda text: text[:9]
)
def test_damaged_files_of_a_run_are_one_error(tmp_path, text):
    """Damage of no file of a run or model gives a traceback."""
    for name in ("record.json", "hubtl.json", "config.json", "training/files.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    for asked in (
        RunRecord.load,
        read_facts,
        read_config,
        facts_of,
        predicting,
        lambda folder: Workplace(folder, overwrite=True).look(),
    ):
        with contextlib.suppress(HubtlError):
            asked(tmp_path)
    with pytest.raises(HubtlError):
        RunRecord.load(tmp_path)


def test_plain_recipes_are_read_as_before():
    for text in ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: [1, 2.5, null, true, 2024-01-02]}", "", "- 1\n- a", "a: 0x1F"):
        assert parsed(text) == yaml.safe_load(text)


NUMBERS = [-1, 10**30, float("nan"), float("inf"), -float("inf"), True, "many", [1], {"a": 1}]


@pytest.mark.parametrize(
    "key",
    [
        "run.steps", "run.epochs", "run.batch_size", "run.seed", "run.gradient_accumulation_steps", "run.checkpoint_every",
        "run.evaluate_every", "model.image_size", "model.bottleneck", "data.num_workers", "optim.lr", "optim.weight_decay",
        "optim.momentum", "optim.warmup_steps", "optim.step_every", "target.labels_per_class", "data.hold_out",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", NUMBERS, ids=str)
def test_absurd_numbers_name_their_key(key, value):
    if value == 10**30 and key in ("optim.lr", "optim.weight_decay"):
        pytest.skip("finite, and as large as one likes")
    with pytest.raises(RecipeError) as caught:
        parse(merge(GOOD, {key: value}))
    assert key in str(caught.value)


@pytest.mark.parametrize("key", ["model.name", "target.dataset", "run.output_dir", "data.label_column", "run.device"])
def test_texts_without_end_or_with_a_nul_are_refused(key):
    for text in ("a\0b", "x" * 5000, "\ud800"):
        with pytest.raises(RecipeError) as caught:
            parse(merge(GOOD, {key: text}))
        assert len(str(caught.value)) < 500


def test_options_of_plugins_are_finite_numbers_and_no_switches():
    for options in ({"weight": float("nan")}, {"weight": float("inf")}, {"weight": True}, {"weight": "nan"}):
        with pytest.raises(RecipeError) as caught:
            parse({**GOOD, "source": "other", "strategy": {"name": "mcc", "options": options}})
        assert "weight" in str(caught.value)

    class Own(BaseModel):
        rate: float = 0.1
        words: str = ""
        wide: bool = False

    for value in ({"rate": float("inf")}, {"rate": True}, {"words": "a\0"}, {"words": "\ud800"}):
        assert len(problems_of(Own, "own", value)) == 1
    assert problems_of(Own, "own", {"rate": 1, "words": "é", "wide": True}) == []


def test_set_takes_plain_values_alone():
    for pair in ("a=!!python/name:os.system", "a=" + "[" * 500, "a=" + "9" * 900, "a={b: 1, b: 2}", "a=2024-99-99"):
        with pytest.raises(HubtlError):
            parse_set([pair])
    assert parse_set(["a=[1, 2]", "b=3e-3", "c=word"]) == {"a": [1, 2], "b": 0.003, "c": "word"}
