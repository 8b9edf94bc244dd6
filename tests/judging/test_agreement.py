"""EnsV: the checkpoint whose answers are closest to the mean of all."""

import io

import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, merits_of, scores_of
from hubtl.judging.validators.agreement import EnsV


def logits(*classes, sharpness=8.0):
    return sharpness * torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


def judged(rule, *outputs):
    return [scores_of(rule, Evidence(step=10 * i, target_logits=z)) for i, z in enumerate(outputs, start=1)]


def test_the_checkpoint_that_agrees_with_the_mean_is_best():
    rule = EnsV()
    outputs = logits(0, 1, 2, 0), logits(0, 1, 2, 1), logits(0, 1, 1, 1)  # the mean says 0, 1, 2, 1
    assert merits_of(rule, judged(rule, *outputs)) == pytest.approx([0.75, 1.0, 0.75])


def test_a_confident_checkpoint_has_more_weight_in_the_mean():
    rule = EnsV()
    outputs = logits(0, 0, sharpness=9.0), logits(1, 0, sharpness=0.1), logits(1, 1, sharpness=0.1)
    assert merits_of(rule, judged(rule, *outputs)) == pytest.approx([1.0, 0.5, 0.0])


def test_merits_count_the_checkpoints_that_are_asked_for_in_their_order():
    rule = EnsV()
    first, second, third = judged(rule, logits(0, 0), logits(1, 0), logits(1, 0))
    assert merits_of(rule, [third, first, second]) == pytest.approx([1.0, 0.5, 1.0])
    assert merits_of(rule, [first]) == [1.0]


def test_what_was_seen_goes_on_after_a_stop():
    rule, again = EnsV(), EnsV()
    found = judged(rule, logits(0, 0), logits(1, 0), logits(1, 0))
    kept = io.BytesIO()
    torch.save(rule.state(), kept)
    again.load(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
    assert merits_of(again, found) == merits_of(rule, found)


def test_it_gives_one_checkpoint_alone_no_score_and_is_no_oracle():
    assert not EnsV().oracle
    assert plugins.load("validators", "ensv") is EnsV
    with pytest.raises(HubtlError, match="compares checkpoints"):
        EnsV().score(Evidence(step=1, target_logits=logits(0)))


@pytest.mark.parametrize("name", ["last", "ensemble", "ensv"])
def test_what_compares_the_checkpoints_of_a_run_says_so(name):
    assert not plugins.load("validators", name).comparable
