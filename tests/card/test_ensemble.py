"""Cards describe averaged models, and a recipe with several seeds."""

import pytest

from hubtl.card import ensemble, metadata, render
from hubtl.record import EnsembleFacts, MemberFacts, Verdict
from tests import records


def members(*names, seeds=(0,)):
    figures = records.evaluation(right=0.7).slim()
    base = records.evaluation(right=0.6).slim()
    return [
        MemberFacts(strategy=name, seed=seed, model="resnet50", figures=figures, source_only=base)
        for seed in seeds
        for name in names
    ]


def averaged(*names, seeds=(0,), hedge=0.7):
    record = records.gain()
    record.ensemble = EnsembleFacts(how="linear", hedge=hedge, members=members(*names, seeds=seeds), rows=10)
    return record


def test_an_average_is_called_so_and_one_model_by_its_strategy():
    assert ensemble.called(averaged("mcc", "bnm", seeds=(0, 1))) == "average of 4 models"
    assert ensemble.called(averaged("dann")) == "average of dann and source-only"
    assert ensemble.called(averaged("dann", hedge=1.0)) == "dann"
    assert "adapted with `dann` (averaged with source-only)" in render(averaged("dann"))
    assert "they count 70% and source-only 30%" in render(averaged("mcc", "bnm"))


def test_an_average_is_found_by_each_of_its_methods():
    record = averaged("mcc", "bnm", seeds=(0, 1))
    record.strategy = "mcc"
    tags = metadata.of(record)["tags"]
    assert [tag for tag in tags if tag in ("mcc", "bnm", "dann")] == ["mcc", "bnm"]


def test_an_average_that_was_dropped_is_not_what_the_card_is_about():
    record = averaged("mcc", "bnm")
    record.verdict = Verdict(answer="source-only", reason="collapse", rail=True, tried="mcc")
    assert "bnm" not in metadata.of(record)["tags"]
    assert ensemble.called(record) == record.strategy
    assert "became this one" not in render(record)


def test_seeds_have_a_mean_and_a_standard_deviation():
    record = records.gain()
    for seed, right in enumerate((0.5, 0.7, 0.9)):
        (one,) = members("dann")
        one.seed, one.figures = seed, records.evaluation(right=right, seed=seed).slim()
        record.repeats.append(one)
    values = [one.figures.value for one in record.repeats]
    mean, spread = ensemble.spread(record)["adapted"]
    assert mean == pytest.approx(sum(values) / 3)
    assert spread == pytest.approx((sum((v - mean) ** 2 for v in values) / 2) ** 0.5)  # of a sample
    said = ensemble.repeated(record)
    assert f"adapted {100 * mean:.1f}% ± {100 * spread:.1f}, source-only " in said
    assert "One run." not in render(record)
