"""The check of a card's metadata: here and by the Hub, before a training begins and before anything is pushed."""

import pytest

from hubtl.card import document, metadata
from hubtl.errors import HubtlError
from tests import records
from tests.hub import loopback_cards
from tests.hub.client import classifier, contents, photos

BAD = [
    {"license": "my-own"},
    {"license": None},
    {"base_model": "/home/ann/net"},
    {"base_model": "user/na--me"},
    {"base_model": ["ok/ok", 3]},
    {"datasets": ["a/b/c"]},
    {"datasets": ["./webcam"]},
    {"tags": ["x" * 101]},
    {"tags": [5]},
    {"model-index": {}},
    {"model-index": [{"name": "x", "results": []}]},
    {"model-index": [{"results": [{"task": {"type": "t"}, "dataset": {"type": "d", "name": "d"}, "metrics": []}]}]},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_the_hub_refuses_in_a_card_is_refused_here_first(hub, client, run, bad):
    """By both alike: the Hub is asked on its own too, lest its rules here are none."""
    found = metadata.of(records.gain()) | bad
    assert loopback_cards.errors(document.front_matter(found))
    with pytest.raises(HubtlError, match="a push to user/model would fail: the Hub refuses the card's metadata: "):
        client.call("check_push", "user/model", card=document.front_matter(found))
    assert metadata.problems(found)
    (run / "record.json").unlink()  # the README is then pushed as a person wrote it
    (run / "README.md").write_text(document.front_matter(bad) + "# Mine\n")
    before, asked = contents(run), len(hub.log)
    done = client.type("push", run, "user/model")
    assert done.code == 2
    assert done.err.startswith(f"error: {run}/README.md: the Hub would refuse its metadata: ")
    assert done.err.splitlines()[1] == f"try:   edit the top of {run}/README.md"
    assert len(hub.log) == asked
    assert contents(run) == before


@pytest.mark.parametrize("make", records.ALL.values(), ids=records.ALL)
def test_the_hub_takes_every_card_that_hubtl_writes(hub, client, make):
    found = metadata.of(make(), "user/model")
    assert metadata.problems(found) == []
    client.call("check_push", "user/model", card=document.front_matter(found))
    assert [path for _, path in hub.log] == ["/api/validate-yaml"]


def test_a_card_that_only_the_hub_refuses_makes_no_repository(hub, client, run):
    """Its rules may be newer than those here."""
    hub.card_errors = ['"tags" must not be of this year', "and one more"]
    before = contents(run)
    done = client.type("push", run, "user/model")
    assert done.code == 2
    assert done.err == (
        "error: the push to user/model failed: the Hub refuses the card's metadata: "
        '"tags" must not be of this year; and one more\n'
        f"try:   mend the top of README.md, then: hubtl push {run} user/model\n"
    )
    assert not hub.repos
    assert contents(run) == before


def test_a_run_that_is_to_be_pushed_has_its_card_checked_before_it_trains(hub, client, tmp_path):
    hub.add("someone/office", classifier(tmp_path / "base"))
    hub.card_errors = ['"tags" must not be of this year']
    words = ["--target-dataset", photos(tmp_path / "webcam", 0), "--strategy", "shot-im", "--steps", "2", "--device",
             "cpu", "--output-dir", tmp_path / "run", "--push-to-hub", "user/model"]  # fmt: skip
    done = client.type("adapt", "--model", "someone/office", *words)
    assert done.code == 2
    assert 'a push to user/model would fail: the Hub refuses the card\'s metadata: "tags" must not' in done.err
    assert "leave --push-to-hub out" in done.err
    assert not (tmp_path / "run").exists()
    assert "user/model" not in hub.repos


def test_a_wrong_token_is_found_before_a_run_trains(hub, client):
    card = document.front_matter(metadata.of(records.gain()))
    with pytest.raises(HubtlError, match=r"would fail: the token was refused \(401\)"):
        client.call("check_push", "user/model", card=card, token="wrong-token-0123456789")


@pytest.mark.parametrize("fault", ["404", "503", "cut"])
def test_a_hub_that_cannot_be_asked_about_a_card_stops_no_training(hub, client, fault):
    hub.faults["yaml"] = fault
    client.call("check_push", "user/model", card="---\nlicense: mit\n---\n")
