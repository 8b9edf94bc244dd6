"""Datasets of the Hub: the commit and the licence that they had, whatever the branch does later, and clear refusals."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hubtl.errors import HubtlError
from tests.hub.client import hubtl
from tests.hub.loopback import TOKEN


def table(rows):
    out = io.BytesIO()
    cells = {"text": [f"row {i}" for i in range(rows)], "label": [("a", "b")[i % 2] for i in range(rows)]}
    pq.write_table(pa.table(cells), out)
    return out.getvalue()


def data(rows, licence="license: cc-by-4.0\n"):
    card = f"---\n{licence}---\n# Data\n".encode()
    return {"README.md": card, "data/train-00000-of-00001.parquet": table(rows)}


@pytest.mark.parametrize("changes", [{}, {"long_ids": True, "omits": {"info": {"tags", "siblings"}}}, {"page_size": 1}])
def test_a_branch_is_loaded_at_its_commit_which_is_recorded(hub, client, changes):
    name = f"user/moving{len(changes)}{'page_size' in changes}"
    for key, value in changes.items():
        setattr(hub, key, value)
    first = hub.add(f"datasets/{name}", data(6))
    found = client.dataset(name)
    assert vars(found) == {"rows": {"train": 6}, "revision": first, "license": "cc-by-4.0", "hub_id": name}
    second = hub.add(f"datasets/{name}", data(8, "license:\n- mit\n- cc0-1.0\n"))
    found = client.dataset(f"{name}@main")
    assert vars(found) == {"rows": {"train": 8}, "revision": second, "license": "mit, cc0-1.0", "hub_id": name}
    assert client.dataset(f"{name}@{first}").rows == {"train": 6}
    hub.repos[f"datasets/{name}"].refs["v1"] = first
    assert client.dataset(f"{name}@v1").revision == first
    hub.faults["all"] = "503"  # what was loaded is had without the Hub, at the commit that is known of each revision
    assert client.dataset(name).rows == client.dataset(f"{name}@main").rows == {"train": 8}
    for revision in ("v1", first):
        again = client.dataset(f"{name}@{revision}")
        assert (again.rows, again.revision, again.license) == ({"train": 6}, first, "cc-by-4.0")
    with pytest.raises(HubtlError, match=r"cannot answer now \(503\)"):
        client.dataset(f"{name}@v2")


def test_a_licence_of_a_name_of_its_own_and_none_at_all(hub, client):
    hub.add("datasets/user/own", data(4, "license: other\nlicense_name: house-rules\n"))
    assert client.dataset("user/own").license == "house-rules"
    hub.add("datasets/user/none", {"train.parquet": table(4)})
    assert client.dataset("user/none").license is None
    hub.add("datasets/user/broken", data(4, "license: [\n"))
    hub.add("datasets/user/broken", {"README.md": b"no metadata"})
    assert client.dataset("user/broken").license is None


def test_a_dataset_of_another_name_is_recorded_by_that(hub, client):
    commit = hub.add("datasets/new/data", data(4))
    hub.moved["datasets/old/data"] = "datasets/new/data"
    found = client.dataset("old/data")
    assert (found.hub_id, found.revision, found.rows) == ("new/data", commit, {"train": 4})


FAULTS = [
    (
        "user/nowhere",
        {},
        TOKEN,
        "there is no dataset user/nowhere: neither a folder or file here, nor on the Hub",
        "spelling",
    ),
    ("user/nowhere", {}, None, r"asks for a token \(401\), and there is none", "hf auth login"),
    ("user/it", {}, "wrong-token-0123456789", r"the token was refused \(401\)", "hf auth login"),
    ("user/it@nowhere", {}, TOKEN, "has no such revision", "mind the revision, or give a folder"),
    ("user/it:nope", {}, TOKEN, "has no configuration 'nope': default", "user/it:default"),
    ("user/it", {"info": "gated"}, TOKEN, r"gated.*\(403\)", "ask for access"),
    ("user/it", {"info": "gated-401"}, TOKEN, r"gated.*\(401\)", "ask for access"),
    ("user/it", {"info": "disabled"}, TOKEN, "disabled", "see its page"),
    ("user/it", {"info": "403"}, TOKEN, r"may not read it \(403\)", "a token that may"),
    ("user/it", {"info": "404"}, TOKEN, r"not found \(404\)", "mind the name"),
    ("user/it", {"info": "429"}, TOKEN, r"too many requests \(429\)", "wait a little"),
    ("user/it", {"info": "503"}, TOKEN, r"cannot answer now \(503\)", "wait a little"),
    ("user/it", {"info": "cut"}, TOKEN, "failed or was cut", "mend the connection"),
    ("user/it", {"info": "page"}, TOKEN, "is no Hub", "HF_ENDPOINT"),
    ("user/it", {"info": "portal"}, TOKEN, "is no Hub", "HF_ENDPOINT"),
    ("user/it", {"info": "types"}, TOKEN, "is no Hub", "HF_ENDPOINT"),
    ("user/it", {"tree": "503"}, TOKEN, r"cannot answer now \(503\)", "wait a little"),
    (
        "user/it",
        {"resolve:data/train-00000-of-00001.parquet": "403"},
        TOKEN,
        r"may not read it \(403\)",
        "a token that may",
    ),
]


@pytest.mark.parametrize(("name", "faults", "token", "words", "first"), FAULTS)
def test_a_dataset_that_cannot_be_had_says_why(hub, client, name, faults, token, words, first):
    hub.add("datasets/user/it", data(4))
    hub.faults.update(faults)
    with pytest.raises(HubtlError, match=words) as caught:
        client.dataset(name, token=token)
    assert first in caught.value.hint
    assert "'NoneType'" not in str(caught.value)


def test_a_dataset_that_fails_midway_is_not_another_one_from_the_cache(hub, client):
    before = hub.add("datasets/user/midway", data(4))
    client.dataset("user/midway")
    hub.add("datasets/user/midway", data(6))
    hub.faults["tree"] = "503"
    with pytest.raises(HubtlError, match=f"the cache has another one \\({before}\\)") as caught:
        client.dataset("user/midway")
    assert f"user/midway@{before}" in caught.value.hint


def test_offline_says_so_and_several_configurations_are_named(hub, client, tmp_path):
    card = b"---\nconfigs:\n- config_name: one\n  data_files: one.parquet\n- config_name: two\n  data_files: two.parquet\n---\n"
    hub.add("datasets/user/several", {"README.md": card, "one.parquet": table(4), "two.parquet": table(6)})
    with pytest.raises(HubtlError, match="has several configurations: one, two") as caught:
        client.dataset("user/several")
    assert caught.value.hint == "user/several:one"
    assert client.dataset("user/several:two").rows == {"train": 6}
    client.dataset("user/several:one")
    hub.faults["all"] = "cut"
    assert client.dataset("user/several:two").rows == {"train": 6}
    with pytest.raises(HubtlError, match="several configurations in the cache: one, two"):
        client.dataset("user/several")
    words = ["adapt", "--model", "lenet", "--no-pretrained", "--target-dataset", "user/never", "--dry-run"]
    away = hubtl(hub, tmp_path / "home", *words, HF_HUB_OFFLINE="1")
    assert away.returncode == 2
    assert "the dataset user/never cannot be had: HF_HUB_OFFLINE is set" in away.stderr


def shard(names, labels):
    out = io.BytesIO()
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    rows = {"text": [f"a {names[i]}" for i in labels], "label": labels}
    Dataset.from_dict(rows, features=features).to_parquet(out)
    return out.getvalue()


def test_each_shard_is_read_by_its_own_names(hub, client):
    files = {
        "data/train-00000-of-00002.parquet": shard(["cat", "dog"], [0, 1, 1]),
        "data/train-00001-of-00002.parquet": shard(["dog", "cat"], [0, 0, 1]),
        "data/test-00000-of-00001.parquet": shard(["dog", "cat"], [0, 1]),
    }
    hub.add("datasets/user/shards", files)
    found = client.columns("user/shards")
    assert {split: [a.split()[1] for a in rows["text"]] for split, rows in found.items()} == {
        split: rows["label"] for split, rows in found.items()
    }
    assert len(found["train"]["label"]) == 6
    hub.faults["all"] = "503"
    with pytest.raises(HubtlError, match="number their labels differently"):
        client.columns("user/shards")


def test_na_is_a_name_in_a_text_column_of_csv_files(hub, client):
    train = b"text,country,n\na,NA,1\nb,FR,\nc,,3\nd,None,4\n"
    hub.add("datasets/user/countries", {"train.csv": train, "test.csv": b"text,country,n\ne,DE,5\n"})
    found = client.columns("user/countries")
    assert found["train"]["country"] == ["NA", "FR", None, "None"]
    assert found["train"]["n"] == [1, None, 3, 4]
    assert found["test"]["country"] == ["DE"]
    assert list(found["train"]) == ["text", "country", "n"]
