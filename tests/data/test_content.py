"""The cache is keyed by content: files of the same names, sizes and times with other content are other data."""

import os
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

import hubtl
from hubtl.backbones.base import ImageInput, PixelRanges
from hubtl.data import cache, content, tables
from hubtl.errors import HubtlError
from hubtl.modalities.image.rows import ImageSet
from hubtl.recipe.reading import parse
from hubtl.record import RunRecord
from hubtl.run.adapt import adapt
from hubtl.studies import journal as study
from hubtl.studies.evaluate import measure

SPEC = ImageInput(size=8)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "home"))


def bitmap(value: int) -> bytes:
    """Every one of them as long as any other."""
    from io import BytesIO

    buffer = BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(buffer, "BMP")
    return buffer.getvalue()


def swap(one: Path, other: Path) -> None:
    """The contents change places; names, sizes and times stay."""
    times = [(p.stat().st_atime_ns, p.stat().st_mtime_ns) for p in (one, other)]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    for path, time in zip((one, other), times, strict=True):
        os.utime(path, ns=time)


def files(folder: Path, n: int = 4) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.bmp" for i in range(n)]
    for i, path in enumerate(paths):
        path.write_bytes(bitmap(20 * i))
    return paths


def image_set(paths: list[Path], **options) -> ImageSet:
    table = datasets.Dataset.from_dict({"image": [str(p) for p in paths]}).cast_column("image", datasets.Image())
    return ImageSet(table, "image", labels=options.pop("labels", None), spec=SPEC, augment=False, name="t", **options)


def test_images_that_changed_places_are_other_rows(tmp_path):
    paths = files(tmp_path / "a")
    before = image_set(paths).fingerprint
    assert image_set(paths).fingerprint == before
    swap(paths[0], paths[1])
    assert image_set(paths).fingerprint != before
    swap(paths[0], paths[1])
    assert image_set(paths).fingerprint == before


def test_names_times_folders_and_labels_do_not_count_but_the_order_does(tmp_path):
    paths = files(tmp_path / "a")
    before = image_set(paths).fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = [p.rename(p.with_name(f"x{p.name}")) for p in sorted((tmp_path / "b").iterdir())]
    assert image_set(moved).fingerprint == before
    assert image_set(paths, labels=np.array([0, 1, 0, 1])).fingerprint == before
    assert image_set(paths[::-1]).fingerprint != before
    assert image_set(paths[:3]).fingerprint != before


def test_embedded_images_have_the_fingerprint_of_their_bytes(tmp_path):
    paths = files(tmp_path / "a")
    cells = [{"bytes": p.read_bytes(), "path": f"{p.name}x"} for p in paths]
    made = [
        ImageSet(
            datasets.Dataset.from_dict({"picture": part}, features=datasets.Features({"picture": datasets.Image()})),
            "picture", labels=None, spec=SPEC, augment=False, name="t",
        ).fingerprint
        for part in (cells, [{**c, "path": None} for c in cells], cells[::-1])
    ]  # fmt: skip
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_how_pixels_are_read_is_part_of_the_fingerprint_and_bad_rows_are_not(tmp_path):
    paths = files(tmp_path / "a")
    before = image_set(paths)
    assert image_set(paths, ranges=PixelRanges(integers=(0, 255))).fingerprint != before.fingerprint
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert image_set([broken, *paths], on_bad_sample="skip").fingerprint == before.fingerprint


def test_large_files_are_read_in_pieces_unless_all_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "WHOLE", 1000)
    monkeypatch.setattr(content, "PIECE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))
    before = content.file_digest(path)

    def changed(place: int) -> bool:
        data = bytearray(100_000)
        data[place] = 1
        path.write_bytes(data)
        return content.file_digest(path) != before

    assert changed(0)
    assert changed(99_999)
    assert not changed(100)  # between two pieces
    path.write_bytes(bytes(100_001))
    assert content.file_digest(path) != before
    monkeypatch.setenv("HUBTL_VERIFY", "1")
    path.write_bytes(bytes(100_000))
    before = content.file_digest(path)
    assert changed(100)


def test_what_cannot_be_read_has_a_digest_too(tmp_path):
    assert content.file_digest(tmp_path / "none") != content.file_digest(tmp_path)
    paths = [*files(tmp_path / "a", 1), tmp_path / "none.bmp"]
    table = datasets.Dataset.from_dict({"image": [str(p) for p in paths]}).cast_column("image", datasets.Image())
    assert content.digest(table, ["image"])
    assert list(content.heads(table.cast_column("image", datasets.Image(decode=False)), "image", 2)) == [b"BM", b""]


def test_texts_and_labels_count_in_a_mark():
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    other = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})
    assert content.mark([table], ["text"]) == content.mark([other], ["text"])
    assert content.mark([table], ["text", "label"]) != content.mark([other], ["text", "label"])
    assert content.mark([table], ["text", "lacking"]).startswith(content.MARK)
    joined, apart = (datasets.Dataset.from_dict({"text": t}) for t in (["ab", ""], ["a", "b"]))
    assert content.digest(joined, ["text"]) != content.digest(apart, ["text"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_table_of_the_same_name_size_and_time_is_read_anew(tmp_path, suffix):
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    for path, labels in ((one, ["cat", "dog"]), (other, ["dog", "cat"])):
        table = datasets.Dataset.from_dict({"file": ["x", "y"], "label": labels})
        {"csv": table.to_csv, "jsonl": table.to_json, "parquet": table.to_parquet}[suffix](str(path))
    os.utime(other, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    assert one.stat().st_size == other.stat().st_size
    assert tables.read([[one]])[0]["label"] == ["cat", "dog"]
    swap(one, other)
    assert tables.read([[one]])[0]["label"] == ["dog", "cat"]


def pictures(folder: Path) -> list[Path]:
    """Dark and bright pictures of two classes. All are equally long."""
    made = []
    for number in range(12):
        path = folder / ("dark" if number % 2 else "bright") / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bitmap(30 + number if number % 2 else 200 + number))
        made.append(path)
    return made


def probe(data: Path, out: Path, **more) -> hubtl.RunRecord:
    return hubtl.adapt(
        model="lenet", pretrained=False, image_size=16, target_dataset=str(data), strategy="linear-probe", steps=8,
        batch_size=4, output_dir=str(out), device="cpu", options={"run.plots": False}, **more,
    ).record  # fmt: skip


def test_a_probe_of_replaced_images_has_the_figures_that_evaluating_it_gives(tmp_path, caplog):
    paths = pictures(tmp_path / "data")
    first = probe(tmp_path / "data", tmp_path / "a")
    for dark, bright in zip(paths[1::2], paths[::2], strict=True):
        swap(dark, bright)
    with caplog.at_level("INFO"):
        second = probe(tmp_path / "data", tmp_path / "b")
    assert "one pass over" in caplog.text
    assert second.adapted.accuracy == measure(str(tmp_path / "b"), str(tmp_path / "data")).accuracy
    assert len(cache.entries()) == 4
    assert first.target.fingerprint != second.target.fingerprint
    # and moved elsewhere, the same pictures are found
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    caplog.clear()
    with caplog.at_level("INFO"):
        third = probe(tmp_path / "moved", tmp_path / "c")
    assert "one pass over" not in caplog.text
    assert third.adapted == second.adapted


def test_a_finished_run_is_not_taken_over_for_other_data(tmp_path):
    paths = pictures(tmp_path / "data")
    run = tmp_path / "run"
    recipe = parse(
        {
            "model": {"name": "lenet", "pretrained": False, "image_size": 16},
            "target": {"dataset": str(tmp_path / "data")},
            "strategy": {"name": "linear-probe"},
            "run": {"steps": 4, "batch_size": 4, "output_dir": str(run), "device": "cpu", "plots": False},
        }
    )
    done = adapt(recipe, shown=False)
    assert adapt(recipe, resume=True, shown=False).record.adapted == RunRecord.load(done.output_dir).adapted
    swap(paths[0], paths[1])
    with pytest.raises(HubtlError, match="the data of the target have changed"):
        adapt(recipe, resume=True, shown=False)


def test_an_unreadable_evaluation_row_is_met_before_the_training(tmp_path, caplog):
    pictures(tmp_path / "data" / "train")
    pictures(tmp_path / "data" / "test")[-1].write_bytes(b"BM and no more")
    with pytest.raises(HubtlError, match="cannot read the image of row"):
        hubtl.adapt(
            model="lenet", pretrained=False, image_size=16, target_dataset=str(tmp_path / "data"), strategy="finetune",
            steps=4, batch_size=4, output_dir=str(tmp_path / "run"), device="cpu", options={"run.plots": False},
        )  # fmt: skip
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert not (tmp_path / "run" / "training").exists()


def test_a_search_is_not_gone_on_with_on_other_data(tmp_path):
    pytest.importorskip("optuna")
    recipe = parse({"model": {"name": "lenet"}, "target": {"dataset": "x"}, "strategy": {"name": "linear-probe"}})
    tmp_path.joinpath("study").mkdir()
    for _ in range(2):
        with study.opened(tmp_path / "study", recipe, [], "infomax", ["rows-1"]):
            pass
    with (
        pytest.raises(HubtlError, match="with another data"),
        study.opened(tmp_path / "study", recipe, [], "infomax", ["rows-2"]),
    ):
        pass
