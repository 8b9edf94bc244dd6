"""Adjusting by performance, in runs: what goes wrong is put right, told, and survives an interruption bit by bit."""

import json
import logging
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import hubtl
from hubtl.engine.adjust import Controller
from hubtl.engine.loop import Engine
from hubtl.engine.stop import Interrupted
from hubtl.losses import entropy
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.record import LabelSets, RunRecord
from hubtl.run.watch import Watch
from hubtl.strategies.dann import DANN
from hubtl.strategies.mcc import MCC
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Loss, Phase
from hubtl.tasks.classification import Classification
from tests.engine.test_loop import StopAt, same, weights
from tests.tiny import Rows, accelerator, accuracy, build, domains, sealed

pytestmark = pytest.mark.slow


def world(**options):
    """A prepared run of two toy domains. It has what a watch looks at."""
    source, target = domains(256, **options)
    held_out, _ = domains(256, seed=7)
    streams = SimpleNamespace(
        train={"source": source, "target": sealed(target)},
        source_eval=held_out,
        held_out=None,
        target_plain=sealed(target),
    )
    relation = LabelSets(setting="closed")
    return SimpleNamespace(
        streams=streams, setting="adaptation", task=Classification(["a", "b"]), relation=relation
    ), target


def run(strategy, prepared, *, adjust=True, watch=None, folder=None, resume=False, judge=None, lr=0.02, **settings):
    settings = {"steps": 200, "batch_size": 32, "device": "cpu", "evaluate_every": 10, **settings}
    optim = OptimSection(lr=lr, backbone_lr_scale=1.0, schedule="constant", weight_decay=1e-3)
    acc = accelerator()
    controller = Controller(watch or Watch(prepared, acc)) if adjust else None
    engine = Engine(acc, optim, RunSection(**settings), folder=folder, judge=judge, controller=controller)
    return engine.train(strategy, prepared.streams.train, resume=resume), controller


def done(trace, what):
    return [told for told in trace.adjustments if what in told["done"]]


def test_a_rate_that_is_far_too_high_comes_down_and_the_run_recovers():
    prepared, _ = world()
    source = prepared.streams.train["source"]
    left, adjusted = (build(SourceOnly, batchnorm=True) for _ in range(2))
    run(left, prepared, adjust=False, lr=4.0, steps=120)
    trace, controller = run(adjusted, prepared, lr=4.0, steps=120)
    assert done(trace, "learning rate × 0.5")
    assert controller.levels.lr < 1
    before, after = (watched(strategy, prepared) for strategy in (left, adjusted))
    assert after < 0.2 * before
    assert accuracy(adjusted, source) > 0.95


def watched(strategy, prepared):
    return Watch(prepared, accelerator())(strategy, strategy.phases()[0])["validation_loss"]


class Exploding(SourceOnly):
    """Learns, until a rate above a bound makes it diverge."""

    def step(self, source, *, at):
        task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        yield Loss(task * (float("inf") if at.step in (55, 56) else 1.0), logs={"task": task})


def test_a_loss_that_is_not_finite_ends_a_run_only_without_a_controller(caplog):
    prepared, _ = world()
    with pytest.raises(hubtl.HubtlError, match="not finite"):
        run(build(Exploding), prepared, adjust=False)
    strategy = build(Exploding)
    with caplog.at_level(logging.INFO, logger="hubtl"):
        trace, controller = run(strategy, prepared)
    assert [told["step"] for told in done(trace, "back to the weights of update 50")] == [56, 57]
    assert controller.levels.lr == 0.25
    assert all(bool(torch.isfinite(value).all()) for value in strategy.state_dict().values())
    assert accuracy(strategy, prepared.streams.train["source"]) > 0.9
    assert (
        "adjust     update 56: a loss is not finite: back to the weights of update 50, learning rate × 0.5"
        in caplog.text
    )


class Recorded(DANN):
    """DANN that remembers how strongly it reversed."""

    def reverse(self, z, strength, at):
        self.__dict__.setdefault("used", []).append(strength * at.reversal)
        return super().reverse(z, strength, at)


def test_a_critic_that_dominates_gets_a_weaker_reversal():
    prepared, _ = world(offset=4.0)
    strategy = build(Recorded, critic_width=32, ramp_steps=1, weight=0.01)
    trace, controller = run(strategy, prepared, lr=0.05)
    told = done(trace, "reversal × 0.5")
    assert told
    assert "the critic tells the domains apart" in told[0]["seen"]
    assert told[0]["step"] >= 200 / 3
    assert controller.levels.reversal < 1
    assert strategy.used[50] == pytest.approx(1.0, abs=1e-6)
    assert strategy.used[-1] == pytest.approx(controller.levels.reversal, abs=1e-6)


class Sharp(MCC):
    """Learns the source, then only makes the target's predictions sure: the trivial answer is one class."""

    def phases(self):
        return [
            Phase("source", self.learn, ("source",), self.learners(), share=0.3),
            Phase("adapt", self.sharpen, ("target",), self.learners(), share=0.7),
        ]

    def learn(self, source, *, at):
        task = self.task.loss(self.head(self.encode(source).pooled), source.labels)
        yield Loss(task, logs={"task": task})

    def sharpen(self, target, *, at):
        unsure = entropy(self.head(self.encode(target).pooled)).mean()
        yield Loss(at.added * self.options.weight * unsure)


def predicted(strategy, rows):
    strategy.eval()
    with torch.no_grad():
        return len(set(strategy.deployed()({"image": rows.x}).argmax(1).tolist()))


def test_a_collapse_is_taken_back_and_ends_with_more_predicted_classes():
    prepared, target = world(degrees=70.0)
    left, adjusted = build(Sharp, weight=20.0), build(Sharp, weight=20.0)
    run(left, prepared, adjust=False, lr=0.2)
    trace, controller = run(adjusted, prepared, lr=0.2)
    assert predicted(left, target) == 1, "nothing collapsed, so nothing was tested"
    assert done(trace, "adaptation terms × 0.5")
    assert done(trace, "back to the weights of update")
    assert controller.levels.added < 1
    assert predicted(adjusted, target) == 2


class Alarmed:
    """A watch that finds what the weights tell: the further they moved, the worse. An interruption must not show."""

    def __init__(self, start):
        self.start = torch.cat([p.detach().flatten().clone() for p in start.parameters()])

    def __call__(self, strategy, phase):
        moved = float((torch.cat([p.detach().flatten() for p in strategy.parameters()]) - self.start).norm())
        flag = float(int(moved * 40) % 3 == 1)
        spread = {"collapsed": flag, "predicted_classes": 2 - flag, "classes": 2, "largest_share": 0.5}
        return {"validation_loss": 1 + 9 * moved, "training_loss": 0.01, "chance_loss": 1e9, **spread}


@pytest.mark.parametrize("stop_at", [35, 60, 95])
def test_an_interrupted_run_that_adjusts_itself_goes_on_to_the_same_weights(tmp_path, stop_at):
    prepared, _ = world()
    watch = Alarmed(small())
    options = {"steps": 120, "evaluate_every": 5, "lr": 0.02, "batch_size": 8, "watch": watch}
    whole, first, second = small(), small(), small(seed=99)
    torch.manual_seed(5)
    trace, controller = run(whole, prepared, **options)
    torch.manual_seed(5)
    with pytest.raises(Interrupted):
        run(first, prepared, folder=tmp_path, judge=StopAt(stop_at), **options)
    torch.manual_seed(12345)
    resumed, again = run(second, prepared, folder=tmp_path, resume=True, **options)
    kinds = ("learning rate", "dropout", "batch", "back to the weights")
    assert all(done(trace, kind) for kind in kinds), "an adjustment that was to be interrupted never came"
    assert same(weights(whole), weights(second))
    assert resumed.adjustments == trace.adjustments
    assert again.levels == controller.levels
    assert again.history == controller.history


def small(seed=0):
    return build(DANN, bottleneck=8, batchnorm=True, critic_width=16, seed=seed)


def test_a_run_that_is_stopped_between_two_evaluations_goes_on_to_the_same_weights(tmp_path):
    """A checkpoint holds the window of losses since the last look."""
    prepared, _ = world()
    options = {"steps": 90, "evaluate_every": 15, "lr": 0.02, "batch_size": 8, "watch": Alarmed(small())}
    whole, first, second = small(), small(), small(seed=99)
    torch.manual_seed(5)
    _, controller = run(whole, prepared, **options)
    torch.manual_seed(5)
    with pytest.raises(Interrupted):
        run(first, Stopping(prepared, 37), folder=tmp_path, **options)
    _, again = run(second, prepared, folder=tmp_path, resume=True, **options)
    assert same(weights(whole), weights(second))
    assert again.history == controller.history


class Stopping:
    """The world, until one of its batches asks the run to stop."""

    def __init__(self, prepared, at):
        source = prepared.streams.train["source"]
        streams = {**prepared.streams.train, "source": Stopped(source.x, source.labels, at)}
        self.streams = SimpleNamespace(train=streams)


class Stopped(Rows):
    def __init__(self, x, labels, at):
        super().__init__(x, labels)
        self.left = at

    def fetch(self, rows, *, seed=None):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return super().fetch(rows, seed=seed)


def test_a_controller_that_sees_nothing_amiss_changes_nothing():
    prepared, _ = world()
    plain, watched_ = small(), small()
    torch.manual_seed(5)
    run(plain, prepared, adjust=False, steps=40)
    torch.manual_seed(5)
    trace, _ = run(watched_, prepared, steps=40, watch=lambda strategy, phase: {})
    assert trace.adjustments == []
    assert same(weights(plain), weights(watched_))


DIGITS = {"model": "lenet", "pretrained": False, "source_dataset": "builtin:digits/mnist", "baseline": False}


def test_record_and_card_tell_what_was_adjusted(tmp_path):
    result = hubtl.adapt(
        **DIGITS,
        target_dataset="builtin:digits/uci",
        strategy="mcc",
        lr=0.5,
        steps=12,
        adjust=True,
        batch_size=8,
        options={"run.evaluate_every": 4, "run.plots": False},
        output_dir=str(tmp_path / "run"),
    )
    record = RunRecord.load(result.output_dir)
    assert record.recipe["run"]["adjust"] is True
    assert record.training.adjustments
    told = record.training.adjustments[0]
    assert (told.step, "learning rate × 0.5" in told.done) == (4, True)
    card = (result.output_dir / "README.md").read_text(encoding="utf-8")
    assert "- Adjusted by measurements during training" in card
    assert f"  - update 4: {told.seen}; {told.done}" in card
    assert "Adjusted" not in json.dumps(record.model_dump(mode="json"))


def test_in_transfer_rows_are_held_out_of_training_and_never_of_evaluation(tmp_path):
    from hubtl.recipe.reading import parse
    from hubtl.run.prepare import prepare

    recipe = {"model": {"name": "lenet", "pretrained": False}, "target": "builtin:digits/uci"}
    plain, adjusted = (prepare(parse({**recipe, "run": {"adjust": flag}})) for flag in (False, True))
    assert plain.streams.held_out is None
    streams = adjusted.streams
    assert len(streams.held_out) + len(streams.train["target"]) == len(plain.streams.train["target"])
    assert 0.08 < len(streams.held_out) / len(plain.streams.train["target"]) < 0.12
    assert len(streams.target_eval) == len(plain.streams.target_eval)
    kept = {row.numpy().tobytes() for row in streams.train["target"].fetch(range(400)).inputs["image"]}
    held = [row.numpy().tobytes() for row in streams.held_out.fetch(range(len(streams.held_out))).inputs["image"]]
    assert not kept & set(held)
    assert adjusted.target.rows == len(streams.train["target"])
    assert adjusted.recipe.data.hold_out == 0.1
    assert adjusted.recipe.run.evaluate_every == max(1, adjusted.recipe.run.steps // 20)


def test_rows_are_held_out_only_where_labels_are_learnt_from(tmp_path):
    with pytest.raises(hubtl.HubtlError, match="reads no label of its target"):
        hubtl.adapt(
            **DIGITS,
            target_dataset="builtin:digits/uci",
            strategy="mcc",
            options={"data.hold_out": 0.2},
            output_dir=str(tmp_path / "run"),
        )


@pytest.mark.ranks
def test_two_processes_adjust_as_one_does(tmp_path):
    """Gloo, two ranks of 8 rows against one process of 16: what is decided, and when, is the same."""
    common = [
        "adapt", "--no-pretrained", "--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci",
        "--device", "cpu", "--model", "test_vit", "--image-size", "32", "--augment", "none", "--strategy", "dann",
        "--steps", "8", "--no-baseline", "--lr", "0.3", "--adjust", "--validator", "last",
        "--set", "critic_batchnorm=false", "--set", "model.bottleneck=0", "--set", "run.evaluate_every=4",
        "--set", "run.plots=false",
    ]  # fmt: skip
    ranks = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    launcher = ["-m", "torch.distributed.run", *ranks]
    records = []
    for name, start, rows in (("one", [], "16"), ("two", launcher, "8")):
        command = [sys.executable, *start, "-m", "hubtl", *common, "--batch-size", rows]
        command += ["--output-dir", str(tmp_path / name)]
        done_ = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done_.returncode == 0, done_.stderr
        assert done_.stderr.count("adjust     update 4:") == 1, "every rank told it, or none"
        records.append(RunRecord.load(tmp_path / name).training.adjustments)
    assert records[0]
    assert records[0] == records[1]
