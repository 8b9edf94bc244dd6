"""A pull fetches models and refuses others: over HTTP, against a Hub on this machine."""

import json
import shutil
from pathlib import Path

import pytest

from hubtl.errors import HubtlError
from tests.hub.client import WEIGHTS, Client, contents, hubtl, model


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
        ({"hubtl": b'{"format_version": 3}'}, "newer hubtl \\(format 3, this one reads 2\\)"),
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


def test_a_folder_that_was_pulled_can_be_pushed_again(hub, client, tmp_path):
    hub.add("user/first", model())
    out = client.pull("user/first", output_dir=str(tmp_path / "out"))
    client.push(out, "user/second")
    assert hub.files("user/second") == model()
    shutil.rmtree(out)
    with pytest.raises(HubtlError, match="leads out of the folder"):
        client.push(client.pull("user/first"), "user/third")


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_what_comes_damaged_is_refused_and_fetched_again(hub, client, tmp_path, path):
    """One byte is another, and the size is right: large files by their sha256, small ones by git's id."""
    files = model(config=path.encode().join([b'{"n": "', b'"}']), model=path.encode())
    hub.add("user/damaged", files)
    hub.damaged.add(path)
    out = tmp_path / "out"
    with pytest.raises(HubtlError, match=f"{path} came damaged: its checksum") as caught:
        client.pull("user/damaged", output_dir=str(out))
    assert caught.value.hint == f"hubtl pull user/damaged --output-dir {out}"
    assert list(tmp_path.iterdir()) == []
    hub.damaged.clear()
    client.pull("user/damaged", output_dir=str(out))
    assert contents(out) == files


def test_a_hub_with_ids_of_its_own_is_trusted_for_small_files_and_not_for_weights(hub, client, tmp_path):
    hub.foreign_ids = True
    hub.add("user/foreign", model(model=b"weights there"))
    client.pull("user/foreign", output_dir=str(tmp_path / "out"))
    hub.add("user/foreign", model(model=b"weights here"))
    hub.damaged.add("model.safetensors")
    with pytest.raises(HubtlError, match=r"model.safetensors came damaged"):
        client.pull("user/foreign")


def test_a_pull_that_is_killed_leaves_nothing_that_looks_like_a_model(hub, tmp_path):
    hub.add("user/half", model())
    victim = Client(hub, tmp_path / "home")
    hub.faults["resolve:model.safetensors"] = "cut"
    hub.hooks["resolve:model.safetensors"] = victim.process.kill
    with pytest.raises(AssertionError, match="the client died"):
        victim.pull("user/half", output_dir=str(tmp_path / "out"))
    victim.stop()
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("model.safetensors"))
    away = hubtl(hub, tmp_path / "home", "pull", "user/half", HF_HUB_OFFLINE="1")
    assert (away.returncode, away.stdout) == (2, "")
    assert "HF_HUB_OFFLINE is set, so only what is in the cache can be had" in away.stderr
    hub.faults.clear()
    done = hubtl(hub, tmp_path / "home", "pull", "user/half", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == model()


def test_weights_of_which_a_part_is_missing_are_refused(hub, client, tmp_path):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    halves = {"model-00001-of-00002.safetensors": b"1", "model.safetensors.index.json": json.dumps(index).encode()}
    hub.add("user/halves", model(model=None) | halves)
    with pytest.raises(HubtlError, match=r"not whole: model-00002-of-00002\.safetensors is missing"):
        client.pull("user/halves", output_dir=str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "mine", "auto_map": {"AutoModel": "modeling.Mine"}},
        {"custom_pipelines": {"mine": {"impl": "pipeline.Mine"}}},
        {"trust_remote_code": True},
    ],
)
@pytest.mark.parametrize("name", ["config.json", "encoders/image/config.json", "preprocessor_config.json"])
def test_a_model_that_needs_code_of_its_own_is_refused_before_its_weights_come(hub, client, tmp_path, config, name):
    hub.add("user/code", model() | {name: json.dumps(config).encode(), "modeling.py": b"raise SystemExit(1)"})
    with pytest.raises(HubtlError, match=f"{name} (names code of its own|asks for trust_remote_code)"):
        client.pull("user/code", output_dir=str(tmp_path / "out"))
    assert not [path for _, path in hub.log if path.endswith((".py", ".safetensors"))]
    assert list(tmp_path.iterdir()) == []


def test_the_cache_stands_in_for_a_hub_that_is_away_and_not_for_one_that_refuses(hub, client):
    hub.add("user/cached", model(config=b'{"n": "cached"}'))
    folder = client.pull("user/cached")
    hub.faults["info"] = "503"
    done = client.type("pull", "user/cached", "--quiet")
    assert (done.code, done.out) == (0, f"{folder}\n")
    assert done.err == (
        "the Hub answers 503: it cannot answer now\n"
        f"the Hub cannot be asked about user/cached: its commit {folder.name} is in the cache\n"
    )
    hub.faults["info"] = "gated"
    assert client.type("pull", "user/cached").code == 2
