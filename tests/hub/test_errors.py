"""Refusals of the Hub are explained: each with its words, the exact command that retries, exit code 2, and nothing touched."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hub.client import Client, contents, hubtl, model
from tests.hub.loopback import TOKEN, start

OLD = {"README.md": b"# Mine\n"}


def refused(done: Any, words: str, first: str, command: list[str]) -> str:
    """Exit code 2 and two lines: what happened, then what to do first and the command that was typed. Returns that."""
    assert done.code == 2
    *busy, error, hint = done.err.splitlines()
    assert all(re.match(r"the Hub answers \d+: |asking it again in ", line) for line in busy), done.err
    assert bool(busy) == any(f"({status}" in error for status in (429, 503)), (
        "a busy Hub is never waited for in silence"
    )
    assert re.match(f"error: .*{words}", error), error
    assert hint.startswith(f"try:   {first}")
    assert hint.endswith(shlex.join(["hubtl", *command]))
    assert "hf_" not in done.err.replace("hf_hub", "")
    return hint.removeprefix("try:   ").rpartition(", then: ")[2]


def typed_again(client: Client, retry: str) -> None:
    done = client.type(*shlex.split(retry)[1:])
    assert done.code == 0, done.err


PUSH_FAULTS = [
    ("yaml", "401", r"refused \(401\)", "hf auth login"),
    ("create", "401", r"refused \(401\)", "hf auth login"),
    ("create", "bad-token", r"refused \(401\)", "hf auth login"),
    ("create", "403", r"may not do this \(403: You do not have write access\)", "use a token with write access"),
    ("create", "409", "no such repository", "mind the name"),  # it is there, says the Hub; but it is not
    ("create", "503", r"cannot answer now \(503\)", "wait a little"),
    ("create", "cut", "connection to the Hub failed or was cut", "mend the connection"),
    ("info", "401", r"refused \(401\)", "hf auth login"),
    ("tree", "503", r"cannot answer now \(503\)", "wait a little"),
    ("preupload", "gated", r"gated.*\(403\)", "ask for access"),
    ("preupload", "gated-401", r"gated.*\(401\)", "ask for access"),
    ("preupload", "disabled", "disabled on the Hub", "see its page"),
    ("preupload", "repo", "no such repository", "mind the name"),
    ("preupload", "404", r"not found \(404\)", "mind the name"),
    ("preupload", "503", r"cannot answer now \(503\)", "wait a little"),
    ("preupload", "429", "too many requests", "wait a little"),
    ("lfs", "403", r"may not do this \(403", "use a token with write access"),
    ("lfs", "413", r"too large \(413", "see what --dry-run lists"),
    ("put", "cut", "connection to the Hub failed or was cut", "mend the connection"),
    ("put", "403", r"may not do this \(403", "use a token with write access"),
    ("verify", "503", r"cannot answer now \(503\)", "wait a little"),
    ("commit", "401", r"refused \(401\)", "hf auth login"),
    ("commit", "403", r"may not do this \(403", "use a token with write access"),
    ("commit", "revision", "no such revision", "mind the revision"),
    ("commit", "entry", "lacks a file", "mind the revision"),
    ("commit", "409", r"changed meanwhile.*\(409: Conflict\)", "hubtl push"),
    ("commit", "503", r"cannot answer now \(503\)", "wait a little"),
    ("commit", "cut", "connection to the Hub failed or was cut", "mend the connection"),
]


@pytest.mark.parametrize(("step", "fault", "words", "first"), PUSH_FAULTS)
def test_a_push_that_fails_says_why_and_its_retry_works(hub, client, run, step, fault, words, first):
    before = contents(run)
    new = step in ("yaml", "create")
    if not new:
        hub.add("user/model", OLD)
    hub.faults[step] = fault
    command = ["push", str(run), "user/model", "--public", "--commit-message", "it's a try"]
    retry = refused(client.type(*command), f"the push to user/model failed: .*{words}", first, command)
    assert not hub.repos if new else hub.files("user/model") == OLD
    assert contents(run) == before
    hub.faults.clear()
    typed_again(client, retry)
    assert hub.files("user/model")["model.safetensors"] == before["model.safetensors"]
    assert hub.repos["user/model"].messages[-1] == "it's a try"
    assert contents(run) == before


@pytest.mark.parametrize(
    ("options", "token", "words", "first"),
    [
        (["--private", "--revision", "try/two"], None, "there is no token", "hf auth login"),
        (["--create-pr"], "wrong-token-0123456789", r"refused \(401\): it is wrong or expired", "hf auth login"),
    ],
)
def test_a_push_without_the_right_token(hub, client, run, options, token, words, first):
    hub.add("user/model", OLD)
    before = contents(run)
    command = ["push", str(run), "user/model", *options]
    retry = refused(client.type(*command, token=token), words, first, command)
    assert hub.files("user/model") == OLD
    assert contents(run) == before
    typed_again(client, retry)
    assert contents(run) == before


PULL_FAULTS = [
    ("user/missing", {}, TOKEN, "no such repository", "mind the name"),
    ("user/missing", {}, None, r"asks for a token \(401\), and there is none", "hf auth login"),
    ("user/known", {}, "wrong-token-0123456789", r"refused \(401\): it is wrong or expired", "hf auth login"),
    ("user/known@nowhere", {}, TOKEN, "no such revision", "mind the revision"),
    ("user/known", {"info": "gated"}, TOKEN, r"gated.*\(403\)", "ask for access"),
    ("user/known", {"info": "gated-401"}, TOKEN, r"gated.*\(401\)", "ask for access"),
    ("user/known", {"info": "disabled"}, TOKEN, "disabled", "see its page"),
    ("user/known", {"info": "401"}, TOKEN, r"refused \(401\)", "hf auth login"),
    ("user/known", {"info": "403"}, TOKEN, r"may not do this \(403", "use a token"),
    ("user/known", {"info": "404"}, TOKEN, r"not found \(404\)", "mind the name"),
    ("user/unseen", {"info": "503"}, TOKEN, r"cannot answer now \(503\)", "wait a little"),
    ("user/known", {"tree": "cut"}, TOKEN, "failed or was cut", "mend the connection"),
    ("user/known", {"resolve:config.json": "gated"}, TOKEN, "gated", "ask for access"),
    ("user/known", {"resolve:model.safetensors": "entry"}, TOKEN, "lacks a file", "mind the revision"),
    ("user/known", {"resolve:model.safetensors": "403"}, TOKEN, "may not do this", "use a token"),
    ("user/known", {"resolve:model.safetensors": "503"}, TOKEN, r"cannot answer now \(503\)", "wait a little"),
    ("user/known", {"resolve:model.safetensors": "cut"}, TOKEN, "failed or was cut", "mend the connection"),
]


@pytest.mark.parametrize(("name", "faults", "token", "words", "first"), PULL_FAULTS)
def test_a_pull_that_fails_says_why_and_writes_nothing(hub, client, tmp_path, name, faults, token, words, first):
    fresh = f"{faults} {len(token or '')}".encode()  # no other test's blobs: they would come from the cache
    for repo in ("user/known", "user/unseen"):
        hub.add(repo, model(config=json.dumps({"fresh": fresh.decode()}).encode(), model=fresh))
    hub.faults.update(faults)
    command = ["pull", name, "--output-dir", str(tmp_path / "out")]
    done = client.type(*command, token=token)
    retry = refused(done, f"cannot pull {name}: .*{words}", first, command)
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []
    hub.faults.clear()
    if name in hub.repos:
        typed_again(client, retry)
        assert contents(tmp_path / "out")["model.safetensors"] == fresh


def test_a_server_that_does_not_say_what_is_missing_is_understood(hub, client, run):
    hub.silent_404 = True
    typed_again(client, f"hubtl push {run} user/quiet")  # there is no README yet
    done = client.type("pull", "user/missing")
    refused(done, r"not found \(404\)", "mind the name", ["pull", "user/missing"])


def test_without_a_network_a_push_and_a_pull_say_so_at_once(hub, run, tmp_path):
    before = contents(run)
    for command in (["push", str(run), "user/model"], ["pull", "user/model", "--output-dir", str(tmp_path / "out")]):
        gone = hubtl(hub, tmp_path / "home", *command, HF_ENDPOINT="http://127.0.0.1:9")
        gone.err = gone.stderr.removeprefix("http://127.0.0.1:9 does not answer: using what is in the cache\n")
        gone.code = gone.returncode
        refused(gone, "(connection to the Hub failed|the Hub does not answer)", "mend the connection", command)
    assert contents(run) == before
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(hub, client, tmp_path):
    hub.add("user/model", model())
    (tmp_path / "file").write_bytes(b"")
    out = Path(tmp_path / "file" / "out")
    done = client.type("pull", "user/model", "--output-dir", str(out))
    assert done.code == 2
    assert done.err.startswith(f"error: cannot write {out}: ")
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.hub
def test_over_https_a_bare_401_is_not_taken_for_a_missing_repository(run, tmp_path):
    """There the client calls it RepositoryNotFoundError."""
    pem = tmp_path / "hub.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(pem), "-out", str(pem) + ".crt"]
    subprocess.run([*make, *subject], check=True, capture_output=True)
    certificate = Path(f"{pem}.crt").read_text()
    pem.write_text(pem.read_text() + certificate)
    hub = start(certificate=pem)
    try:
        hub.add("user/model", OLD | model())
        before, settings = contents(run), {"SSL_CERT_FILE": f"{pem}.crt"}
        pull = ["pull", "user/model", "--output-dir", str(tmp_path / "out")]
        for step, command in (("preupload", ["push", str(run), "user/model"]), ("info", pull)):
            hub.faults = {step: "401"}
            done = hubtl(hub, tmp_path / "home", *command, **settings)
            done.code, done.err = done.returncode, done.stderr
            refused(done, r"the token was refused \(401\): it is wrong or expired", "hf auth login", command)
        hub.faults = {}
        assert hubtl(hub, tmp_path / "home", *pull, **settings).returncode == 0
        assert hub.files("user/model") == OLD | model()
        assert contents(run) == before
    finally:
        hub.stop()
