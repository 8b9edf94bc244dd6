"""Several models of a run: averaged into one native model, or reported side by side."""

import json

import numpy as np
import pytest
import timm
import torch
import yaml

import hubtl
from hubtl.data import builtin
from hubtl.errors import HubtlError
from hubtl.hub.names import files_of
from hubtl.models.saved import load
from hubtl.python import _recipe
from hubtl.recipe.reading import parse
from hubtl.record import RunRecord
from hubtl.run.arm import Arms
from hubtl.run.members import Member, kept, members_of, models_of, prepared_each, whole
from hubtl.run.several import _arms
from hubtl.studies.evaluate import measure
from tests.tiny import hubtl_command

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "source_split": "train[:200]",
    "target_dataset": "builtin:digits/uci",
    "target_split": "train[:200]",
    "target_eval_split": "test[:100]",
    "batch_size": 16,
    "strategy": "mcc",
    "steps": 20,
}
BARE = {"run.plots": False}


def run(folder, **more):
    options = {**BARE, **more.pop("options", {})}
    return hubtl.adapt(**{**DIGITS, **more}, options=options, output_dir=str(folder))


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two methods and two seeds on one frozen backbone, beside source-only."""
    folder = tmp_path_factory.mktemp("heads") / "run"
    return run(folder, tuner="head", members="mcc,bnm", seeds="0,1", hedge=0.7)


def test_heads_on_one_frozen_backbone_become_one_head(heads):
    found = heads.record.ensemble
    assert [(m.strategy, m.seed) for m in found.members] == [("mcc", 0), ("bnm", 0), ("mcc", 1), ("bnm", 1)]
    assert (found.how, found.hedge, found.closeness, found.rows) == ("linear", 0.7, None, 200)
    assert 0 < found.agreement <= 1
    assert len({m.figures.value for m in found.members} | {heads.record.adapted.value}) > 1
    # what was measured is what is saved, and it loads as any model
    again = measure(str(heads.output_dir), "builtin:digits/uci", split="test[:100]")
    assert again.confusion == heads.record.adapted.confusion
    assert json.loads((heads.output_dir / "hubtl.json").read_text())["strategy"] == "mcc"


def test_the_card_names_the_members_and_how_they_became_one(heads):
    said = (heads.output_dir / "README.md").read_text(encoding="utf-8")
    assert "adapted with `mcc` and `bnm` (an average of 4 models)" in said
    assert "`bnm`, seed 1" in said
    assert "they count 70% and source-only 30%" in said
    assert "One run." not in said


def test_the_recipe_that_is_kept_makes_the_same_model_again(heads, tmp_path):
    raw = yaml.safe_load((heads.output_dir / "recipe.yaml").read_text(encoding="utf-8"))
    assert raw["ensemble"]["members"] == ["mcc", "bnm"]
    raw["run"]["output_dir"] = str(tmp_path / "again")
    again = hubtl.adapt(raw)
    assert again.record.adapted.confusion == heads.record.adapted.confusion


@pytest.mark.parametrize(
    "more",
    [
        {"members": "dann,adamatch,dare-gram"},  # rates and bottlenecks of their own
        {"model": "test_vit+lenet", "members": "mcc,adamatch", "optimizer": "adamw"},  # sizes of the input, too
        {"strategy": "auto", "members": None, "tuner": "head", "epochs": 2, "steps": None},
    ],
)
def test_members_read_from_the_recipe_that_is_kept_are_those_of_the_run(more):
    each = prepared_each(_recipe("adapt", None, BARE, {**DIGITS, "strategy": None, **more}))
    again = prepared_each(parse(yaml.safe_load(kept(each).to_yaml(unset=False))))
    wanted, found = ([member.prepared.recipe.model_dump() for member in members_of(one)] for one in (each, again))
    for one in (*wanted, *found):
        one["run"].pop("fallback")  # of the run, whose own strategy auto picked
    assert found == wanted
    assert len(wanted) > 1
    assert whole(again) == whole(each)
    own = {(one["optim"]["lr"], one["model"]["image_size"], one["model"]["bottleneck"]) for one in wanted}
    assert (len(own) > 1) == (more["members"] is not None)


def test_adapted_models_that_count_nothing_leave_source_only_as_it_is(tmp_path, capsys):
    done = run(tmp_path / "run", hedge=0.0, steps=5, options={"ensemble.keep": True})
    assert done.record.adapted.confusion == done.record.source_only.confusion
    assert done.record.ensemble.how == "linear"
    assert measure(str(tmp_path / "run" / "ensemble"), "builtin:digits/uci", split="test[:100]").confusion == (
        done.record.source_only.confusion
    )


def test_models_without_an_output_for_what_is_unknown_are_not_averaged_with_one_that_has_it(tmp_path, capsys):
    for more in ({"members": "osbp,dann"}, {"hedge": 0.7}):
        with pytest.raises(HubtlError, match="has no output 'unknown', which osbp has"):
            run(tmp_path / "run", **{**more, "strategy": "osbp"})
    assert not (tmp_path / "run" / "record.json").exists()


def test_a_hedge_of_one_member_lies_between_it_and_source_only(tmp_path):
    """At 0 the model answers as source-only, at 1 as adapted: the same heads, other shares."""
    kept = {"run.keep_source_only": True}
    rows = np.zeros((4, 28, 28), dtype=np.uint8)
    rows[:, 4:24, 10:16] = 200
    rows[1:] += np.random.default_rng(0).integers(0, 50, (3, 28, 28), dtype=np.uint8)
    logits = {}
    for hedge in (0.0, 0.5, 1.0):
        done = run(tmp_path / str(hedge), tuner="head", hedge=hedge, options=kept)
        logits[hedge] = _logits(done.output_dir, rows)
    before = _logits(done.output_dir / "source-only", rows)
    assert torch.allclose(logits[0.0], before, atol=1e-4)
    ends = [logits[0.0] / logits[0.0].std(), logits[1.0] / logits[1.0].std()]
    assert not torch.allclose(*ends, atol=1e-2)
    # a point of the plane that the two span
    stacked = torch.stack([logits[0.0].flatten(), logits[1.0].flatten()], 1)
    weights = torch.linalg.lstsq(stacked, logits[0.5].flatten()[:, None]).solution
    assert torch.allclose(stacked @ weights, logits[0.5].flatten()[:, None], atol=1e-3)
    assert (weights > 0).all()


def _logits(folder, rows):
    from PIL import Image

    return load(folder).logits([Image.fromarray(row) for row in rows])


@pytest.mark.parametrize("tuner", ["full", "lora"])
def test_models_whose_backbone_learnt_become_one(tuner, tmp_path):
    adam = {"optimizer": "adamw", "lr": 3e-3}
    own = {"model": "test_vit", "image_size": 32, **adam, "options": {"tuner.rank": 2}} if tuner == "lora" else {}
    done = run(tmp_path / "run", tuner=tuner, hedge=0.5, **{"steps": 40, **own})
    found = done.record.ensemble
    assert found.how in (("distilled",) if tuner == "lora" else ("weights", "distilled"))
    assert found.closeness > 0.3  # chance is a tenth
    assert found.figures.n == 100
    again = measure(str(done.output_dir), "builtin:digits/uci", split="test[:100]")
    assert again.confusion == done.record.adapted.confusion


def test_two_backbones_become_one_student_on_the_first(tmp_path):
    done = run(tmp_path / "run", model="lenet+test_resnet", image_size=32, tuner="head")
    found = done.record.ensemble
    assert [m.model for m in found.members] == ["lenet", "test_resnet"]
    assert found.how == "distilled"
    assert found.across is not None
    assert found.across_source_only is not None
    assert done.record.model.name == "lenet"
    assert RunRecord.load(done.output_dir).recipe["model"]["name"] == "lenet+test_resnet"
    again = measure(str(done.output_dir), "builtin:digits/uci", split="test[:100]")
    assert again.confusion == done.record.adapted.confusion
    assert "agree on" in (done.output_dir / "README.md").read_text(encoding="utf-8")


def test_a_kept_ensemble_answers_as_the_average_that_the_record_has(tmp_path, capsys):
    done = run(tmp_path / "run", model="lenet+test_resnet", image_size=32, tuner="head", hedge=0.7, keep_ensemble=True)
    kept = done.output_dir / "ensemble"
    assert sorted(path.name for path in kept.iterdir()) == ["0", "1", "2", "3", "hubtl.json"]
    measured = measure(str(kept), "builtin:digits/uci", split="test[:100]")
    assert measured.value == done.record.ensemble.figures.value
    rows = builtin.load("builtin:digits/uci")["test"].select(range(100))
    loaded = load(kept)
    answers = [answer.label for answer in loaded.predict(rows, batch_size=7)]
    assert np.mean([a == rows.features["label"].int2str(b) for a, b in zip(answers, rows["label"], strict=True)]) == (
        measured.value
    )
    pictures = rows["image"]
    assert answers == [loaded.names[i] for i in loaded.logits(pictures).argmax(1)]
    # each of them is a model of its own, and nothing else takes them for one
    assert load(kept / "0").names == loaded.names
    assert not [name for name in files_of(done.output_dir) if "ensemble" in name]
    with pytest.raises(HubtlError, match="not explained"):
        loaded.explain(pictures[0])
    for typed in (["evaluate", str(kept), "--dataset", "builtin:digits/uci", "--tta", "tent"], _source_free(kept)):
        code, _, err = hubtl_command(typed, capsys)
        assert code == 2
        assert "several models" in err
    (kept / "1" / "hubtl.json").parent.rename(tmp_path / "gone")
    with pytest.raises(HubtlError, match="lacks a model"):
        load(kept)


def _source_free(folder):
    return ["adapt", "--model", str(folder), "--target-dataset", "builtin:digits/uci", "--strategy", "shot"]


def test_seeds_alone_are_reported_and_the_first_one_ships(tmp_path):
    done = run(tmp_path / "run", tuner="head", seeds="0,1,2")
    alone = run(tmp_path / "alone", tuner="head")
    record = done.record
    assert record.ensemble is None
    assert [m.seed for m in record.repeats] == [0, 1, 2]
    assert record.adapted.confusion == alone.record.adapted.confusion
    assert record.adapted.value == record.repeats[0].figures.value
    assert len({m.source_only.value for m in record.repeats}) > 1
    said = (done.output_dir / "README.md").read_text(encoding="utf-8")
    values = [m.figures.value for m in record.repeats]
    assert f"over 3 seeds: adapted {100 * np.mean(values):.1f}% ± {100 * np.std(values, ddof=1):.1f}" in said


def test_another_seed_draws_the_weights_that_a_run_of_that_seed_draws(tmp_path):
    """Source-only, to the last bit; the target's rows lie in the order of the first seed."""
    both = run(tmp_path / "both", seeds="0,5")
    alone = run(tmp_path / "alone", seed=5)
    one, other = both.record.repeats[1].source_only, alone.record.source_only
    assert (one.value, one.macro_f1, one.ece, one.source) == (other.value, other.macro_f1, other.ece, other.source)
    assert both.record.repeats[0].source_only.value != one.value


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--members", "mcc,nosuch"], "nosuch"),
        (["--members", "bnm,shot"], "--strategy mcc is none of the members"),
        (["--strategy", "source-only", "--members", "source-only,mcc"], "is not source-only"),
        (["--members", "mcc,finetune"], "does not work in the setting"),
        (["--seeds", "0,-1"], "a seed is a whole number"),
        (["--seeds", "0,one"], "--seeds is 'one'"),
        (["--seeds", ","], "--seeds is ',': it names nothing"),
        (["--members", ""], "--members is '': it names nothing"),
        (["--members", "mcc,auto"], "auto, which picks strategies and is none"),
        (["--members", "mcc,nope"], "hubtl list strategies"),
        (["--hedge", "1.5"], "the command line: --hedge is 1.5"),
        (["--strategy", "source-only", "--hedge", "0.5"], "source-only is what it would be averaged with"),
        (["--hedge", "0.5", "--no-baseline"], "source-only, which this run does not train"),
        (["--model", "lenet+"], "a name is missing"),
        (["--model", "lenet+lenet"], "twice"),
        (["--model", "lenet+nosuchnet"], "nosuchnet"),
    ],
)
def test_what_does_not_go_together_is_said_before_training(arguments, told, tmp_path, capsys):
    given = ["adapt", "--strategy", "mcc", "--no-pretrained", "--source-dataset", "builtin:digits/mnist"]
    given += ["--target-dataset", "builtin:digits/uci", "--steps", "2", "--output-dir", str(tmp_path / "run")]
    model = [] if "--model" in arguments else ["--model", "lenet"]
    code, _, err = hubtl_command([*given, *model, *arguments], capsys)
    assert code == 2
    assert told in err
    assert not (tmp_path / "run").exists()


def test_a_labelled_target_has_no_source_only_to_be_averaged_with(tmp_path, capsys):
    with pytest.raises(HubtlError, match="transfer has no source-only"):
        run(tmp_path / "run", source_dataset=None, source_split=None, strategy="finetune", hedge=0.5)


def test_the_first_of_several_seeds_is_that_of_source_only_beside_it(tmp_path):
    both = run(tmp_path / "both", seeds="5,6")
    alone = run(tmp_path / "alone", seed=5)
    assert both.record.source_only.confusion == alone.record.source_only.confusion
    assert both.record.adapted.confusion == alone.record.adapted.confusion
    assert both.record.recipe["run"]["seed"] == 5


def test_one_member_without_a_hedge_is_no_average(tmp_path, caplog):
    done = run(tmp_path / "run", members="mcc,mcc", hedge=1.0, steps=2, keep_ensemble=True)
    assert (done.record.ensemble, done.record.repeats) == (None, [])
    assert not (tmp_path / "run" / "ensemble").exists()
    assert "--keep-ensemble keeps nothing" in caplog.text


def test_updates_are_those_of_each_model_and_of_what_learnt_their_average(tmp_path, capsys):
    """Adabn has one step, mcc its own number. The student has half of mcc's."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in DIGITS.items() if not isinstance(value, bool)]
    given += ["--no-pretrained", "--members=mcc,adabn,bnm", "--steps=8", "--set=run.plots=false"]
    code, _, _ = hubtl_command(["adapt", *given, "--dry-run"], capsys)
    assert code == 0
    code, out, _ = hubtl_command(["adapt", *given, f"--output-dir={tmp_path / 'run'}"], capsys)
    assert code == 0
    record = RunRecord.load(tmp_path / "run")
    steps = sorted(member.steps for member in record.ensemble.members)
    assert (record.ensemble.how, record.ensemble.steps) == ("distilled", 4)
    each = f"{steps[0]} to {steps[-1]} each" if steps[0] < steps[-1] else f"{steps[0]} each"
    assert f"updates: {each}, and a student 4; " in out
    said = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert f"Updates: {each}, and a student 4; source-only 8." in said
    assert "for both" not in said
    assert record.ensemble.closeness < 0.8
    assert any("answers as the average of its members on" in text for text in record.warnings)


def test_seeds_alone_are_not_called_an_average_in_the_plan(capsys):
    given = [f"--{name.replace('_', '-')}={value}" for name, value in DIGITS.items() if not isinstance(value, bool)]
    code, out, err = hubtl_command(["adapt", *given, "--no-pretrained", "--seeds=0,1", "--dry-run"], capsys)
    assert code == 0
    assert "seeds      0, 1: each is trained and reported, the first is saved" in out + err
    assert "average  " not in out + err


def test_states_of_backbones_with_the_same_last_name_lie_apart():
    arms, names = Arms(None, None, None), ["lenet", "one/net", "other/net"]
    members = [Member("mcc", seed, name, None) for name in names for seed in (0, 1)]
    assert len({_arms(arms, member, members[0]).key for member in members}) == 6


def test_names_of_several_backbones():
    assert models_of("a+b") == ["a", "b"]
    assert models_of("image=a,text=b") == ["image=a,text=b"]
    with pytest.raises(HubtlError, match="twice"):
        models_of("a+a")


def test_what_became_one_model_opens_in_timm_with_the_same_outputs(tmp_path):
    """A student of two networks, and an average of weights: neither needs hubtl."""
    for name, more in (
        ("student", {"model": "test_resnet+lenet", "tuner": "head"}),
        ("weights", {"model": "test_resnet", "hedge": 0.5}),
    ):
        done = run(tmp_path / name, image_size=32, steps=5, **more)
        assert done.record.ensemble.how in ("distilled", "weights")
        theirs = timm.create_model(f"local-dir:{done.output_dir}", pretrained=True).eval()
        ours = load(done.output_dir)
        pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.allclose(theirs(pixels), ours.classifier({"image": pixels}), atol=1e-5)
            assert theirs(pixels).std() > 0
