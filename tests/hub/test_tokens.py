"""No printed or written text has a token, but the login's file. It holds whatever the Hub or the user says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.client import Client, classifier, contents, hubtl, model, photos
from tests.hub.loopback import REFUSALS, TOKEN, Hub, env_for

QUICK = ["--strategy", "shot-im", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--image-size", "32",
         "--set", "run.plots=false", "--set", "run.fallback=false"]  # fmt: skip


def leaks(*folders: Path, token: str = TOKEN) -> list[str]:
    """The files with a token in content or name. The login's do not count."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.name not in ("token", "stored_tokens")]
    assert files
    return [str(path) for path in files if token.encode() in path.read_bytes() or token in path.name]


def in_repositories(hub: Hub, token: str = TOKEN) -> list[str]:
    commits = [files for repo in hub.repos.values() for files in repo.commits.values()]
    assert commits
    told = [name for files in commits for name, content in files.items() if token.encode() in content]
    return told + [message for repo in hub.repos.values() for message in repo.messages if token in message]


def test_a_run_that_is_pushed_and_pulled_tells_its_token_to_nobody(hub, run, tmp_path):
    """By a token that a login saved: it is in no environment variable, and nowhere but in its file afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(TOKEN)
    for words in (["push", run, "user/model", "--private"], ["pull", "user/model", "--output-dir", tmp_path / "out"]):
        done = hubtl(hub, home, *words, token="")
        assert done.returncode == 0, done.stderr
    debug = hubtl(hub, home, "push", run, "user/model", "--debug", "--revision", "other", token="")
    assert debug.returncode == 0, debug.stderr
    assert leaks(tmp_path) == []
    assert in_repositories(hub) == []


def test_a_run_from_the_data_to_the_hub_writes_no_token(hub, client, tmp_path):
    """A token typed where none belongs is written nowhere. Record, card, recipe and log are read."""
    hub.add("someone/office", classifier(tmp_path / "base"))
    rest = ["--target-dataset", photos(tmp_path / "webcam", 0), *QUICK, "--output-dir"]
    words = ["adapt", "--model", "someone/office", *rest, tmp_path / "run", "--push-to-hub", "user/run", "--debug"]
    done = client.type(*words)
    assert done.code == 0, done.err
    typed = client.type("adapt", "--model", f"https://user:{TOKEN}@hub/x", *rest, tmp_path / "no")
    assert typed.code == 2
    assert "model.name has a token in it, which the run would write down" in typed.err
    assert not (tmp_path / "no").exists()
    assert leaks(tmp_path, client.home) == []
    assert in_repositories(hub) == []


@pytest.mark.parametrize("step", ["create", "preupload", "commit"])
def test_what_the_hub_says_back_is_told_without_the_token(hub, client, run, monkeypatch, step):
    """A Hub, or a proxy, may repeat the header that it got."""
    monkeypatch.setitem(REFUSALS, "echo", (403, None, f"Authorization: Bearer {TOKEN} of {TOKEN} may not"))
    hub.faults[step] = "echo"
    done = client.type("push", run, "user/model", "--commit-message", f"with {TOKEN}")
    assert done.code == 2
    assert "may not do this (403: Authorization: Bearer <token>" in done.err
    assert "--commit-message 'with <token>'" in done.err
    assert leaks(run) == []


def test_a_traceback_has_no_token_either(hub, run, tmp_path, monkeypatch):
    monkeypatch.setitem(REFUSALS, "echo", (403, None, f"Bearer {TOKEN} may not"))
    hub.faults["create"] = "echo"
    command = [sys.executable, "-m", "hubtl", "push", str(run), "user/model", "--debug"]
    done = subprocess.run(
        command, env=env_for(hub, tmp_path / "home"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_a_commit_message_with_a_token_is_sent_without_it(hub, client, run):
    client.push(run, "user/model", commit_message=f"by {TOKEN}")
    assert hub.repos["user/model"].messages == ["by <token>"]


@pytest.mark.parametrize("place", ["README.md", "record.json", "recipe.yaml", "config.json", "hubtl.json"])
def test_a_token_in_a_file_of_the_run_stops_the_push(hub, client, run, place):
    """Somebody pasted it there. Nothing is sent, and the message names the file and not the token."""
    text = (run / place).read_text() if (run / place).exists() else "# Mine\n"
    if place.endswith(".json"):
        text = json.dumps(json.loads(text) | ({"command": f"x {TOKEN}"} if place == "record.json" else {"x": TOKEN}))
    (run / place).write_text(text if TOKEN in text else f"{text}\n# {TOKEN}\n")
    before = contents(run)
    done = client.type("push", run, "user/model")
    assert done.code == 2
    assert f"{place} has a token in it" in done.err
    assert hub.log == []
    assert contents(run) == before


def test_a_token_of_a_pulled_repository_is_not_the_users_and_is_left_alone(hub, client: Client, tmp_path):
    """Only the tokens of this machine are looked for in files: other text may look like one."""
    hub.add("user/model", model(config=b'{"note": "hf_mobilenet"}'))
    client.pull("user/model", output_dir=str(tmp_path / "out"))
    client.push(tmp_path / "out", "user/copy")
    assert hub.files("user/copy")["config.json"] == b'{"note": "hf_mobilenet"}'
