"""``run.keep_source_only``: the model before adaptation, kept beside the one that is shipped."""

import json

import yaml

import hubtl
from hubtl.data import builtin
from hubtl.hub import push
from hubtl.hub.names import files_of
from hubtl.judging.verdict import ROWS
from hubtl.models.saved import load
from hubtl.studies.evaluate import measure

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "source_split": "train[:200]",
    "target_dataset": "builtin:digits/uci",
    "target_split": "train[:200]",
    "target_eval_split": "test[:100]",
    "batch_size": 16,
}
KEEP = {"run.keep_source_only": True, "run.plots": False}


def test_the_source_only_model_is_kept_as_it_was_measured_and_stays_here(tmp_path):
    done = hubtl.adapt(**DIGITS, strategy="adabn", steps=20, options=KEEP, output_dir=str(tmp_path / "run"))
    kept = done.output_dir / "source-only"
    measured = measure(str(kept), "builtin:digits/uci", split="test[:100]")
    assert measured.confusion == done.record.source_only.confusion
    assert measured.confusion != done.record.adapted.confusion
    assert json.loads((kept / "hubtl.json").read_text(encoding="utf-8"))["strategy"] == "source-only"
    assert not [name for name in files_of(done.output_dir) if "source-only" in name]
    # and it can be pushed by itself, with a card that says what it is
    assert {name for name, _ in push(kept, "user/before", dry_run=True).files} >= {"README.md", "model.safetensors"}
    front, said = (kept / "README.md").read_text(encoding="utf-8").split("---\n")[1:]
    assert yaml.safe_load(front)["tags"] == ["hubtl", "source-only"]
    assert "Not adapted" in said
    assert "mnist" in said


def test_nothing_is_kept_where_source_only_ships(tmp_path):
    done = hubtl.adapt(**DIGITS, strategy="source-only", steps=2, options=KEEP, output_dir=str(tmp_path / "run"))
    assert not (done.output_dir / "source-only").exists()


def test_it_is_kept_where_the_verdict_is_undecided_unless_the_recipe_says_no(tmp_path):
    """The verdict counts rows that the two kept models answer differently. They do so when loaded again, too."""
    bare = {"run.plots": False}
    done = hubtl.adapt(**DIGITS, strategy="adabn", steps=100, options=bare, output_dir=str(tmp_path / "run"))
    verdict = done.record.verdict
    assert verdict.answer == "undecided"
    rows = builtin.load("builtin:digits/uci")["train"].select(range(200))
    answers = [[p.label for p in load(done.output_dir / part).predict(rows)] for part in ("", "source-only")]
    apart = sum(a != b for a, b in zip(*answers, strict=True))
    assert 0 < apart < 200
    assert verdict.disagreement == apart / 200
    assert verdict.rows == min(ROWS, apart)
    never = {**bare, "run.keep_source_only": False}
    done = hubtl.adapt(**DIGITS, strategy="adabn", steps=2, options=never, output_dir=str(tmp_path / "never"))
    assert done.record.verdict.rows or done.record.verdict.rail
    assert not (done.output_dir / "source-only").exists()
