"""Features of frozen backbones: read once, kept, checked, and the same figures as without them."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.data import cache
from hubtl.data.features import FeatureSet, structure_digest, weights_digest
from hubtl.data.opening import opened
from hubtl.modalities.image.rows import ImageSet
from hubtl.modules import Encoder
from hubtl.run.features import FeatureReader
from tests.tiny import Flat, accelerator

KEY = cache.key_of({"name": "x"})


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
    assert len(cache.entries()) == 2  # the training and the evaluation rows


def test_other_weights_are_other_features(tmp_path):
    probe(tmp_path, "a")
    probe(tmp_path, "b", **{"run.seed": 1})  # another seed draws other weights
    assert len(cache.entries()) == 4


def test_a_run_that_trains_its_backbone_keeps_nothing(tmp_path):
    hubtl.adapt(
        model="lenet", pretrained=False, target_dataset="builtin:digits/uci", strategy="finetune", steps=2,
        output_dir=str(tmp_path / "run"), device="cpu", options={"run.plots": False},
    )  # fmt: skip
    assert cache.entries() == []


def rows_of(n: int = 20, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def flip(folder: Path) -> None:
    """One bit of one feature."""
    data = bytearray((folder / "features.npy").read_bytes())
    data[-3] ^= 0x10
    (folder / "features.npy").write_bytes(data)


def cut(folder: Path) -> None:
    data = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(data[:-40])


def foreign(folder: Path) -> None:
    (folder / "features.npy").write_bytes(b"something else")


def others(folder: Path) -> None:
    """Features of the right shape and type that somebody else put there."""
    np.save(folder / "features.npy", rows_of(seed=1))


def longer(folder: Path) -> None:
    with (folder / "features.npy").open("ab") as file:
        file.write(b"more")


def turned(folder: Path) -> None:
    """The same values in the other order of axes."""
    np.save(folder / "features.npy", np.asfortranarray(rows_of()))


def pickled(folder: Path) -> None:
    np.save(folder / "features.npy", np.array([[object()]] * 20, dtype=object), allow_pickle=True)


def no_json(folder: Path) -> None:
    (folder / "facts.json").write_text('{"crc": ')


def no_facts(folder: Path) -> None:
    (folder / "facts.json").write_text("[]")


@pytest.mark.parametrize(
    "damage", [flip, cut, foreign, others, longer, turned, pickled, no_json, no_facts], ids=lambda f: f.__name__
)
def test_damaged_and_foreign_features_are_detected_and_made_again(damage, caplog):
    cache.put(KEY, rows_of(), {"name": "x"})
    assert np.array_equal(cache.get(KEY, 20), rows_of())
    damage(cache.folder() / KEY)
    assert cache.get(KEY, 20) is None
    assert "damaged" in caplog.text
    assert list(cache.folder().iterdir()) == []
    cache.put(KEY, rows_of(), {"name": "x"})
    assert np.array_equal(cache.get(KEY, 20), rows_of())


def test_an_entry_without_a_file_is_no_entry():
    for name in ("features.npy", "facts.json"):
        cache.put(KEY, rows_of(), {})
        (cache.folder() / KEY / name).unlink()
        assert cache.get(KEY, 20) is None
        cache.clear()


def test_a_file_in_the_place_of_an_entry_is_cleared_away():
    cache.folder().mkdir(parents=True)
    (cache.folder() / KEY).write_text("a file")
    assert cache.get(KEY, 20) is None
    cache.put(KEY, rows_of(), {})
    assert np.array_equal(cache.get(KEY, 20), rows_of())


def test_a_run_makes_damaged_features_again(tmp_path, caplog):
    first = probe(tmp_path, "a")
    for entry in cache.entries():
        flip(cache.folder() / entry.key)
    with caplog.at_level("INFO"):
        second = probe(tmp_path, "b")
    assert caplog.text.count("are damaged") == 2
    assert caplog.text.count("one pass over") == 2
    assert first.record.adapted == second.record.adapted
    assert all(cache.get(entry.key, entry.facts["rows"]) is not None for entry in cache.entries())


def test_features_are_mapped_and_checked_without_being_held_in_memory():
    """Reading or mapping the file whole would take eight times more. The unit is the peak of a small entry's check."""
    cache.put(KEY, np.ones((2**16, 512), dtype=np.float32), {})  # 128 MiB
    code = (
        "import resource, sys\nfrom hubtl.data import cache\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"found = cache.get({KEY!r}, 2**16)\n"
        "assert found is not None and found.shape == (2**16, 512) and float(found[-1, -1]) == 1.0\n"
        "base = found\nwhile getattr(base, 'base', None) is not None: base = base.base\n"
        "print(type(base).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    kind, grown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert kind == "mmap"
    assert int(grown) / 1024 < 16  # MiB


def test_features_of_other_data_are_not_taken():
    cache.put(KEY, np.zeros((20, 4), dtype=np.float32), {})
    assert cache.get(KEY, 21) is None


def test_many_runs_at_once_leave_one_whole_entry():
    rows = np.ones((500, 16), dtype=np.float32)
    threads = [threading.Thread(target=cache.put, args=(KEY, rows, {"name": "x"})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(cache.get(KEY, 500), rows)
    assert [path.name for path in cache.folder().iterdir()] == [KEY]
    assert cache.clear() > rows.nbytes
    assert cache.entries() == []


def test_an_encoder_takes_features_in_place_of_images():
    torch.manual_seed(0)
    encoder = Encoder(Flat())
    x = torch.randn(3, 8)
    pooled = encoder({"image": x}).pooled
    assert torch.equal(encoder({"features": pooled}).pooled, pooled)


def digits(count: int = 12) -> ImageSet:
    dataset = opened("builtin:digits/uci").splits["train"].select(range(count))
    spec = backbones.resolve("lenet", BackboneRequest(["a", "b"], pretrained=False)).info.input
    return ImageSet(dataset, "image", labels=None, spec=spec, augment=False, name="digits")


def lenet(size: int | None = None) -> backbones.Backbone:
    torch.manual_seed(0)
    return backbones.resolve("lenet", BackboneRequest(["a", "b"], pretrained=False, image_size=size))


def keys_after(**changes: object) -> set[str]:
    """The keys in the cache after features were read again. Only the changes differ."""
    backbone = changes.get("backbone", lenet())
    reader = FeatureReader(backbone, accelerator(), str(changes.get("precision", "no")))
    reader.read(changes.get("data", digits()))
    return {entry.key for entry in cache.entries()}


def test_pixels_are_not_held_in_memory_for_one_pass():
    data = digits()
    plain = FeatureReader(lenet(), accelerator()).read(data).fetch(range(12)).inputs["features"]
    assert data.cached
    assert data._pixels is None
    with torch.no_grad():
        assert torch.allclose(plain, lenet().eval()(data.fetch(range(12)).inputs).pooled, atol=1e-6)
    assert data._pixels is not None


def test_the_same_reading_has_the_same_key():
    assert keys_after() == keys_after()
    assert len(cache.entries()) == 1


def test_one_other_weight_is_another_key():
    keys_after()
    changed = lenet()
    with torch.no_grad():
        changed.linear[0].bias[7] += 1e-6
    assert len(keys_after(backbone=changed)) == 2


def test_settings_that_no_weight_holds_are_in_the_key_and_names_are_not():
    keys_after()
    named = lenet()
    named.info = dataclasses.replace(named.info, name="models/lenet")
    assert len(keys_after(backbone=named)) == 1
    changed = lenet()
    changed.convolutions[1] = torch.nn.MaxPool2d(2, ceil_mode=True)
    assert weights_digest(changed.state_dict()) == weights_digest(lenet().state_dict())
    assert len(keys_after(backbone=changed)) == 2


def test_where_a_function_lies_in_memory_is_not_in_the_key():
    class Odd(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def extra_repr(self):
            return repr(self.function)

    def make():
        def function():
            pass

        return function

    one, two = Odd(make()), Odd(make())
    assert repr(one) != repr(two)
    assert structure_digest(one) == structure_digest(two)


def test_a_classifier_is_not_among_the_weights_of_the_key():
    """The removed classifier makes no features, however many classes it had."""
    keys_after()
    torch.manual_seed(0)
    other = backbones.resolve("lenet", BackboneRequest([str(i) for i in range(9)], pretrained=False))
    assert len(keys_after(backbone=other)) == 1


def test_another_transform_precision_or_data_is_another_key():
    keys_after()
    assert len(keys_after(precision="bf16")) == 2
    assert len(keys_after(data=digits(11))) == 3
    other = lenet()
    other.info = dataclasses.replace(other.info, input=dataclasses.replace(other.info.input, interpolation="nearest"))
    assert len(keys_after(backbone=other)) == 4
    other.info = dataclasses.replace(other.info, input=dataclasses.replace(other.info.input, mean=(0.25,)))
    assert len(keys_after(backbone=other)) == 5


def test_the_digest_knows_names_types_shapes_and_buffers():
    base = {"w": torch.zeros(2, 3), "running_mean": torch.zeros(4)}
    changed = (
        {**base, "w": torch.zeros(3, 2)},
        {**base, "w": torch.zeros(2, 3, dtype=torch.bfloat16)},
        {**base, "running_mean": torch.tensor([0.0, 0.0, 1e-7, 0.0])},
        {"v": base["w"], "running_mean": base["running_mean"]},
    )
    assert len({weights_digest(state) for state in (base, *changed)}) == 5
    assert weights_digest(dict(reversed(base.items()))) == weights_digest(base)


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from hubtl.data import cache
key, number, meeting = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
rows = np.full((4000, 64), 7.0, dtype=np.float32)
(meeting / str(number)).touch()
while len(list(meeting.iterdir())) < 2:
    time.sleep(0.01)
read = whole = 0
for turn in range(300):
    found = cache.get(key, 4000)
    if found is not None:
        read += 1
        whole += int((found == 7.0).all())
    if found is None or turn % 5 == number:
        if number == 0:
            cache.clear()
        cache.put(key, rows, {"name": "x"})
print(read, whole)
"""


@pytest.mark.ranks
def test_processes_that_write_read_and_clear_one_key_at_once_only_ever_meet_whole_features(tmp_path):
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    command = [sys.executable, "-c", WRITER, KEY]
    running = [
        subprocess.Popen([*command, str(n), str(meeting)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err == ""  # nobody met a damaged entry, or could not write
        read, whole = map(int, out.split())
        assert read == whole > 100
    assert [path.name for path in cache.folder().iterdir()] == [KEY]


def test_a_run_that_has_features_mapped_keeps_them_when_they_are_cleared():
    cache.put(KEY, rows_of(5000, 64), {})
    mapped = FeatureSet(cache.get(KEY, 5000), None, "x")
    assert cache.clear() > 0
    assert list(cache.folder().iterdir()) == []
    cache.put(KEY, rows_of(5000, 64, seed=1), {})
    seen = mapped.fetch(range(5000)).inputs["features"].numpy()
    assert np.array_equal(seen, rows_of(5000, 64))


def test_only_entries_in_the_caches_own_folder_are_removed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "facts.json").write_text("{}")
    cache.put(KEY, rows_of(), {})
    own = cache.folder()
    (own / "notes.txt").write_text("mine")
    (own / "photos").mkdir()
    (own / ("a" * 32)).symlink_to(outside)
    (own.parent / "other").write_text("mine too")
    assert [entry.key for entry in cache.entries()] == [KEY]
    assert cache.clear([f"../{KEY}", "../other", "notes.txt", "a" * 32]) == 0
    assert cache.clear() > 320
    assert sorted(path.name for path in own.iterdir()) == ["a" * 32, "notes.txt", "photos"]
    assert (outside / "facts.json").exists()
    assert (own.parent / "other").exists()


def test_what_killed_runs_left_is_cleared_and_what_runs_are_making_is_not():
    cache.put(KEY, rows_of(), {})
    for name, age in ((".making-old", 7200), (".making-new", 0)):
        made = cache.folder() / name
        made.mkdir()
        (made / "features.npy").write_bytes(b"x" * 100)
        os.utime(made, (time.time() - age,) * 2)
    freed = cache.clear()
    assert [path.name for path in cache.folder().iterdir()] == [".making-new"]
    assert freed > 420


def test_damaged_entries_are_listed_and_can_be_cleared():
    cache.put(KEY, rows_of(), {"name": "x"})
    no_json(cache.folder() / KEY)
    (entry,) = cache.entries()
    assert (entry.key, entry.facts) == (KEY, {})
    assert entry.bytes > 320
    assert cache.clear([KEY]) == entry.bytes


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_cache_that_may_only_be_read_is_read():
    cache.put(KEY, rows_of(), {})
    cache.folder().chmod(0o555)
    try:
        assert np.array_equal(cache.get(KEY, 20), rows_of())
    finally:
        cache.folder().chmod(0o755)


def test_a_cache_that_cannot_be_written_costs_a_warning(caplog):
    cache.folder().parent.mkdir(parents=True)
    cache.folder().write_text("a file where the folder should be")
    cache.put(KEY, rows_of(), {})
    assert "features are not kept" in caplog.text
    assert cache.get(KEY, 20) is None
    assert cache.entries() == []
    assert cache.clear() == 0


def test_facts_say_what_the_features_are_of(tmp_path):
    probe(tmp_path, "a")
    facts = json.loads((cache.folder() / cache.entries()[0].key / "facts.json").read_text())
    assert facts["model"] == "lenet"
    assert {"weights", "input", "precision", "data", "dtype", "crc", "rows", "width"} <= facts.keys()


@pytest.mark.slow
def test_weak_views_of_a_source_give_way_to_the_features_of_a_frozen_backbone(tmp_path, caplog):
    """SHOT learns its source under weak views where the backbone learns too."""
    common = {"model": "lenet", "pretrained": False, "source_dataset": "builtin:digits/mnist", "steps": 4}
    common |= {"target_dataset": "builtin:digits/uci", "strategy": "shot", "options": {"run.plots": False}}
    with caplog.at_level("INFO"):
        hubtl.adapt(**common, tuner="head", output_dir=str(tmp_path / "frozen"))
    assert "features   " in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        hubtl.adapt(**common, output_dir=str(tmp_path / "tuned"))
    assert "features   " not in caplog.text
