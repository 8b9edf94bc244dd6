"""``hubtl.adapt`` on the embedded digits, end to end: what it trains, writes, says and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hubtl
from hubtl.batch import Batch
from hubtl.card import metadata
from hubtl.data.sealed import unsealed
from hubtl.errors import HubtlError, RecipeError
from hubtl.recipe.reading import parse
from hubtl.record import RunRecord
from hubtl.run.prepare import prepare

pytestmark = pytest.mark.slow

DIGITS = {
    "model": "lenet",
    "pretrained": False,
    "source_dataset": "builtin:digits/mnist",
    "target_dataset": "builtin:digits/uci",
}


RECIPE = {
    "model": {"name": "lenet", "pretrained": False},
    "source": "builtin:digits/mnist",
    "target": "builtin:digits/uci",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One MCC run that is long enough to learn."""
    folder = tmp_path_factory.mktemp("runs") / "mcc"
    return hubtl.adapt(**DIGITS, strategy="mcc", steps=250, output_dir=str(folder))


def test_adaptation_beats_source_only_on_real_digits(run):
    base, adapted = run.record.source_only, run.record.adapted
    assert adapted.accuracy > base.accuracy + 0.05
    assert base.source_accuracy > 0.85
    assert adapted.n == 600


def test_the_run_directory_is_the_repository(run):
    names = {p.relative_to(run.output_dir).as_posix() for p in run.output_dir.rglob("*") if p.is_file()}
    assert {"README.md", "config.json", "model.safetensors", "hubtl.json", "record.json", "recipe.yaml"} <= names
    assert {f"plots/{p}" for p in run.record.plots} <= names
    assert {"plots/curves.png", "plots/confusion.png", "plots/features.png"} <= names
    assert not [n for n in names if n.endswith(".partial")]


def test_the_saved_model_is_the_evaluated_model(run):
    """The folded, saved and loaded model has the recorded accuracy."""
    from hubtl.studies.evaluate import measure

    figures = measure(str(run.output_dir), "builtin:digits/uci")
    assert figures.accuracy == pytest.approx(run.record.adapted.accuracy, abs=1e-9)
    assert figures.confusion == run.record.adapted.confusion


def test_the_record_tells_the_truth_about_labels(run):
    record = RunRecord.load(run.output_dir)
    assert record.status == "finished"
    assert record.target_labels == "none"
    assert not record.selection.oracle
    assert record.source.label_counts
    assert record.target.label_counts == {}
    assert metadata.problems(metadata.of(record, repo="user/digits")) == []


def test_the_same_recipe_gives_the_same_weights(run, tmp_path):
    again = hubtl.adapt(str(run.output_dir / "recipe.yaml"), output_dir=str(tmp_path / "again"))
    assert (again.output_dir / "model.safetensors").read_bytes() == (run.output_dir / "model.safetensors").read_bytes()


def test_target_labels_are_sealed(tmp_path):
    """No batch of an adaptation holds target labels. Nothing that hangs on the stream does."""
    recipe = parse(RECIPE)
    prepared = prepare(recipe)
    target = prepared.streams.train["target"]
    assert target.fetch([0, 1]).labels is None
    assert target.labels is None
    assert target._encoded.column_names == ["image"]
    truth = unsealed(prepared.streams.target_eval_labels)
    assert truth is not None
    assert not _reaches(
        target, lambda thing: isinstance(thing, np.ndarray) and thing.shape == (1197,) and thing.max() == 9
    )


def _reaches(thing, predicate):
    values = vars(thing).values()
    return any(predicate(value) for value in values)


def test_a_strategy_that_asks_for_target_labels_cannot_have_them(tmp_path, monkeypatch):
    from hubtl import plugins
    from hubtl.strategies.mcc import MCC
    from hubtl.strategy import Loss

    class Peeking(MCC):
        def step(self, source: Batch, target: Batch, *, at):
            features = self.encode(target)
            yield Loss(self.task.loss(self.head(features.pooled), target.labels))

    original = plugins.load
    monkeypatch.setattr(plugins, "load", lambda kind, name: Peeking if name == "mcc" else original(kind, name))
    with pytest.raises(HubtlError, match="sealed"):
        hubtl.adapt(**DIGITS, strategy="mcc", steps=5, baseline=False, output_dir=str(tmp_path / "peek"))


@pytest.mark.parametrize("strategy", ["finetune", "linear-probe"])
def test_transfer_learns_the_labelled_target(tmp_path, strategy):
    result = hubtl.adapt(
        model="lenet",
        pretrained=False,
        target_dataset="builtin:digits/uci",
        strategy=strategy,
        epochs=4,
        lr=0.05,
        output_dir=str(tmp_path / "run"),
    )
    assert result.record.setting == "transfer"
    assert result.record.target_labels == "training"
    assert result.record.source_only is None
    floor = {"finetune": 0.85, "linear-probe": 0.3}[strategy]
    assert result.record.adapted.accuracy > floor


@pytest.mark.parametrize("strategy", ["dann", "coral", "source-only"])
def test_every_adaptation_runs_and_says_what_it_was(tmp_path, strategy):
    result = hubtl.adapt(
        **DIGITS, strategy=strategy, steps=6, batch_size=8, baseline=False, output_dir=str(tmp_path / "r")
    )
    assert result.record.strategy == strategy
    assert result.record.training.steps == 6
    assert result.summary()["target"]["source_only"] is None


@pytest.mark.parametrize(
    ("tuner", "options"),
    [("head", {}), ("first-n", {"tuner.n": 2}), ("norm", {}), ("bias", {}), ("lora", {"tuner.rank": 2})],
)
def test_tuners_compose_with_a_strategy_and_ship_natively(tmp_path, tuner, options):
    import timm

    result = hubtl.adapt(
        **(DIGITS | {"model": "test_vit"}),
        image_size=32,
        strategy="coral",
        tuner=tuner,
        steps=3,
        batch_size=8,
        augment="none",
        baseline=False,
        options={**options, "run.plots": False},
        output_dir=str(tmp_path / "r"),
    )
    record = result.record.model
    assert 0 <= record.trained_parameters < record.parameters
    model = timm.create_model(f"local-dir:{result.output_dir}", pretrained=True).eval()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        ours, theirs = hubtl.load(result.output_dir).logits([image]), model(transform(image)[None])
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "size"), [("torchvision:alexnet", 64), ("torchvision:vgg11", 32), ("resnet18", 32), ("inception_v3", 80)]
)
def test_the_classic_architectures_run(tmp_path, model, size):
    result = hubtl.adapt(
        **(DIGITS | {"model": model}),
        image_size=size,
        strategy="mcc",
        steps=1,
        batch_size=20,
        augment="none",
        target_split="train[:40]",
        target_eval_split="test[:20]",
        source_split="train[:40]",
        baseline=False,
        options={"run.plots": False},
        output_dir=str(tmp_path / "r"),
    )
    assert result.record.adapted.n == 20
    assert any("one-channel" in note for note in result.record.model.notes)
    image = Image.new("L", (28, 28), 128)
    assert hubtl.load(result.output_dir).predict([image])[0].label in result.record.classes


def test_a_validator_selects_without_labels_and_an_oracle_is_marked(tmp_path):
    common = {
        "steps": 20,
        "batch_size": 16,
        "baseline": False,
        "options": {"run.evaluate_every": 5, "run.plots": False},
    }
    free = hubtl.adapt(**DIGITS, strategy="mcc", validator="infomax", output_dir=str(tmp_path / "free"), **common)
    scores = [c.merit for c in free.record.selection.candidates]
    best = free.record.selection.candidates[scores.index(max(scores))]
    assert len(scores) == 4
    assert free.record.selection.step == best.step
    assert not free.record.selection.oracle
    oracle = hubtl.adapt(
        **DIGITS, strategy="mcc", validator="target-accuracy", output_dir=str(tmp_path / "oracle"), **common
    )
    assert oracle.record.selection.oracle
    assert oracle.record.target_labels == "selection"
    assert "oracle" in (oracle.output_dir / "README.md").read_text().lower()
    assert oracle.summary()["selection"] == {"rule": "target-accuracy", "oracle": True}


def test_trackers_get_losses_and_scores(tmp_path):
    hubtl.adapt(
        **DIGITS, strategy="mcc", steps=4, batch_size=8, report_to=["tensorboard"], output_dir=str(tmp_path / "r")
    )
    events = list((tmp_path / "r" / "training").rglob("events.out.tfevents*"))
    assert events
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(events[0].parent))
    log.Reload()
    tags = set(log.Tags()["scalars"])
    assert {"task", "confusion", "source-only/task", "infomax"} <= tags


def test_five_mistakes_are_told_at_once():
    with pytest.raises(RecipeError) as caught:
        hubtl.adapt(
            {
                "model": {"nam": "lenet"},
                "target": "builtin:digits/uci",
                "strategy": {"name": "dann", "options": {"critic_widht": 3}},
                "optim": {"lr": "fast"},
                "run": {"steps": -1},
                "tuner": "lorra",
            }
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    for part in ("model.name is missing", "model.nam", "critic_width", "optim.lr", "run.steps", "lora"):
        assert part in text
    assert "\n" not in text


def folder_of_images(root: Path, classes: dict[str, int], *, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name, n in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"model": "resnt18"}, "unknown model 'resnt18'", "resnet18"),
        ({"model": "lenet", "pretrained": True}, "no pretrained weights", "--no-pretrained"),
        ({"strategy": "daann"}, "unknown strategy 'daann'", "dann"),
        ({"strategy": "finetune"}, "takes no source", "source-only"),
        ({"target_dataset": "builtin:digits/uic"}, "unknown built-in dataset", "builtin:digits/uci"),
        ({"target_dataset": "./nowhere"}, "no file or folder", "mind the path"),
        ({"target_split": "trian"}, "unknown split", "--target-split train"),
        ({"label_column": "lable"}, "unknown label column", "--label-column label"),
        ({"image_column": "imgae"}, "unknown image column", "--column image=image"),
        ({"domain_column": "dom", "target_domain": "a"}, "unknown domain column", "image"),
        ({"optimizer": "sdg"}, "unknown optimiser", "sgd"),
        ({"validator": "infmax"}, "unknown run.validator", "infomax"),
        ({"steps": 3, "epochs": 2}, "both steps and epochs", "--steps or --epochs"),
        ({"report_to": ["tensorbord"]}, "unknown tracker", "tensorboard"),
        ({"device": "cuda:7"}, "not available", "--device cpu"),
        ({"push_to_hub": "no-user"}, "not a repository's name", "user/repo"),
    ],
)
def test_mistakes_are_named_with_what_to_do_and_write_nothing(tmp_path, changes, message, hint):
    folder = tmp_path / "run"
    with pytest.raises(HubtlError) as caught:
        hubtl.adapt(**(DIGITS | {"strategy": "mcc", "output_dir": str(folder)} | changes))
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")
    assert not folder.exists()


def test_an_output_directory_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(HubtlError, match="is not empty"):
        hubtl.adapt(**DIGITS, output_dir=str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_classes_that_differ_are_told_with_both_lists(tmp_path, caplog):
    source = folder_of_images(tmp_path / "source", {"cat": 12, "dog": 12, "owl": 12})
    target = folder_of_images(tmp_path / "target", {"cat": 12, "Dog": 12, "yak": 12}, seed=1)
    common = {
        "model": "lenet",
        "pretrained": False,
        "source_dataset": str(source),
        "steps": 2,
        "batch_size": 4,
        "baseline": False,
    }
    result = hubtl.adapt(**common, strategy="mcc", target_dataset=str(target), output_dir=str(tmp_path / "run"))
    relation = result.record.label_sets
    assert relation.setting == "open-partial"
    assert (relation.shared, relation.source_only, relation.target_only) == (["cat", "dog"], ["owl"], ["yak"])
    assert any("yak" in warning for warning in result.record.warnings)
    stranger = folder_of_images(tmp_path / "stranger", {"red": 4, "blue": 4})
    with pytest.raises(HubtlError, match=r"share no class; source: cat, dog, owl; target: blue, red"):
        hubtl.adapt(**common, target_dataset=str(stranger), output_dir=str(tmp_path / "none"))


def test_one_class_and_no_images_are_refused(tmp_path):
    lonely = folder_of_images(tmp_path / "lonely", {"cat": 4})
    with pytest.raises(HubtlError, match=r"one class.*cat"):
        hubtl.adapt(**(DIGITS | {"source_dataset": str(lonely)}), output_dir=str(tmp_path / "run"))
    (tmp_path / "table.csv").write_text("file_name,label\n" + "".join(f"lonely/cat/{i}.png,cat\n" for i in range(4)))
    with pytest.raises(HubtlError, match=r"one class.*cat"):
        hubtl.adapt(**(DIGITS | {"source_dataset": str(tmp_path / "table.csv")}), output_dir=str(tmp_path / "run"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(HubtlError, match="neither images nor tables"):
        hubtl.adapt(**(DIGITS | {"target_dataset": str(tmp_path / "empty")}), output_dir=str(tmp_path / "run"))


def test_an_unreadable_image_is_named_or_skipped_and_counted(tmp_path):
    source = folder_of_images(tmp_path / "source", {"cat": 12, "dog": 12})
    target = folder_of_images(tmp_path / "target", {"cat": 12, "dog": 12}, seed=1)
    (target / "cat" / "3.png").write_bytes(b"not an image")
    common = {
        "model": "lenet",
        "pretrained": False,
        "source_dataset": str(source),
        "target_dataset": str(target),
        "steps": 2,
        "batch_size": 4,
        "baseline": False,
    }
    with pytest.raises(HubtlError, match=r"3\.png") as caught:
        hubtl.adapt(**common, output_dir=str(tmp_path / "run"))
    assert "--on-bad-sample skip" in (caught.value.hint or "")
    result = hubtl.adapt(**common, on_bad_sample="skip", output_dir=str(tmp_path / "skip"))
    assert len(result.record.target.skipped) == 1
    assert "3.png" in result.record.target.skipped[0]


def test_the_plan_is_json_and_writes_nothing(tmp_path, capsys, monkeypatch):
    from hubtl.cli.show import plan

    monkeypatch.chdir(tmp_path)
    recipe = parse(
        {
            "model": {"name": "lenet", "pretrained": False},
            "source": "builtin:digits/mnist",
            "target": "builtin:digits/uci",
        }
    )
    plan(recipe, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["phases"][0]["sees"] == ["source", "target"]
    assert set(shown["phases"][0]["learns"]) == {"backbone", "bottleneck", "head"}
    plan(recipe, as_json=False)
    assert "2,000 updates" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["test_vit", "lenet"])
def test_the_snippet_of_the_card_runs_and_says_what_hubtl_says(tmp_path, model, monkeypatch, capsys):
    folder = tmp_path / "run"
    hubtl.adapt(
        **(DIGITS | {"model": model}),
        image_size=32,
        strategy="coral",
        steps=2,
        batch_size=8,
        baseline=False,
        target_eval_split="test[:40]",
        output_dir=str(folder),
    )
    snippet = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 32, 3), dtype=np.uint8))
    monkeypatch.chdir(folder)
    image.save("image.jpg")
    capsys.readouterr()
    exec(snippet, {})
    (prediction,) = hubtl.load(folder).predict("image.jpg")
    assert capsys.readouterr().out.strip() == prediction.label


@pytest.mark.parametrize("rule", ["infomax", "ensv"])
def test_a_selection_survives_an_interruption(tmp_path, monkeypatch, rule):
    """Candidates seen before the stop count after it. The best weights are among them."""
    import signal

    from hubtl.engine.stop import Interrupted
    from hubtl.judging.judge import Judge

    options = {"run.evaluate_every": 5, "run.plots": False}
    common = DIGITS | {"strategy": "mcc", "validator": rule, "steps": 20, "batch_size": 16, "baseline": False}
    whole = hubtl.adapt(**common, options=options, output_dir=str(tmp_path / "whole"))
    judge = Judge.__call__

    def judge_and_stop(self, strategy, step):
        scores = judge(self, strategy, step)
        if step == 10:
            signal.raise_signal(signal.SIGINT)
        return scores

    with monkeypatch.context() as patched:
        patched.setattr(Judge, "__call__", judge_and_stop)
        with pytest.raises(Interrupted):
            hubtl.adapt(**common, options=options, output_dir=str(tmp_path / "cut"))
    resumed = hubtl.adapt(**common, options=options, output_dir=str(tmp_path / "cut"), resume=True)
    assert resumed.record.training.resumed == 1
    assert resumed.record.selection == whole.record.selection
    assert resumed.record.decisions == whole.record.decisions != []
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
