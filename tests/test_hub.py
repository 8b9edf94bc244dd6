"""Push and pull over HTTP, against a Hub on this machine, by a client in its own process."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hubtl.card import document
from hubtl.errors import HubtlError
from hubtl.hub.names import files_of
from tests import records
from tests.loopback_hub import TOKEN, Hub, env_for, start

# Calls of hubtl, one a line, in one process: a process for each would cost a second. It does not wait between retries.
CLIENT = """
import json, os, sys, time, warnings
time.sleep = lambda seconds: None
import hubtl.hub
from hubtl.errors import HubtlError
for line in sys.stdin:
    name, arguments, options, token = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    try:
        done = getattr(hubtl.hub, name)(*arguments, **options)
        answer = {"done": str(done) if name == "pull" else done and vars(done)}
    except HubtlError as error:
        answer = {"message": str(error), "hint": error.hint}
    print(json.dumps(answer), flush=True)
"""
MODEL_FILES = {
    "README.md",
    "config.json",
    "hubtl.json",
    "model.safetensors",
    "plots/curves.png",
    "preprocessor_config.json",
    "recipe.yaml",
    "record.json",
}
WEIGHTS = bytes(range(256)) * 64


class Client:
    """hubtl in another process. ``push`` and the like return what was done, or raise the HubtlError again."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.errors = (home.parent / "client-stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            env=env_for(hub, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def call(self, name: str, *arguments: object, token: str | None = TOKEN, **options: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, [str(a) for a in arguments], options, token]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client died: " + Path(self.errors.name).read_text()
        answer = json.loads(line)
        assert TOKEN not in line
        if "done" in answer:
            return SimpleNamespace(**answer["done"]) if isinstance(answer["done"], dict) else answer["done"]
        raise HubtlError(answer["message"], hint=answer["hint"])

    def push(self, *arguments: object, **options: Any) -> Any:
        return self.call("push", *arguments, **options)

    def pull(self, spec: str, **options: Any) -> Path:
        return Path(self.call("pull", spec, **options))

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()
        self.errors.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    hub = start()
    yield hub
    hub.stop()


@pytest.fixture
def hub(server: Hub) -> Hub:
    server.reset()
    return server


@pytest.fixture(scope="module")
def client(server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server, tmp_path_factory.mktemp("client") / "home")
    yield client
    client.stop()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run directory, with things in it that are nobody's business."""
    folder = tmp_path / "run"
    (folder / "plots").mkdir(parents=True)
    (folder / "training").mkdir()
    record = records.gain(status="finished", plots=["curves.png"])
    record.save(folder)
    files = {
        "config.json": b'{"architecture": "resnet50"}',
        "model.safetensors": WEIGHTS,
        "preprocessor_config.json": b"{}",
        "recipe.yaml": b"model: resnet50\n",
        "hubtl.json": b'{"format_version": 1, "library": "timm", "native": true}',
        "plots/curves.png": b"png",
        "plots/notes.txt": b"private",
        "training/model.safetensors": b"state",
        "training/state.pt": b"pickle",
        "pytorch_model.bin": b"pickle",
        "vocab.pkl": b"pickle",
        "modeling.py": b"print()",
        "config.json.partial": b"{",
        ".env": b"SECRET=1",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def model(**changes: bytes | None) -> dict[str, bytes]:
    """The files of a small model in a repository; ``changes`` by the name before the dot, None to leave one out."""
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS, "hubtl.json": b'{"format_version": 1}'}
    for stem, content in changes.items():
        name = next(name for name in files if name.startswith(stem))
        files.pop(name)
        files |= {} if content is None else {name: content}
    return files


def hubtl(hub: Hub, home: Path, *words: object, token: str | None = None, **environment: str) -> Any:
    """The command line in a process of its own."""
    settings = {k: v for k, v in (env_for(hub, home, token=token) | environment).items() if v}
    command = [sys.executable, "-m", "hubtl", *map(str, words)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done


# push


def test_a_link_out_of_the_folder_is_an_error_and_one_inside_is_not(run, tmp_path):
    (run / "tokenizer.json").symlink_to(run / "config.json")
    assert set(files_of(run)) == (MODEL_FILES - {"README.md"}) | {"tokenizer.json"}
    (tmp_path / "secret").write_text("secret")
    (run / "merges.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(HubtlError, match="leads out of the folder"):
        files_of(run)


def test_a_push_is_one_commit_of_what_belongs_to_the_model(hub, client, run):
    before = contents(run)
    done = client.push(run, "user/model", private=True, commit_message="first")
    assert set(hub.files("user/model")) == MODEL_FILES
    assert hub.files("user/model")["model.safetensors"] == WEIGHTS
    assert hub.repos["user/model"].messages == ["first"]
    assert hub.repos["user/model"].private
    assert done.commit == hub.repos["user/model"].refs["main"]
    assert done.url == f"{hub.url}/user/model/commit/{done.commit}"
    assert dict(done.files) == {n: len(c) for n, c in hub.files("user/model").items()}
    assert contents(run) == before
    assert 'hf-hub:user/model"' in hub.files("user/model")["README.md"].decode()


def test_a_second_push_adds_one_commit_and_asks_for_no_new_repository(hub, client, run):
    client.push(run, "user/model")
    (run / "config.json").write_text('{"architecture": "resnet18"}')
    hub.relative_urls = True
    done = client.push(run, "user/model")
    assert hub.files("user/model")["config.json"] == b'{"architecture": "resnet18"}'
    assert len(hub.repos["user/model"].messages) == 2
    assert done.url == f"{hub.url}/user/model/commit/{done.commit}"


def test_a_push_to_a_branch_makes_it_and_leaves_main_alone(hub, client, run):
    main = hub.add("user/model", {"README.md": b"# Mine\n"})
    client.push(run, "user/model", revision="try/one")
    client.push(run, "user/model", revision="try/one")
    assert hub.repos["user/model"].refs["main"] == main
    assert set(hub.files("user/model", "try/one")) == MODEL_FILES
    assert "# Mine" in hub.files("user/model", "try/one")["README.md"].decode()


def test_a_pull_request_leaves_main_alone(hub, client, run):
    main = hub.add("user/model", {"README.md": b"# Mine\n"})
    done = client.push(run, "user/model", create_pr=True)
    assert done.url == f"{hub.url}/user/model/discussions/1"
    assert hub.repos["user/model"].refs["main"] == main
    assert set(hub.files("user/model", "refs/pr/1")) == MODEL_FILES
    with pytest.raises(HubtlError, match="goes to main, not to other"):
        client.push(run, "user/model", create_pr=True, revision="other")


def test_what_people_wrote_into_the_readme_is_kept(hub, client, run):
    client.push(run, "user/model")
    readme = hub.files("user/model")["README.md"].decode()
    edited = readme.replace("tags:\n", "language: fi\ntags:\n- chairs\n") + "\n## On the Hub\n\nBy a colleague.\n"
    edited = edited.replace(document.START, f"Read this first.\n\n{document.START}")
    hub.add("user/model", {"README.md": edited.encode()})
    (run / "README.md").write_text(readme + "\n## Here\n\nBy me.\n")
    before = contents(run)
    client.push(run, "user/model")
    after = document.parse(hub.files("user/model")["README.md"].decode())
    assert after.before.strip() == "Read this first."
    assert after.after.strip().split("\n\n") == ["## On the Hub", "By a colleague.", "## Here", "By me."]
    assert after.metadata["language"] == "fi"
    assert {"chairs", "hubtl", "dann"} <= set(after.metadata["tags"])
    assert contents(run) == before
    client.push(run, "user/model")
    assert document.parse(hub.files("user/model")["README.md"].decode()) == after  # nothing piles up


@pytest.mark.parametrize("fault", ["503", "403", "gated"])
def test_a_readme_that_cannot_be_read_is_not_overwritten(hub, client, run, fault):
    hub.add("user/model", {"README.md": b"# Mine\n"})
    hub.faults["resolve"] = fault
    with pytest.raises(HubtlError):
        client.push(run, "user/model")
    assert hub.files("user/model") == {"README.md": b"# Mine\n"}


def test_a_readme_with_broken_markers_is_not_overwritten(hub, client, run):
    hub.add("user/model", {"README.md": document.START.encode() + b"\nMine\n"})
    with pytest.raises(HubtlError, match="hubtl:end"):
        client.push(run, "user/model")
    assert len(hub.repos["user/model"].messages) == 1


def test_without_a_record_the_readme_is_pushed_as_it_is(hub, client, run):
    (run / "record.json").unlink()
    (run / "README.md").write_text("---\nlicense: mit\n---\n# My own card\n")
    client.push(run, "user/model")
    assert hub.files("user/model")["README.md"] == (run / "README.md").read_bytes()
    (run / "README.md").write_text("---\nbase_model: ../resnet50\n---\n# My own card\n")
    with pytest.raises(HubtlError, match="base_model is a local path"):
        client.push(run, "user/model")


def test_nothing_is_sent_for_what_can_be_refused_here(hub, client, run, tmp_path):
    def refused(words: str, *arguments: object, **options: Any) -> None:
        with pytest.raises(HubtlError, match=words):
            client.push(*arguments, **options)

    refused("not a repository's name", run, "model")
    refused("not a repository's name", run, "user/model", revision="a..b")
    refused("holds no finished model", tmp_path / "nothing", "user/model")
    refused("there is no token", run, "user/model", token=None)
    (run / "README.md").write_text("---\ndatasets:\n- /home/me/data\n---\n")
    refused("README.md: the Hub would refuse its metadata: .*local path", run, "user/model")
    (run / "README.md").unlink()
    records.gain(status="interrupted").save(run)
    refused(r"is not finished \(interrupted\)", run, "user/model")
    (run / "record.json").write_text("{")
    refused("record.json cannot be read", run, "user/model")
    (run / "record.json").unlink()
    (run / "model.safetensors").unlink()
    refused("holds no finished model", run, "user/model")
    assert hub.log == []


def test_a_dry_run_sends_nothing_and_needs_no_token(hub, client, run):
    done = client.push(run, "user/model", dry_run=True, token=None)
    assert {name for name, _ in done.files} == MODEL_FILES
    assert done.url is None
    assert hub.log == []


def test_the_check_before_training_finds_a_missing_token_and_a_wrong_name(hub, client):
    client.call("check_push", "user/model")
    with pytest.raises(HubtlError, match="no token"):
        client.call("check_push", "user/model", token=None)
    with pytest.raises(HubtlError, match="not a repository's name"):
        client.call("check_push", "model")
    assert hub.log == []  # it is cheap, and it does not judge the token by its form


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


# pull


def test_a_pull_takes_a_branch_a_tag_or_a_commit(hub, client):
    first = hub.add("user/pulled", model(config=b'{"n": 1}'))
    hub.repos["user/pulled"].refs["v1"] = first
    second = hub.add("user/pulled", model(config=b'{"n": 2}'))
    hub.add("user/pulled", model(config=b'{"n": 3}'), branch="other")
    wanted = {"": 2, "@main": 2, "@v1": 1, f"@{first}": 1, f"@{second}": 2, "@other": 3}
    found = {at: json.loads((client.pull(f"user/pulled{at}") / "config.json").read_text())["n"] for at in wanted}
    assert found == wanted


def test_what_was_pushed_is_what_is_pulled(hub, client, run, tmp_path):
    client.push(run, "user/round-trip", private=True)
    out = tmp_path / "somewhere" / "else"
    assert client.pull("user/round-trip", output_dir=str(out)) == out
    assert contents(out) == hub.files("user/round-trip")


def test_only_what_belongs_to_a_model_is_pulled(hub, client, tmp_path):
    strange = {
        "modeling.py": b"print()",
        "pytorch_model.bin": b"pickle",
        "vocab.pkl": b"pickle",
        "plots/deep/x.png": b"png",
        ".gitattributes": b"*",
    }
    hub.add("user/strange", model() | strange)
    client.pull("user/strange", output_dir=str(tmp_path / "out"))
    assert contents(tmp_path / "out") == model()
    asked = [path for _, path in hub.log if "/resolve/" in path]
    assert not [path for path in asked if path.endswith((".py", ".bin", ".pkl", ".gitattributes"))]


@pytest.mark.parametrize("path", ["plots/../../../../../escaped.png", "model-../../../../../escaped.safetensors"])
def test_a_path_that_leaves_the_folder_is_not_written(hub, client, tmp_path, path):
    hub.add("user/escape", model() | {path: b"escaped"})
    with pytest.raises(HubtlError, match="cannot pull user/escape"):
        client.pull("user/escape", output_dir=str(tmp_path / "out"))
    client_home = Path(client.errors.name).parent
    assert not [p for root in (tmp_path, client_home.parent) for p in root.rglob("escaped*")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hubtl": b'{"format_version": 2}'}, "newer hubtl \\(format 2, this one reads 1\\)"),
        ({"hubtl": b"{"}, "hubtl.json cannot be read"),
        ({"hubtl": b"[]"}, "hubtl.json cannot be read"),
        ({"model": None}, "no model that can be loaded safely"),
        ({"config": None}, "no model that can be loaded safely"),
    ],
)
def test_a_repository_that_could_not_be_loaded_is_refused(hub, client, tmp_path, request, changes, words):
    hub.add("user/unloadable", model(**changes) | {"pytorch_model.bin": b"pickle"})
    with pytest.raises(HubtlError, match=words):
        client.pull("user/unloadable", output_dir=str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(hub, client, tmp_path):
    hub.add("user/model", model())
    (tmp_path / "note").write_text("mine")
    with pytest.raises(HubtlError, match="is not empty"):
        client.pull("user/model", output_dir=str(tmp_path))
    assert hub.log == []
    (tmp_path / "empty").mkdir()
    client.pull("user/model", output_dir=str(tmp_path / "empty"))
    assert contents(tmp_path / "empty") == model()


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


# the command line


def test_the_command_line_pushes_pulls_and_works_offline(hub, run, tmp_path):
    home = tmp_path / "home"
    pushed = hubtl(hub, home, "push", run, "user/shown", "--private")
    assert pushed.returncode == 0, pushed.stderr
    commit = hub.repos["user/shown"].refs["main"]
    assert f"{len(WEIGHTS):,}  model.safetensors" in pushed.stdout
    assert f"pushed     {hub.url}/user/shown/commit/{commit}\ncommit     {commit}\n" in pushed.stdout
    assert pushed.stdout.endswith('import timm\nmodel = timm.create_model("hf-hub:user/shown", pretrained=True)\n')

    pulled = hubtl(hub, home, "pull", "user/shown", "--json")
    assert pulled.returncode == 0, pulled.stderr
    folder = Path(json.loads(pulled.stdout)["folder"])
    assert contents(folder) == hub.files("user/shown")

    offline = hubtl(hub, home, "pull", "user/shown", "--quiet", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert (offline.returncode, Path(offline.stdout.strip())) == (0, folder)

    away = hubtl(hub, home, "pull", "user/other", HF_HUB_OFFLINE="1")
    assert away.returncode == 2
    assert away.stderr == (
        "error: cannot pull user/other: HF_HUB_OFFLINE is set, so only what is in the cache can be had\n"
        "try:   unset HF_HUB_OFFLINE, then: hubtl pull user/other\n"
    )


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


def test_a_folder_that_was_pulled_can_be_pushed_again(hub, client, tmp_path):
    hub.add("user/first", model())
    out = client.pull("user/first", output_dir=str(tmp_path / "out"))
    client.push(out, "user/second")
    assert hub.files("user/second") == model()
    shutil.rmtree(out)
    with pytest.raises(HubtlError, match="leads out of the folder"):
        client.push(client.pull("user/first"), "user/third")
