"""What the Hub can refuse: each with its words, the command that retries, exit code 2, and nothing touched."""

import json
import re

import pytest

from hubtl.errors import HubtlError
from tests.hub_client import contents, hubtl, model
from tests.loopback_hub import TOKEN

pytest_plugins = ["tests.hub_fixtures"]


FAULTS = [
    ("create", "401", "refused \\(401\\)", "hf auth login"),
    ("create", "bad-token", "refused \\(401\\)", "hf auth login"),
    ("create", "403", "may not do this \\(403: You do not have write access\\)", "use a token with write access"),
    ("create", "503", "cannot answer now \\(503\\)", "wait a little"),
    ("create", "cut", "connection to the Hub failed or was cut", "mend the connection"),
    ("preupload", "gated", "gated", "ask for access"),
    ("preupload", "disabled", "disabled on the Hub", "see its page"),
    ("preupload", "repo", "no such repository", "mind the name"),
    ("preupload", "404", "not found \\(404\\)", "mind the name"),
    ("preupload", "503", "cannot answer now \\(503\\)", "wait a little"),
    ("preupload", "429", "too many requests", "wait a little"),
    ("lfs", "403", "may not do this \\(403", "use a token with write access"),
    ("put", "cut", "connection to the Hub failed or was cut", "mend the connection"),
    ("put", "403", "may not do this \\(403", "use a token with write access"),
    ("commit", "401", "refused \\(401\\)", "hf auth login"),
    ("commit", "revision", "no such revision", "mind the revision"),
    ("commit", "entry", "lacks a file", "mind the revision"),
    ("commit", "409", "changed meanwhile.*\\(409: Conflict\\)", ""),
    ("commit", "503", "cannot answer now \\(503\\)", "wait a little"),
    ("commit", "cut", "connection to the Hub failed or was cut", "mend the connection"),
]


@pytest.mark.parametrize(("step", "fault", "words", "first"), FAULTS)
def test_a_push_that_fails_says_why_and_how_to_try_again(hub, client, run, step, fault, words, first):
    before = contents(run)
    if step != "create":
        hub.add("user/model", {"README.md": b"# Mine\n"})
    hub.faults[step] = fault
    with pytest.raises(HubtlError, match=f"the push to user/model failed: .*{words}") as caught:
        client.push(run, "user/model", commit_message="try again")
    hint = caught.value.hint
    assert hint is not None
    assert hint.startswith(first)
    assert hint.endswith(f"hubtl push {run} user/model --commit-message 'try again'")
    assert not hub.repos if step == "create" else hub.files("user/model") == {"README.md": b"# Mine\n"}
    assert contents(run) == before


def test_a_wrong_token_is_said_to_be_wrong_and_not_repeated(hub, client, run):
    with pytest.raises(HubtlError, match="refused \\(401\\): it is wrong or expired") as caught:
        client.push(run, "user/model", token="some-wrong-token", commit_message="with some-wrong-token")
    assert "some-wrong-token" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "faults", "token", "words"),
    [
        ("user/missing", {}, TOKEN, "no such repository"),
        ("user/missing", {}, None, "asks for a token \\(401\\), and there is none"),
        ("user/known@nowhere", {}, TOKEN, "no such revision"),
        ("user/known", {"info": "gated"}, TOKEN, "gated"),
        ("user/known", {"info": "disabled"}, TOKEN, "disabled"),
        ("user/known", {"info": "401"}, TOKEN, "refused \\(401\\)"),
        ("user/known", {"info": "403"}, TOKEN, "may not do this \\(403"),
        ("user/known", {"info": "404"}, TOKEN, "not found \\(404\\)"),
        ("user/known", {"info": "503"}, TOKEN, "cannot answer now \\(503\\)"),
        ("user/known", {"tree": "cut"}, TOKEN, "failed or was cut"),
        ("user/known", {"resolve:model.safetensors": "entry"}, TOKEN, "lacks a file"),
        ("user/known", {"resolve:model.safetensors": "403"}, TOKEN, "may not do this"),
        ("user/known", {"resolve:model.safetensors": "cut"}, TOKEN, "failed or was cut"),
    ],
)
def test_a_pull_that_fails_says_why_and_writes_nothing(hub, client, tmp_path, name, faults, token, words):
    hub.add("user/known", model(config=json.dumps(str(faults)).encode(), model=str(faults).encode()))
    hub.faults.update(faults)
    out = tmp_path / "out"
    with pytest.raises(HubtlError, match=f"cannot pull {name}: .*{words}") as caught:
        client.pull(name, output_dir=str(out), token=token)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"hubtl pull {name} --output-dir {out}")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_say_what_is_missing_is_understood(hub, client, run):
    hub.silent_404 = True
    client.push(run, "user/quiet")  # there is no README yet
    with pytest.raises(HubtlError, match="not found \\(404\\)"):
        client.pull("user/missing")


def test_a_failed_push_prints_two_lines_and_exits_with_2(hub, run, tmp_path):
    before = contents(run)
    home = tmp_path / "home"
    gone = hubtl(hub, home, "push", run, "user/model", HF_ENDPOINT="http://127.0.0.1:9")
    xet = hubtl(hub, home, "push", run, "user/model", HF_HUB_DISABLE_XET="")
    anonymous = hubtl(hub, home, "push", run, "user/model", "--json", token="")
    assert [done.returncode for done in (gone, xet, anonymous)] == [2, 2, 2]
    for done, words in (
        (gone, "the connection to the Hub failed or was cut"),
        (xet, r"xet storage refuses .*\ntry:   export HF_HUB_DISABLE_XET=1, then: "),
        (anonymous, r"there is no token\ntry:   hf auth login"),
    ):
        assert done.stdout == ""
        assert re.search(words, done.stderr), done.stderr
        assert done.stderr.rstrip().endswith(f"hubtl push {run} user/model")
        assert len(done.stderr.splitlines()) == 2
    assert hub.repos["user/model"].messages == []
    assert contents(run) == before
