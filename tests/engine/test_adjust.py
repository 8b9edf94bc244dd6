"""Adjusting by performance, rule by rule: each fires on a history that calls for it, and not just below."""

import pytest
from torch import nn

from hubtl.engine.adjust import (
    BOUNDS,
    Controller,
    collapsed,
    dominated,
    noisy,
    overfitting,
    rising,
    wrecked,
)
from hubtl.tasks.classification import Classification


def history(name, *values, **always):
    return [{"step": 10.0 * i, "fraction": 0.5, **always, name: value} for i, value in enumerate(values)]


def test_a_validation_loss_rises_from_a_tenth_above_its_best():
    assert rising(history("validation_loss", 1.0, 1.121))
    assert not rising(history("validation_loss", 1.0, 1.119))
    assert rising(history("validation_loss", 1.0, 2.0, 2.0))
    assert "(1.000 → 2.000)" in rising(history("validation_loss", 1.5, 1.0, 1.5, 2.0))


def test_a_validation_loss_that_comes_down_by_itself_is_left_alone():
    assert not rising(history("validation_loss", 1.0, 2.0, 1.8))
    assert rising(history("validation_loss", 1.0, 2.0, 1.95))
    assert not rising(history("validation_loss", 1.0))
    assert not rising(history("loss", 1.0, 9.0))


def test_a_run_is_wrecked_when_it_is_worse_than_its_start_and_than_guessing():
    assert wrecked(history("validation_loss", 0.1, 0.876, chance_loss=0.7))
    assert not wrecked(history("validation_loss", 0.1, 0.874, chance_loss=0.7))
    assert wrecked(history("validation_loss", 2.0, 2.51, chance_loss=0.7))
    assert not wrecked(history("validation_loss", 2.0, 2.49, chance_loss=0.7))


def test_a_gap_between_training_and_held_out_rows_that_grows_is_overfitting():
    def gaps(*pairs):
        return [{"training_loss": a, "validation_loss": b} for a, b in pairs]

    assert overfitting(gaps((0.2, 0.3), (0.1, 0.251)))
    assert not overfitting(gaps((0.2, 0.3), (0.1, 0.249)))
    assert not overfitting(gaps((0.1, 0.4), (0.1, 0.4)))
    assert not overfitting(gaps((0.1, 0.4)))


def test_a_noisy_loss_that_no_longer_falls_asks_for_more_rows():
    def windows(*pairs):
        return [{}, *({"loss": a, "noise": b} for a, b in pairs)]

    assert noisy(windows((1.0, 0.1), (1.0, 0.51)))
    assert not noisy(windows((1.0, 0.1), (1.0, 0.49)))
    assert not noisy(windows((1.0, 0.1), (0.97, 0.9)))
    assert noisy(windows((-2.0, 0.1), (-2.0, 1.1)))
    assert not noisy(windows((0.04, 0.1), (0.04, 0.9)))


def test_a_critic_dominates_from_95_percent_twice_in_a_row():
    assert dominated(history("critic_accuracy", 0.95, 0.95))
    assert not dominated(history("critic_accuracy", 0.95, 0.949))
    assert not dominated(history("critic_accuracy", 0.94, 0.99))
    assert not dominated(history("critic_accuracy", 1.0, 0.97))
    assert "97%" in dominated(history("critic_accuracy", 0.96, 0.97))


def test_a_critic_is_not_judged_while_the_reversal_grows():
    assert not dominated(history("critic_accuracy", 1.0, 1.0, fraction=0.3))


def seen_classes(*flags, source=0.0):
    facts = {"source_collapsed": source, "predicted_classes": 1.0, "classes": 10.0, "largest_share": 0.99}
    return [{"collapsed": flag, **facts} for flag in flags]


def test_predictions_collapse_when_they_were_better_before():
    assert "1 of 10 classes" in collapsed(seen_classes(0.0, 1.0), Classification("ab").collapsed_words)
    assert not collapsed(seen_classes(1.0, 0.0))
    assert collapsed(seen_classes(0.0, 1.0, source=1.0))


def test_predictions_that_never_spread_collapse_only_beside_a_source_that_is_told_apart():
    assert collapsed(seen_classes(1.0, 1.0))
    assert not collapsed(seen_classes(1.0))
    assert not collapsed(seen_classes(1.0, 1.0, source=1.0)), "nothing was learnt yet, and it was called a collapse"


def test_a_collapse_of_outputs_that_are_no_classes_is_said_without_classes():
    said = collapsed(history("collapsed", 0.0, 1.0))
    assert said == "the outputs on the target hardly differ from row to row"


class Script:
    """A controller whose watch reads from a list."""

    def __init__(self, *measured, **options):
        self.strategy = nn.Linear(1, 1)
        self.measured = iter(measured)
        self.controller = Controller(lambda strategy, phase: dict(next(self.measured)), **options)
        self.controller.begin(self.strategy, None, 0)
        self.step = 0

    def look(self, fraction=0.5, **window):
        self.step += 10
        window = {"supervised": 1.0, **window}
        return self.controller.look(self.strategy, None, window, step=self.step, fraction=fraction)[1]


def losses(*values):
    return [{"training_loss": v, "validation_loss": v, "chance_loss": 100.0} for v in values]


def test_the_rate_is_halved_after_a_wait_and_not_below_a_sixteenth():
    script = Script(*losses(*range(1, 20)))
    rates = []
    for _ in range(12):
        script.look()
        rates.append(script.controller.levels.lr)
    assert rates == [1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8, 1 / 8] + [1 / 16] * 6


def test_the_same_loss_of_a_phase_without_labels_is_not_judged():
    script = Script(*losses(1, 2, 3))
    assert script.look(supervised=0.0) == []
    assert script.controller.levels.lr == 1


def test_the_batch_grows_to_eight_times_and_no_further():
    script = Script(*[{}] * 20)
    batches = []
    for _ in range(12):
        script.look(loss=1.0, noise=2.0)
        batches.append(script.controller.levels.batch)
    assert batches == [1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8]


def test_the_reversal_weakens_and_its_line_says_so():
    script = Script(*[{}] * 20)
    said = [a for _ in range(14) for a in script.look(critic_accuracy=0.97)]
    assert [a.done for a in said] == [
        "reversal × 0.5",
        "reversal × 0.5 (0.25 in all)",
        "reversal × 0.5 (0.125 in all)",
        "reversal × 0.5 (0.0625 in all)",
    ]
    assert said[0].seen == "the critic tells the domains apart (97%)"
    assert [a.step for a in said] == [20, 40, 60, 80]


@pytest.mark.parametrize("decays", [True, False])
def test_overfitting_raises_dropout_and_decay_within_bounds(decays):
    script = Script(
        *({"training_loss": 0.1, "validation_loss": 0.2 + i, "chance_loss": 1e9} for i in range(20)), decays=decays
    )
    said = [a for _ in range(19) for a in script.look() if "dropout" in a.done or "decay" in a.done]
    levels = script.controller.levels
    assert levels.dropout == pytest.approx(BOUNDS["dropout"].limit)
    assert levels.weight_decay == (16 if decays else 1)
    assert said[0].done == "dropout before the head 0.1" + (", weight decay × 2" if decays else "")
    assert len(said) == 4


def spread(flag):
    return {"collapsed": flag, "source_collapsed": 0.0, "predicted_classes": 1, "classes": 4, "largest_share": 1}


def test_a_collapse_goes_back_to_the_weights_that_were_good_last_and_softens():
    script = Script(spread(0.0), spread(0.0), *[spread(1.0)] * 9)
    assert script.look() == []
    good = script.strategy.weight.detach().clone()
    script.strategy.weight.data += 1
    for turn, total in enumerate([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16]):
        (adjustment,) = script.look()
        assert adjustment.restores
        assert "back to the weights of update 10" in adjustment.done
        assert script.controller.levels.added == total
        assert ("adaptation terms" in adjustment.done) == (turn < 4)
    assert script.controller.good["weight"].equal(good)


def test_without_good_weights_a_collapse_only_softens():
    script = Script(*[spread(1.0)] * 5)
    (adjustment,) = script.look()
    assert not adjustment.restores
    assert script.controller.levels.added == 0.5


def test_a_loss_that_is_not_finite_goes_back_four_times():
    script = Script({})
    for rate in (1 / 2, 1 / 4, 1 / 8, 1 / 16):
        assert script.controller.diverged(5, "a loss is not finite").restores
        assert script.controller.levels.lr == rate
    assert script.controller.diverged(5, "a loss is not finite") is None


def test_at_the_end_of_a_phase_only_weights_are_put_back():
    script = Script(*losses(1, 2))
    assert script.look(fraction=1.0) == []


def test_a_phase_has_a_history_of_its_own_and_keeps_the_levels():
    script = Script(*losses(1, 2, 3))
    script.look()
    script.controller.begin(script.strategy, None, 10)
    assert script.controller.levels.lr == 0.5
    assert [seen["validation_loss"] for seen in script.controller.history] == [3]


def test_the_state_of_a_controller_is_all_of_it():
    script, other = Script(*losses(*range(1, 9))), Script(*losses(0))
    script.look()
    other.controller.load(script.controller.state())
    other.measured = iter(losses(5, 6))
    assert other.look() == [], "the wait was forgotten"
    assert other.look()[0].done == "learning rate × 0.5 (0.25 in all)"
