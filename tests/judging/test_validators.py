"""Validators score what they say and read only declared fields. Oracles are known."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.judging.judge import label_free
from hubtl.judging.validators import Entropy, Evidence, InfoMax, Last, SourceAccuracy, TargetAccuracy
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.measuring import collapse

SURE_BOTH = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
SURE_ONE = torch.tensor([[50.0, 0.0], [50.0, 0.0]])
UNSURE = torch.zeros(2, 2)


def target(logits):
    return Evidence(step=7, target_logits=logits)


def test_last_likes_later_steps_and_reads_nothing():
    assert Last().score(Evidence(step=2)) > Last().score(Evidence(step=1))
    assert Last.reads == frozenset()


def test_infomax_by_hand():
    assert InfoMax().score(target(SURE_BOTH)) == pytest.approx(math.log(2))
    assert InfoMax().score(target(SURE_ONE)) == pytest.approx(0)
    assert InfoMax().score(target(UNSURE)) == pytest.approx(0)
    rows = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    expected = math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert InfoMax().score(target(rows)) == pytest.approx(expected)


def test_entropy_is_fooled_by_a_collapsed_model_and_infomax_is_not():
    assert Entropy().score(target(SURE_ONE)) == pytest.approx(Entropy().score(target(SURE_BOTH)))
    assert Entropy().score(target(SURE_ONE)) > Entropy().score(target(UNSURE))
    assert InfoMax().score(target(SURE_ONE)) < InfoMax().score(target(SURE_BOTH))


def test_source_accuracy_by_hand_and_refused_without_labels():
    evidence = Evidence(step=1, source_logits=SURE_BOTH, source_labels=np.array([0, 0]))
    assert SourceAccuracy().score(evidence) == 0.5
    with pytest.raises(HubtlError, match="needs a labelled source"):
        SourceAccuracy().score(Evidence(step=1, source_logits=SURE_BOTH))
    with pytest.raises(HubtlError, match="needs a source stream"):
        SourceAccuracy().score(Evidence(step=1))


def test_target_accuracy_leaves_out_classes_that_the_model_does_not_know():
    evidence = Evidence(step=1, target_eval_logits=SURE_BOTH.repeat(2, 1), target_labels=np.array([0, 1, -1, 0]))
    assert TargetAccuracy().score(evidence) == pytest.approx(2 / 3)


def test_target_accuracy_without_labels_is_refused_and_not_guessed():
    with pytest.raises(HubtlError, match="there are none"):
        TargetAccuracy().score(target(SURE_BOTH))


def every_validator():
    return {name: entry.load() for name, entry in plugins.entries("validators").items() if entry.builtin}


def test_what_reads_target_labels_is_an_oracle():
    assert [n for n, cls in every_validator().items() if cls().oracle] == ["target-accuracy", "target-score"]


@pytest.mark.parametrize("name", [n for n, cls in every_validator().items() if not cls().oracle])
def test_a_validator_needs_no_more_than_it_declares(name):
    task = Classification(["a", "b"])
    whole = {"source_logits": SURE_BOTH, "source_labels": np.array([0, 1]), "target_logits": SURE_ONE}
    whole |= {"source_features": SURE_BOTH, "target_features": SURE_ONE, "target_mixed_logits": SURE_ONE}
    cls = every_validator()[name]
    assert cls.reads <= {field.name for field in fields(Evidence)}
    scores = cls().scores(Evidence(step=3, task=task, **{k: value for k, value in whole.items() if k in cls.reads}))
    assert all(math.isfinite(score) for score in scores.values())
    assert scores == cls().scores(Evidence(step=3, task=task, **whole))


@pytest.mark.parametrize(
    ("counts", "classes", "reason"),
    [
        ([25, 25, 25, 25], 4, None),
        ([100, 0, 0, 0], 4, "only 1 of 4 classes is ever predicted"),
        ([50, 50, 0, 0, 0], 5, "only 2 of 5 classes are ever predicted"),
        ([90, 2, 2, 2, 2, 2, 0, 0, 0, 0], 10, "90% of the predictions are one class"),
        ([50, 6, 6, 6, 6, 6, 5, 5, 5, 5], 10, None),
        ([90, 10], 2, None),
        ([100, 0], 2, "only 1 of 2 classes is ever predicted"),
        ([2, 0], 2, "only 1 of 2 classes is ever predicted"),
        ([40, 0], 1, None),  # the target can be of one class alone
        ([1, 0, 0, 0], 4, None),  # one row
        ([0, 0, 0, 0], 4, None),
    ],
)
def test_collapse_is_told_from_a_mere_imbalance(counts, classes, reason):
    assert collapse(np.array(counts), classes) == reason


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_left_out_and_said(monkeypatch, caplog, odd):
    caplog.set_level("INFO")
    monkeypatch.setattr(Entropy, "score", lambda self, evidence: odd)
    assert label_free(target(SURE_BOTH), ["entropy", "infomax"]).keys() == {"infomax"}
    assert [m for m in caplog.messages if "left out" in m] == [
        "scores     entropy is left out: of these rows it gives no number"
    ]
