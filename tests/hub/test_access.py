"""A token's right to write is checked before any training."""

import pytest

from hubtl.errors import HubtlError
from hubtl.hub.access import denied
from tests.hub.client import photos


def who(role="write", *, name="user", orgs=(), scoped=None):
    token = {"role": role} | ({} if scoped is None else {"fineGrained": {"scoped": scoped, "global": []}})
    return {"name": name, "orgs": list(orgs), "auth": {"accessToken": token}}


def scope(name, *permissions):
    return {"entity": {"type": "user", "name": name}, "permissions": list(permissions)}


MAY = [
    who(),
    who(name="User"),
    who(name="ann", orgs=[{"name": "user", "roleInOrg": "write"}]),
    who(name="ann", orgs=[{"name": "user", "roleInOrg": "admin"}, {"name": "b", "roleInOrg": "read"}]),
    who(name="ann", orgs=[{"name": "user"}]),
    who("fineGrained", scoped=[scope("user", "repo.content.read", "repo.write")]),
    who("fineGrained", scoped=[scope("user/model", "repo.write")]),
    {"name": "ann"},  # nothing is said of organisations
    {"orgs": [5, None], "name": "user"},
    {"auth": "write", "name": 5, "orgs": {}},
    [],
    None,
]
MAY_NOT = [
    (who("read"), "the token may only read"),
    (who(name="ann"), "the token is of ann"),
    (who(name="ann", orgs=[{"name": "user", "roleInOrg": "read"}]), "may only read in user"),
    (who("fineGrained", scoped=[]), "not for writing to user"),
    (who("fineGrained", scoped=[scope("user", "repo.content.read")]), "not for writing to user"),
    (who("fineGrained", scoped=[scope("user/other", "repo.write"), scope("ann", "repo.write")]), "not for writing"),
]


@pytest.mark.parametrize("said", MAY, ids=str)
def test_a_token_that_may_write_or_of_which_nothing_is_known_stops_nothing(said):
    assert denied(said, "user/model") is None


@pytest.mark.parametrize(("said", "why"), MAY_NOT, ids=str)
def test_a_token_that_may_not_write_is_told_by_the_account_of_the_hub(hub, client, said, why):
    hub.who = said
    with pytest.raises(HubtlError, match=f"a push to user/model would fail: .*{why}") as caught:
        client.call("check_push", "user/model")
    assert caught.value.hint.endswith("leave --push-to-hub out")
    hub.add("user/model", {})
    hub.rights["user/model"] = "200"  # the repository itself says otherwise
    client.call("check_push", "user/model")


def test_a_repository_that_refuses_is_known_before_a_run_trains(hub, client, tmp_path):
    hub.add("user/model", {})
    hub.rights["user/model"] = "403"
    words = ["--target-dataset", photos(tmp_path / "webcam", 0), "--strategy", "finetune", "--model", "lenet",
             "--no-pretrained", "--output-dir", tmp_path / "run", "--push-to-hub", "user/model"]  # fmt: skip
    done = client.type("adapt", *words)
    assert done.code == 2
    assert "a push to user/model would fail: the token may not do this (403" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("answer", ["404", "501", "500", "503", "cut", "empty", "list", "null"])
def test_a_hub_that_tells_nothing_of_rights_stops_nothing(hub, client, answer):
    hub.faults["rights"] = "501"
    hub.faults["whoami"] = answer
    client.call("check_push", "user/model")


def test_the_results_of_a_run_are_said_before_the_push_that_failed(hub, client, tmp_path):
    hub.faults["commit"] = "403"
    run = tmp_path / "run"
    words = ["--target-dataset", photos(tmp_path / "webcam", 0), "--strategy", "finetune", "--model", "lenet",
             "--no-pretrained", "--image-size", "32", "--steps", "2", "--batch-size", "4", "--device", "cpu", "--set",
             "run.plots=false", "--output-dir", run, "--push-to-hub", "user/model", "--quiet"]  # fmt: skip
    done = client.type("adapt", *words)
    assert done.code == 2
    assert "accuracy" in done.out
    assert f"{run}/README.md" in done.out.replace("\n", "")
    assert "the push to user/model failed: the token may not do this (403" in done.err
    assert f"hubtl push {run} user/model" in done.err.splitlines()[-1]
    hub.faults.clear()
    again = client.type("push", run, "user/model")
    assert again.code == 0, again.err
