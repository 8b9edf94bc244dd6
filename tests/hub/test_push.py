"""A push sends the files of a model: over HTTP, against a Hub on this machine."""

import json
from typing import Any

import pytest

from hubtl.card import document
from hubtl.errors import HubtlError
from hubtl.hub.names import files_of
from tests import records
from tests.hub.client import MODEL_FILES, WEIGHTS, contents
from tests.hub.loopback import TOKEN

RESULT = {
    "task": {"type": "image-classification"},
    "dataset": {"type": "someone/chairs", "name": "chairs"},
    "metrics": [{"type": "accuracy", "value": 0.5, "name": "by hand"}],
}


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
    assert {path for _, path in hub.log} == {"/api/whoami-v2", "/api/models/user/model/auth-check/write"}
    assert TOKEN not in str(hub.log), "the token is not judged by its form, but by the Hub"


def test_metadata_that_people_wrote_is_merged_and_never_overwritten(hub, client, run):
    """Facts of other runs stay, in a README not by hubtl; the push then says so."""
    theirs = {
        "license": "cc-by-4.0",
        "base_model": "someone/other",
        "library_name": "keras",
        "tags": ["chairs"],
        "datasets": ["someone/chairs"],
        "language": "fi",
        "thumbnail": "chair.png",
        "model-index": [{"name": "mine", "results": [RESULT]}],
    }
    hub.add("user/model", {"README.md": (document.front_matter(theirs) + "# Mine\n").encode()})
    done = client.type("push", run, "user/model")
    assert done.code == 0
    assert done.err == (
        "README.md says what is not of this run, and it stays: library_name: keras; base_model: someone/other\n"
    )
    said = document.parse(hub.files("user/model")["README.md"].decode()).metadata
    lists = ("tags", "datasets", "model-index")
    assert {key: said[key] for key in theirs if key not in lists} == {k: v for k, v in theirs.items() if k not in lists}
    assert {"chairs", "hubtl", "dann"} <= set(said["tags"])
    assert {"someone/chairs", "office/webcam"} <= set(said["datasets"])
    assert said["pipeline_tag"] == "image-classification"
    results = said["model-index"][0]["results"]
    assert RESULT in results
    assert len(results) == 2
    client.push(run, "user/model")
    assert document.parse(hub.files("user/model")["README.md"].decode()).metadata == said


def test_the_command_line_prints_the_plan_and_where_it_went(hub, client, run):
    """Every option: a dry run sends nothing, and then the same words send it to where the dry run said."""
    main = hub.add("user/model", {"README.md": b"# Mine\n", "config.json": (run / "config.json").read_bytes()})
    words = ["push", run, "user/model", "--private", "--revision", "try/one", "--commit-message", "a try"]
    hub.log.clear()
    dry = client.type(*words, "--dry-run", token=None)
    assert (dry.code, dry.err, hub.log) == (0, "", [])
    *plan, last = dry.out.splitlines()
    assert last == "8 files would be pushed to user/model (dry run: nothing was sent)"
    sizes = {name: int(size.replace(",", "")) for size, name in (line.split() for line in plan)}
    assert set(sizes) == MODEL_FILES
    assert sizes["model.safetensors"] == len(WEIGHTS)
    done = client.type(*words)
    commit = hub.repos["user/model"].refs["try/one"]
    assert done.code == 0, done.err
    shown, _, after = done.out.partition("pushed     ")
    assert [line.split(maxsplit=1)[1] for line in shown.splitlines()] == [
        f"{name}  (there already)" if name == "config.json" else name for name in sorted(MODEL_FILES)
    ]
    assert after == (
        f"{hub.url}/user/model/commit/{commit}\ncommit     {commit}\n\n"
        'import timm\nmodel = timm.create_model("hf-hub:user/model@try/one", pretrained=True)\n'
    )
    assert hub.repos["user/model"].messages[-1] == "a try"
    assert hub.repos["user/model"].refs["main"] == main
    assert "config.json" not in hub.repos["user/model"].changes[0]

    proposed = client.type("push", run, "user/model", "--create-pr", "--json")
    answer = json.loads(proposed.out)
    assert answer["url"] == f"{hub.url}/user/model/discussions/1"
    assert answer["commit"] == hub.repos["user/model"].refs["refs/pr/1"]
    assert hub.repos["user/model"].refs["main"] == main

    new = client.type("push", run, "user/new", "--private")
    assert new.code == 0
    assert hub.repos["user/new"].private
    assert len(hub.repos["user/new"].messages) == 1
    again = client.type("push", run, "user/new")
    assert "unchanged  user/new has every file already (8): nothing was sent" in again.out
    assert len(hub.repos["user/new"].messages) == 1
