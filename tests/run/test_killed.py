"""kill -9 at any file event, and after any checkpoint: the same command, or with --resume, ends with the same weights.

The whole of it, five methods with and without loader processes, takes minutes: HUBTL_KILLS=all.
"""

import os

import pytest

from tests.run.killing import Warm

ALL = os.environ.get("HUBTL_KILLS") == "all"
METHODS = ("shot", "adda", "fixmatch", "mcc", "mean-teacher") if ALL else ("shot",)  # lenet has dropout
WORKERS = (0, 2) if ALL else (2,)
EVENTS = range(1, 13) if ALL else (1, 4, 8, 12)

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.slow]


@pytest.fixture(scope="module")
def warm():
    with Warm() as process:
        yield process


def command(method, folder, workers, *more):
    return [
        "adapt", "--model", "lenet", "--no-pretrained", "--strategy", method, "--no-baseline", "--device", "cpu",
        "--source-dataset", "builtin:digits/mnist", "--source-split", "train[:24]", "--set", "source.eval_split=test[:16]",
        "--target-dataset", "builtin:digits/uci", "--target-split", "train[:24]", "--target-eval-split", "test[:8]",
        "--steps", "6", "--batch-size", "4", "--num-workers", str(workers), "--output-dir", str(folder),
        "--set", "run.checkpoint_every=2", "--set", "run.evaluate_every=3", "--set", "run.plots=false", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(warm, tmp_path_factory):
    """The weights that each method comes to, undisturbed and without loader processes."""
    made = {}

    def weights(method):
        if method not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            done = warm.run(*command(method, folder, 0), folder=folder)
            assert done.code == 0, done.err
            assert done.events > 30, "or nothing is watched"
            made[method] = (folder / "model.safetensors").read_bytes()
        return made[method]

    return weights


def gone_on_with(warm, method, folder, workers):
    """The weights after the same command again. It has --resume where that is asked for."""
    again = warm.run(*command(method, folder, workers), folder=folder)
    if again.code == 2:
        assert "--resume" in again.err
        again = warm.run(*command(method, folder, workers, "--resume"), folder=folder)
    assert again.code == 0, again.err
    assert not list(folder.rglob("*.partial"))
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("event", EVENTS)
def test_killed_before_a_file_event(warm, whole, tmp_path, method, workers, event):
    folder = tmp_path / "run"
    assert warm.run(*command(method, folder, workers), folder=folder, before=event).code == -9
    assert not (folder / "model.safetensors").exists()
    assert gone_on_with(warm, method, folder, workers) == whole(method)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", (1, 2, 3, 4) if ALL else (3,))
def test_killed_after_a_checkpoint(warm, whole, tmp_path, method, workers, number):
    folder = tmp_path / "run"
    killed = warm.run(*command(method, folder, workers), folder=folder, checkpoint=number)
    if killed.code == 0:
        pytest.skip(f"{method} writes fewer")
    assert killed.code == -9
    assert gone_on_with(warm, method, folder, workers) == whole(method)


def test_killed_while_the_model_is_delivered_and_while_it_is_overwritten(warm, whole, tmp_path):
    """The folder is a finished run, or one to go on with; never one that says it is finished and is not."""
    folder, again = tmp_path / "run", 0
    events = warm.run(*command("shot", folder, 0), folder=folder).events
    before = whole("shot")
    for event in range(6, 18, 4):  # of the overwriting run
        killed = warm.run(*command("shot", folder, 0, "--overwrite"), folder=folder, before=event)
        assert killed.code == -9
        next_ = warm.run(*command("shot", folder, 0), folder=folder)
        if next_.code == 2:
            assert "its run is finished" in next_.err or "--resume" in next_.err
            again += 1
            assert (folder / "model.safetensors").exists() == ("its run is finished" in next_.err)
            next_ = warm.run(*command("shot", folder, 0, "--overwrite"), folder=folder)
        assert next_.code == 0, next_.err
        assert (folder / "model.safetensors").read_bytes() == before
    delivered = tmp_path / "delivered"
    assert warm.run(*command("shot", delivered, 0), folder=delivered, before=events - 9).code == -9
    assert gone_on_with(warm, "shot", delivered, 0) == before


@pytest.mark.parametrize("number", range(1, 16) if ALL else (4, 8))
def test_killed_between_the_members_of_an_average(warm, tmp_path, number):
    """Two methods and source-only, two seeds and a student: those that are trained already stay as they are."""
    several = ["--baseline", "--members", "mcc,bnm", "--seeds", "0,1", "--hedge", "0.7"]
    weights = []
    for name, checkpoint in (("whole", 0), ("killed", number)):
        folder = tmp_path / name
        wanted = [part for part in command("mcc", folder, 0) if part != "--no-baseline"] + several
        done = warm.run(*wanted, folder=folder, checkpoint=checkpoint)
        if checkpoint:
            assert done.code == -9
            done = warm.run(*wanted, "--resume", folder=folder)
        assert done.code == 0, done.err
        weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
