"""The table of which strategy runs on which task is what happens."""

import json

import pytest
import torch

from hubtl import plugins
from hubtl.batch import Features
from hubtl.strategies.coral import DeepCoral
from hubtl.strategies.mcc import MCC
from hubtl.testing.tasks import runs
from tests.testing.runs_on import FILE, tried

TABLE = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_strategy_is_in_the_table():
    assert set(TABLE) == {e.name for e in plugins.entries("strategies").values() if e.builtin}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_strategy_runs_where_the_table_says(name):
    assert tried(plugins.load("strategies", name)) == TABLE[name]


def test_a_method_that_claims_to_need_features_alone_and_breaks_is_found_out():
    class Liar(DeepCoral):
        """Says that it reads features alone."""

        def added(self, pair, *, at):
            raise RuntimeError("class 2 is out of bounds")

    with pytest.raises(RuntimeError, match="out of bounds"):
        runs(Liar, "regression")
    assert not runs(MCC, "regression"), "refused by what it needs"


def test_sites_stay_with_their_inputs():
    features = Features(torch.arange(12.0).reshape(6, 2), sites=3)
    one, other = features.rows(0, 1), features.rows(1, 2)
    assert one.pooled.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert other.pooled.tolist() == [[6, 7], [8, 9], [10, 11]]
    assert runs(DeepCoral, "segmentation")
