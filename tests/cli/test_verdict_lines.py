"""The last lines of a run: the verdict without labels, and what labelled rows measured."""

import pytest

from hubtl.cli.show import going_on, verdict
from hubtl.judging.judge import doubts
from hubtl.record import Difference, Evaluation, Verdict
from hubtl.tasks.regression.figures import RegressionFigures
from tests import records


def undecided():
    record = records.gain()
    record.verdict = Verdict(answer="undecided", reason="no label was read", rows=20)
    return record


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0, 0.0, "no difference (95% interval of the difference: 0.0 to 0.0 points)"),
        (0.1, 0.2, "adapted is better (95% interval of the difference: +10.0 to +20.0 points)"),
        (-0.2, -0.1, "source-only is better (95% interval of the difference: −20.0 to −10.0 points)"),
        (-0.1, 0.2, "the difference may be chance (95% interval of the difference: −10.0 to +20.0 points)"),
    ],
)
def test_what_labelled_rows_measured_stands_below_the_verdict(low, high, said):
    record = undecided()
    record.difference = Difference(low=low, high=high, resamples=100)
    first, second = verdict(record)
    assert first == "verdict without labels: undecided, label 20 rows to decide"
    assert second == f"measured on {record.adapted.n:,} labelled rows: {said}"


def test_of_an_error_less_is_better():
    record = undecided()
    figures = RegressionFigures(unit="kg", mae=2.0, r2=0.5)
    record.source_only = record.adapted = Evaluation(n=300, figures=figures, primary=figures.primary())
    for low, high, better in ((-1.0, -0.5, "adapted is better"), (0.5, 1.0, "source-only is better")):
        record.difference = Difference(low=low, high=high, resamples=100)
        assert better in verdict(record)[1]


def test_nothing_measured_is_not_said_to_be():
    record = undecided()
    record.difference = None
    assert len(verdict(record)) == 1
    record.verdict = None
    assert verdict(record) == []


def test_labels_are_the_next_thing_to_do_where_they_decide_and_both_models_are_kept(tmp_path):
    record = undecided()
    label = f"hubtl label {tmp_path} --page"
    assert label not in going_on(record, tmp_path)
    (tmp_path / "source-only").mkdir()
    assert going_on(record, tmp_path)[0] == label
    record.model.modalities = ["text"]
    assert going_on(record, tmp_path)[0] == f"hubtl label {tmp_path}"
    record.verdict = Verdict(answer="adapted", reason="a bound")
    assert label not in going_on(record, tmp_path)


def test_rows_that_are_few_and_alike_do_not_show_that_there_is_no_difference():
    record = undecided()
    record.difference = Difference(low=0.0, high=0.0, resamples=100)
    record.adapted = Evaluation(n=1, accuracy=1.0)
    assert "on 1 labelled row: the difference may be chance" in verdict(record)[1]


def test_a_rail_does_not_advise_against_what_labelled_rows_have_shown():
    record = undecided()
    record.verdict = Verdict(answer="source-only", reason="the source is hardly known", rail=True)
    for low, said in ((0.1, "and yet adapting helped on the labelled rows"), (-0.1, "consider --strategy source-only")):
        record.difference = Difference(low=low, high=0.2, resamples=100)
        assert f"the source is hardly known: {said}" in doubts(record)


@pytest.mark.parametrize(("ships", "keeps"), [("source-only", "adapted"), ("mcc", "source-only")])
def test_labels_are_named_where_a_guard_rail_decided_which_they_overrule(tmp_path, ships, keeps):
    record = records.gain()
    record.strategy, record.verdict = ships, Verdict(answer="source-only", reason="collapse", rail=True)
    assert going_on(record, tmp_path)[0].startswith("hubtl predict")
    (tmp_path / keeps).mkdir()
    assert going_on(record, tmp_path)[0] == f"hubtl label {tmp_path} --page"
