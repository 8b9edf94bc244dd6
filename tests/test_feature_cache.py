"""Features of frozen backbones: read once, kept, checked, and the same figures as without them."""

import threading

import numpy as np
import pytest
import torch

import hubtl
from hubtl.data import features
from hubtl.modules import Encoder
from tests.tiny import Flat


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "home"))


def probe(tmp_path, name, **options):
    return hubtl.adapt(
        model="lenet", pretrained=False, target_dataset="builtin:digits/uci", strategy="linear-probe", steps=20,
        output_dir=str(tmp_path / name), device="cpu", options={"run.plots": False, **options},
    )  # fmt: skip


def test_a_second_probe_reads_what_the_first_one_kept(tmp_path, caplog):
    with caplog.at_level("INFO"):
        first = probe(tmp_path, "a")
    assert "one pass over" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        second = probe(tmp_path, "b")
    assert "one pass over" not in caplog.text
    assert "from the cache" in caplog.text
    assert first.record.adapted == second.record.adapted
    assert len(features.entries()) == 2  # the training and the evaluation rows


def test_other_weights_are_other_features(tmp_path):
    probe(tmp_path, "a")
    probe(tmp_path, "b", **{"run.seed": 1})  # another seed draws other weights
    assert len(features.entries()) == 4


def test_a_run_that_trains_its_backbone_keeps_nothing(tmp_path):
    hubtl.adapt(
        model="lenet", pretrained=False, target_dataset="builtin:digits/uci", strategy="finetune", steps=2,
        output_dir=str(tmp_path / "run"), device="cpu", options={"run.plots": False},
    )  # fmt: skip
    assert features.entries() == []


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign"])
def test_damaged_features_are_detected_and_removed(damage):
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    features.put("k", rows, {"name": "x"})
    assert np.array_equal(features.get("k", 20), rows)
    path = features.folder() / "k" / "features.npy"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 0xFF
    path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-40]), "foreign": b"something else"}[damage])
    assert features.get("k", 20) is None
    assert features.get("k", 20) is None
    features.put("k", rows, {"name": "x"})
    assert np.array_equal(features.get("k", 20), rows)


def test_features_of_other_data_are_not_taken():
    features.put("k", np.zeros((20, 4), dtype=np.float32), {})
    assert features.get("k", 21) is None


def test_many_runs_at_once_leave_one_whole_entry():
    rows = np.ones((500, 16), dtype=np.float32)
    threads = [threading.Thread(target=features.put, args=("k", rows, {"name": "x"})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(features.get("k", 500), rows)
    assert [path.name for path in features.folder().iterdir()] == ["k"]
    assert features.clear() > rows.nbytes
    assert features.entries() == []


def test_an_encoder_takes_features_in_place_of_images():
    torch.manual_seed(0)
    encoder = Encoder(Flat())
    x = torch.randn(3, 8)
    pooled = encoder({"image": x}).pooled
    assert torch.equal(encoder({"features": pooled}).pooled, pooled)
