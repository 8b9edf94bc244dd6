"""Two servers that are not quite the Hub, and what is none: nothing is lost, nothing is guessed, and each is said."""

import shlex

import pytest

from hubtl.errors import HubtlError
from tests.hub.client import WEIGHTS, contents, model
from tests.hub.loopback import start
from tests.hub.test_errors import typed_again

# A forge that speaks the Hub's protocol over a git that counts by SHA-256: it has no pull requests, it answers with less
# than the Hub does, and it knows nothing of rights.
FORGE = {
    "long_ids": True,
    "pull_requests": "501",
    "omits": {"create": {"url", "name"}, "commit": {"commitOid", "commitUrl"}, "info": {"siblings", "tags"}},
    "who": {"name": "user"},
    "silent_404": True,
}
# A mirror behind a proxy: it sends file by file in pages, packs what it sends, and gives no ETag of its own kind.
MIRROR = {"page_size": 2, "zipped": True, "foreign_ids": True, "relative_urls": True, "rights": {"user/model": "501"}}
DOUBLES = {"forge": FORGE, "mirror": MIRROR}


def become(hub, changes):
    for name, value in changes.items():
        setattr(hub, name, value)


@pytest.mark.parametrize("name", DOUBLES)
def test_a_model_goes_there_and_back(hub, client, run, tmp_path, name):
    become(hub, DOUBLES[name])
    client.call("check_push", "user/model")
    done = client.type("push", run, "user/model")
    head = hub.repos["user/model"].refs["main"]
    assert done.code == 0, done.err
    assert f"pushed     {hub.url}/user/model/commit/{head}\n" in done.out
    assert len(head) == (64 if name == "forge" else 40)
    hub.add("user/model", {"README.md": hub.files("user/model")["README.md"] + b"\nA line by hand.\n"})
    (run / "config.json").write_bytes(b'{"architecture": "resnet50", "n": 2}')
    again = client.type("push", run, "user/model")
    assert again.code == 0, again.err
    assert hub.files("user/model")["README.md"].endswith(b"A line by hand.\n")
    sent = hub.repos["user/model"].changes[-1]
    assert "model.safetensors" not in sent, "what is there already is not sent again"
    assert name == "mirror" or sent == ["config.json"]
    folder = client.pull("user/model", output_dir=str(tmp_path / "out"))
    assert contents(folder) == hub.files("user/model")
    first = client.pull(f"user/model@{head}", output_dir=str(tmp_path / "first"))
    assert (first / "config.json").read_bytes() == b'{"architecture": "resnet50"}'
    hub.faults["all"] = "page"  # a commit that was pulled is had without the Hub
    assert client.pull(f"user/model@{head}", output_dir=str(tmp_path / "away")).exists()


@pytest.mark.parametrize("answer", ["400", "403", "404", "501", "main", "unsaid", "page"])
def test_a_server_without_pull_requests_says_so_and_main_stays(hub, client, run, answer):
    old = {"README.md": b"# Mine\n"}
    hub.add("user/model", old)
    hub.pull_requests = answer
    if answer == "page":
        hub.faults["commit"] = "page"
    done = client.type("push", run, "user/model", "--create-pr")
    assert done.code == 2
    assert done.out.count("pushed") == 0
    if answer == "main":  # it took the request for a push: that cannot be undone, and is said
        assert "opened no pull request, and main has changed" in done.err
        assert hub.repos["user/model"].refs["main"] in done.err
        return
    assert "main is as it was" in done.err
    assert hub.files("user/model") == old
    if answer in ("unsaid", "page"):
        assert f"{hub.url}/user/model/discussions" in done.err
        return
    assert "opened no pull request; main is as it was: " in done.err
    typed_again(client, done.err.splitlines()[-1].rpartition("of your own: ")[2])
    assert hub.files("user/model")["model.safetensors"] == WEIGHTS


README_FAULTS = [
    ("404", "the Hub lists it, and does not find it"),
    ("entry", "the Hub lists it, and does not find it"),
    ("503", r"cannot answer now \(503\)"),
    ("403", r"may not do this \(403"),
    ("page", "is no Hub"),
    ("portal", "is no Hub"),
    ("cut", "connection to the Hub failed"),
]


@pytest.mark.parametrize(("fault", "words"), README_FAULTS)
@pytest.mark.parametrize("space", [False, True])
def test_a_readme_that_cannot_be_read_is_never_overwritten(hub, client, run, fault, words, space):
    if space and fault in ("403", "cut", "portal"):
        pytest.skip("the same code, once is enough")
    hub.add("user/model", model())
    where = "spaces/user/model-demo" if space else "user/model"
    hub.add(where, {"README.md": b"---\nlicense: mit\n---\n# Weeks of work\n"})
    before = hub.files(where)
    hub.faults["resolve:README.md"] = fault
    command = ["push", str(run), "user/model", *(["--space"] if space else [])]
    done = client.type(*command)
    assert done.code == 2
    *_, error, hint = done.err.splitlines()
    assert "cannot be read, so it is not overwritten, and nothing was pushed" in error
    with pytest.raises(HubtlError, match=words):
        raise HubtlError(error)
    assert hint.endswith(shlex.join(["hubtl", *command]))
    assert hub.files(where) == before
    hub.faults.clear()
    typed_again(client, shlex.join(["hubtl", *command]))
    assert b"# Weeks of work" in hub.files(where)["README.md"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"# Caf\xe9\n", "not UTF-8 text"), (b"\xff\xfe#\x00", "not UTF-8 text"), (b"x" * 5_000_001, "5,000,001 bytes")],
)
def test_a_readme_of_bytes_or_without_end_is_never_overwritten(hub, client, run, content, words):
    hub.add("user/model", {"README.md": content})
    with pytest.raises(HubtlError, match=words):
        client.push(run, "user/model")
    assert hub.files("user/model") == {"README.md": content}


def test_a_readme_that_no_list_names_is_read_all_the_same(hub, client, run):
    hub.add("user/model", {"README.md": b"# Mine\n"})
    hub.unlisted = {"README.md"}
    client.push(run, "user/model")
    assert b"# Mine" in hub.files("user/model")["README.md"]


@pytest.mark.parametrize(
    "answer", ["page", "page-403", "page-404", "portal", "empty", "list", "null", "types", "not-gzip"]
)
def test_what_is_no_hub_is_called_so(hub, client, run, tmp_path, answer):
    before = contents(run)
    hub.faults["all"] = answer
    for command in (["push", run, "user/never"], ["pull", "user/never", "--output-dir", tmp_path / "out"]):
        done = client.type(*command)
        assert done.code == 2
        error, hint = done.err.splitlines()[-2:]
        assert f"{hub.url} is no Hub" in error, error
        assert hint.startswith("try:   mind HF_ENDPOINT")
        assert hint.endswith(shlex.join(["hubtl", *map(str, command)]))
    with pytest.raises(HubtlError, match="is no Hub"):
        client.dataset("user/data")
    if answer in ("page", "page-403", "portal"):
        with pytest.raises(HubtlError, match=r"a push to user/model would fail: .* is no Hub"):
            client.call("check_push", "user/model")
    assert contents(run) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["429 x2", "500 x1", "502 x1", "503 x2", "504 x3"])
@pytest.mark.parametrize("step", ["info", "create", "commit", "preupload", "tree"])
def test_a_busy_hub_is_asked_again_and_it_is_said(hub, client, run, step, fault):
    if (step, fault) not in [("info", "429 x2"), ("create", "500 x1"), ("commit", "503 x2"), ("commit", "504 x3"),
                             ("preupload", "429 x2"), ("tree", "502 x1")]:  # fmt: skip
        pytest.skip("one of each is enough")
    hub.faults[step] = fault
    hub.retry_after = "3"
    done = client.type("push", run, "user/model")
    status, times = fault.split(" x")
    assert done.code == 0, done.err
    assert done.err.count(f"the Hub answers {status}: ") == int(times)
    assert "and asks to wait 3 s" in done.err
    asked = [path for _, path in hub.log if f"/{step}/" in path]
    assert step not in ("commit", "preupload") or len(asked) == 1 + int(times), "no call is asked for twice over"
    assert len(hub.repos["user/model"].messages) == 1


@pytest.mark.parametrize("step", ["info", "commit", "preupload"])
def test_a_hub_that_asks_for_too_much_patience_is_not_waited_for(hub, client, run, step):
    hub.add("user/model", {"README.md": b"# Mine\n"})
    hub.faults[step], hub.retry_after = "429", "7200"
    done = client.type("push", run, "user/model")
    assert done.code == 2
    assert "too many requests (429)" in done.err
    assert "try:   wait 2 h, then: hubtl push" in done.err
    assert sum(f"/{step}/" in path for _, path in hub.log) <= 1


def test_a_commit_whose_answer_was_lost_is_found(hub, client, run):
    """It was carried out, and then the gateway had waited long enough; or its answer does not name it."""
    for number, omitted in enumerate([{"commitOid"}, {"commitUrl"}, {"commitOid", "commitUrl", "success"}]):
        hub.omits["commit"] = omitted
        done = client.push(run, f"user/lost{number}")
        assert done.commit == hub.repos[f"user/lost{number}"].refs["main"]
        assert done.url == f"{hub.url}/user/lost{number}/commit/{done.commit}"


def test_an_empty_repository_is_said(hub, client, run):
    hub.faults["preupload"] = "403"
    done = client.type("push", run, "user/new")
    assert done.code == 2
    assert "the repository is there, and empty (hf repos delete user/new deletes it)" in done.err
    hub.faults.clear()
    typed_again(client, f"hubtl push {run} user/new")
    assert len(hub.repos["user/new"].messages) == 1


def test_a_repository_of_another_name_is_followed_and_said(hub, client, run, tmp_path):
    hub.add("new/name", {"README.md": b"# Mine\n"})
    hub.moved["old/name"] = "new/name"
    done = client.type("push", run, "old/name")
    assert done.code == 0, done.err
    assert "the Hub calls the repository old/name new/name" in done.err
    assert b"# Mine" in hub.files("new/name")["README.md"]
    assert "old/name" not in hub.repos
    assert contents(client.pull("old/name", output_dir=str(tmp_path / "out"))) == hub.files("new/name")


def test_a_token_does_not_go_to_the_host_of_a_redirect(hub, client, run):
    other, seen = start(), []
    allow = other._allow
    other._allow = lambda step, parts, request: (
        seen.append(request.headers.get("authorization")) or allow(step, parts, request)
    )
    hub.elsewhere = other.url.replace("127.0.0.1", "localhost")
    try:
        done = client.type("push", run, "user/model")
    finally:
        other.stop()
    assert done.code == 2
    assert seen
    assert set(seen) == {None}
    assert not other.repos


@pytest.mark.parametrize("lacking", ["X-Repo-Commit", "ETag"])
def test_files_without_the_headers_of_the_hub(hub, client, tmp_path, lacking):
    hub.add("user/bare", model(config=lacking.encode().join([b'{"n": "', b'"}'])))
    hub.headers_off = {lacking}
    done = client.type("pull", "user/bare", "--output-dir", tmp_path / "out")
    assert done.code == 2
    assert "is no Hub (its answer lacks what a Hub's has" in done.err
    assert not (tmp_path / "out").exists()


FETCHED = {
    "429": ("too many requests (429)", "wait"),
    "503": ("the Hub cannot answer now (503)", "wait"),
    "page": ("is no Hub", "HF_ENDPOINT"),
}


@pytest.mark.parametrize("fault", FETCHED)
@pytest.mark.parametrize("name", ["user/weights", "hf-hub:user/weights", "transformers:user/weights"])
def test_weights_that_a_server_does_not_give_are_an_error_in_its_words(hub, client, fault, name):
    """Not that there is no network: somebody answered. No other test keeps a model of this name in the cache."""
    hub.add("user/weights", model())
    hub.retry_after = "0"
    hub.faults["all"] = fault
    data = ("--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci")
    done = client.type("adapt", "--model", name, *data, "--strategy", "coral", "--steps", "1")
    said, hint = FETCHED[fault]
    assert done.code == 2
    assert "user/weights" in done.err
    assert said in done.err
    assert hint in done.err.splitlines()[-1]
