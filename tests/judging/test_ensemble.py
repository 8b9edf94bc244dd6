"""The default choice among checkpoints: probes of a model, agreement of validators, and the rails before them."""

import numpy as np
import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence
from hubtl.judging.validators.ensemble import Ensemble
from hubtl.judging.validators.probes import MIX, mixture, partners
from hubtl.strategies.source_only import SourceOnly
from hubtl.tasks.classification import Classification


def certain(labels, classes=3, sharpness=50.0):
    return sharpness * torch.nn.functional.one_hot(torch.as_tensor(labels), classes).float()


def score(name, **evidence):
    return plugins.load("validators", name)().score(Evidence(step=1, task=Classification(), **evidence))


def blobs(shift=0.0, seed=0, rows=90):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 3
    return 3 * torch.eye(3)[y] + shift + 0.1 * torch.randn(rows, 3, generator=generator), y


@pytest.mark.parametrize("rows", [2, 3, 50])
def test_no_row_is_mixed_with_itself_and_each_once(rows):
    partner = partners(rows)
    assert (partner != np.arange(rows)).all()
    assert sorted(partner.tolist()) == list(range(rows))


def test_a_mixture_by_hand():
    assert mixture(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).tolist() == pytest.approx([MIX, 1 - MIX])


def test_mixval_by_hand():
    predicted = np.array([0, 0, 0, 1, 1, 1])
    alike = predicted == predicted[partners(6)]
    mixed = np.where(alike, predicted, 2)  # right inside the classes, wrong at every border
    assert 0 < alike.sum() < 6
    assert score("mixval", target_logits=certain(predicted), target_mixed_logits=certain(mixed)) == 0.5
    assert score("mixval", target_logits=certain(predicted), target_mixed_logits=certain(predicted)) == 1.0


def test_mixval_gives_a_collapsed_model_half_at_most():
    one = certain([0] * 6)
    assert score("mixval", target_logits=one, target_mixed_logits=one) == 0.5


def test_reverse_finds_the_source_again_only_from_right_pseudo_labels():
    source, y = blobs()
    target, truth = blobs(shift=0.2, seed=1)
    known = {"source_labels": y.numpy(), "source_features": source, "target_features": target}
    assert score("reverse", **known, target_logits=certain(truth)) == 1.0
    assert score("reverse", **known, target_logits=certain((truth + 1) % 3)) == 0.0
    assert score("reverse", **known, target_logits=certain([0] * 90)) == pytest.approx(1 / 3)


def test_agreement_is_the_mean_rank_with_ties_shared():
    judged = [{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 9.0}, {"a": 3.0, "b": 0.0}]
    assert Ensemble().merits(judged) == pytest.approx([(1 + 2.5) / 2, (2 + 2.5) / 2, (3 + 1) / 2])


def test_one_wild_validator_does_not_outvote_the_others():
    judged = [{"a": 0.5, "b": 0.5, "c": 1e9}, {"a": 0.6, "b": 0.6, "c": 0.0}]
    good, bad = Ensemble().merits(judged)[::-1]
    assert good > bad


def test_members_that_read_what_is_missing_do_not_vote():
    target, y = blobs()
    scores = Ensemble().scores(Evidence(step=1, target_logits=certain(y), target_features=target))
    assert set(scores) == {"infomax", "bnm", "snd", "ami"}
    with pytest.raises(HubtlError, match="no evidence"):
        Ensemble().scores(Evidence(step=1))
    with pytest.raises(HubtlError, match="alone"):
        Ensemble().score(Evidence(step=1))


def test_the_ensemble_reads_what_its_members_read():
    members = [plugins.load("validators", name) for name in Ensemble.members]
    assert Ensemble.reads == frozenset().union(*(m.reads for m in members))
    assert not any(m().oracle for m in members)


class Scripted:
    """A judge whose evidence is written down: (merit, source accuracy, collapsed) by step."""

    def __init__(self, monkeypatch, rows, reference=None):
        from hubtl.judging import judge as assess

        self.said = dict(rows)
        monkeypatch.setattr(assess, "gather", lambda prepared, acc, model, step, reads: self.said[step])
        monkeypatch.setattr(assess, "label_free", lambda said, names: {"source-accuracy": said[1]})
        monkeypatch.setattr(assess, "fallen", lambda said, classes: "collapsed" if said[2] else None)
        monkeypatch.setattr(plugins.load("validators", "infomax"), "score", lambda rule, said: said[0])
        prepared = type("P", (), {"task": Classification(["a", "b"]), "strategy_class": SourceOnly})()
        accelerator = type("A", (), {"is_main_process": True})()
        self.judge = assess.Judge(prepared, accelerator, "infomax", source_score=reference)

    def chosen(self):
        model = torch.nn.Linear(1, 1, bias=False)
        model.deployed = lambda: model
        for step in self.said:
            with torch.no_grad():
                model.weight.fill_(step)
            self.judge(model, step)
        self.judge.restore(model)
        assert model.weight.item() == self.judge.selection.step
        return self.judge.selection.step


GOOD, LOST, FELL = (1.0, 0.9, False), (5.0, 0.7, False), (9.0, 0.9, True)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ({1: GOOD, 2: LOST, 3: FELL}, 1),
        ({1: FELL, 2: LOST, 3: GOOD}, 3),
        ({1: LOST, 2: GOOD}, 2),
        ({1: GOOD, 2: (2.0, 0.85, False)}, 2),
        ({1: FELL, 2: (10.0, 0.9, True)}, 2),  # all are refused: the best of them
    ],
)
def test_the_rails_come_before_the_rule(monkeypatch, rows, best):
    assert Scripted(monkeypatch, rows).chosen() == best


def test_the_floor_counts_the_baseline(monkeypatch):
    rows = {1: (1.0, 0.86, False), 2: (2.0, 0.80, False)}
    assert Scripted(monkeypatch, rows).chosen() == 2
    assert Scripted(monkeypatch, rows, reference=0.95).chosen() == 1


def test_candidates_met_again_after_a_restart_count_once(monkeypatch):
    first = Scripted(monkeypatch, {1: (3.0, 0.9, False), 2: (1.0, 0.9, False)})
    assert first.chosen() == 1
    again = Scripted(monkeypatch, {2: (1.0, 0.9, False), 3: (2.0, 0.9, False)})
    again.judge.load(first.judge.state())
    assert again.chosen() == 1
    assert [c.step for c in again.judge.selection.candidates] == [1, 2, 3]
