"""Actions between two updates: when it is due, in which order, and with which weights."""

import pytest
import torch

from hubtl.engine import checkpoint
from hubtl.engine.average import WeightAverage
from hubtl.engine.between import Averaging, Judging, Saving
from hubtl.engine.length import Rhythm
from hubtl.engine.ongoing import Ongoing
from hubtl.engine.setup import Setup
from hubtl.engine.stop import Interrupted
from hubtl.recipe.schema import OptimSection, RunSection
from hubtl.strategies.source_only import SourceOnly
from tests.tiny import accelerator, build, domains, train


def ongoing(**setup):
    run = RunSection(device="cpu", checkpoint_every=4)
    return Ongoing(Setup(accelerator(), OptimSection(), run, **setup), build(SourceOnly))


def dues(between, total):
    return [done for done in range(1, total + 1) if between.due(done)]


@pytest.mark.parametrize(
    ("every", "learns", "when"), [(4, True, [4, 8, 10]), (None, True, [10]), (4, False, [10]), (1, False, [10])]
)
def test_a_phase_in_which_nothing_learns_is_evaluated_at_its_end_alone(every, learns, when):
    rhythm = Rhythm(10, every, learns)
    assert [done for done in range(1, 11) if rhythm.evaluates(done)] == when


def test_the_average_is_judged_and_stays_after_the_last_update():
    seen = []
    going = ongoing(judge=lambda strategy, step: seen.append(bias(strategy)) or {"score": 1.0})
    learning = going.strategy.head.bias

    def bias(strategy):
        return strategy.head.bias[0].item()

    average = WeightAverage(going.strategy, [learning], width=0.1)
    learning.data.fill_(1.0)
    average.update()
    learning.data.fill_(5.0)
    averaging = Averaging(going.strategy, average, accelerator(), Rhythm(2, 1, learns=True))
    judging = Judging(going, averaging, averaging.rhythm)
    assert (dues(averaging, 2), dues(judging, 2)) == ([2], [1, 2])
    judging.do(1)
    assert (seen, bias(going.strategy)) == ([1.0], 5.0), "the weights come back to go on with"
    averaging.do(2)
    judging.do(2)
    assert (seen, bias(going.strategy)) == ([1.0, 1.0], 1.0), "what was judged last is what ships"
    assert [point["score"] for point in going.trace.curves] == [1.0, 1.0]


def test_nothing_is_judged_without_a_judge_or_saved_without_a_folder():
    going, rhythm = ongoing(), Rhythm(6, 2, learns=True)
    averaging = Averaging(going.strategy, None, accelerator(), rhythm)
    assert dues(Judging(going, averaging, rhythm), 6) == []
    assert dues(Saving(going, lambda done: {}, rhythm), 6) == []


def test_a_run_that_is_asked_to_stop_is_saved_first_and_a_finished_phase_is_not_stopped(tmp_path):
    going = ongoing(folder=tmp_path)
    saving = Saving(going, lambda done: {"step": done}, Rhythm(10, None, learns=True))
    assert dues(saving, 10) == [4, 8, 10]
    going.stop.number = 15
    assert saving.due(3)
    with pytest.raises(Interrupted) as stopped:
        saving.do(3)
    assert stopped.value.number == 15
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 3
    assert saving.due(10)
    saving.do(10)
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 10


def test_a_stop_without_a_folder_ends_the_run_too():
    going = ongoing()
    saving = Saving(going, lambda done: {}, Rhythm(10, None, learns=True))
    going.stop.number = 2
    assert saving.due(1)
    with pytest.raises(Interrupted):
        saving.do(1)


def test_what_a_checkpoint_holds_is_what_was_judged_last(tmp_path):
    """The judge comes before the checkpoint: its memory is of the same update."""
    rows, judged = domains(64)[0], []

    def judge(strategy, step):
        judged.append(strategy.head.bias.clone())
        return {"score": float(step)}

    train(build(SourceOnly), {"source": rows}, steps=6, judge=judge, evaluate_every=6, folder=tmp_path)
    state = checkpoint.read(tmp_path / checkpoint.NAME)
    assert torch.equal(state["strategy"]["head.bias"], judged[-1])
    assert state["curves"][-1] == {"step": 6.0, "score": 6.0}
