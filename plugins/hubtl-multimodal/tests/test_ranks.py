"""Two processes stay one. So they do where only one has rows that lack a modality."""

import os

import pytest
import torch
from hubtl_multimodal.strategies.attention_da import AttentionDA
from hubtl_multimodal.strategies.mm_da import MultimodalDA
from two_ranks import LackingOnOneRank

from hubtl.strategies.dann import DANN
from hubtl.testing.ranks import states

pytestmark = pytest.mark.ranks

WORLDS = [
    LackingOnOneRank(MultimodalDA, ("audio",), refreshes=1),
    LackingOnOneRank(MultimodalDA, ("image", "text"), "late", refreshes=1),
    LackingOnOneRank(AttentionDA, ("text", "audio"), "concat-transformer"),
    LackingOnOneRank(DANN, ("image",), "concat-mlp"),
]


@pytest.fixture(scope="module")
def trained():
    return states(WORLDS, processes=2)


@pytest.mark.parametrize("number", range(len(WORLDS)), ids=lambda n: f"{WORLDS[n].cls.__name__}-{WORLDS[n].kind}")
def test_a_modality_that_one_process_lacks_stops_nothing_and_drives_nobody_apart(trained, number):
    first, second = trained[number]
    assert "error" not in first, first["error"]
    assert "error" not in second, second["error"]
    apart = [name for name, value in first.items() if not torch.equal(value, second[name])]
    assert apart == []
    assert all(value.isfinite().all() for value in first.values() if value.is_floating_point())


def test_the_second_process_did_lack_it(monkeypatch):
    monkeypatch.setitem(os.environ, "RANK", "1")
    assert not WORLDS[0].streams()["target"].present["audio"].any()
    monkeypatch.setitem(os.environ, "RANK", "0")
    assert WORLDS[0].streams()["target"].present["audio"].all()
