"""Every reader keeps its contract: fixed shapes, views and corruptions that are reproducible, and cells that are missing."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hubtl_multimodal.encoders import create
from tiny_encoders import audio_model, picture, text_model, tone, wav

from hubtl.backbones.base import ImageInput
from hubtl.modalities.audio.spectrogram import LogMelReader
from hubtl.modalities.audio.waveform import WaveformReader
from hubtl.modalities.image.reader import ImageReader
from hubtl.modalities.reader import Reader

CELLS = {"image": picture(), "text": "the film was very boring and good", "audio": (tone(0.4), 16000)}


def made(kind: str, folder: Path) -> Reader:
    if kind == "image":
        return ImageReader(ImageInput(size=64, crop_pct=0.9))
    if kind == "small-image":
        return ImageReader(ImageInput(size=28, channels=1, mean=(0.5,), std=(0.5,)))
    if kind == "log-mel":
        return LogMelReader(60, 32)
    if kind == "waveform":
        return WaveformReader(16000, 8000, normalise=True)
    if kind == "text":
        return create("text", str(text_model("bert", folder)), options={"max_length": 20}).reader()
    return create("audio", str(audio_model(kind, folder)), options={"seconds": 0.5}).reader()


@pytest.fixture(params=["image", "small-image", "text", "log-mel", "waveform", "ast", "whisper", "clap"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return made(request.param, tmp_path)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def layout(arrays: dict[str, np.ndarray]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    return {key: (value.shape, value.dtype) for key, value in arrays.items()}


def test_every_cell_has_the_same_layout(reader: Reader) -> None:
    read = reader.read(CELLS[reader.modality])
    others = {"image": picture(1, (300, 20)), "text": "good " * 90, "audio": (tone(3.0, rate=8000), 8000)}
    assert layout(reader.read(others[reader.modality])) == layout(read) == layout(reader.empty())
    assert same(read, reader.read(CELLS[reader.modality]))
    for value in reader.empty().values():
        assert not value.any()
    tensors = reader.tensors({key: np.stack([value, value]) for key, value in read.items()})
    assert list(tensors) == list(read)
    wanted = {"image": torch.float32, "text": torch.int64, "audio": torch.float32, "mask": torch.bool}
    assert {key: t.dtype for key, t in tensors.items()} == {key: wanted[key.split(".")[-1]] for key in read}


@pytest.mark.parametrize("name", ["weak", "strong"])
def test_views_are_random_and_reproducible(reader: Reader, name: str) -> None:
    read = reader.read(CELLS[reader.modality])
    kept = {key: value.copy() for key, value in read.items()}
    views = [reader.view(read, name, np.random.default_rng(seed)) for seed in range(12)]
    assert same(read, kept)
    assert all(layout(view) == layout(read) for view in views)
    assert same(views[3], reader.view(read, name, np.random.default_rng(3)))
    assert sum(not same(view, read) for view in views) >= (1 if name == "weak" else 8)
    assert all(np.isfinite(view[reader.modality]).all() for view in views)
    if reader.modality != "image":
        assert all(view[f"{reader.modality}.mask"].any() for view in views)


def test_corruptions_grow_with_their_severity(reader: Reader) -> None:
    read = reader.read(CELLS[reader.modality])
    kept = {key: value.copy() for key, value in read.items()}
    harm = []
    for severity in range(1, 6):
        made = [reader.corrupt(read, severity, np.random.default_rng(seed)) for seed in range(10)]
        assert all(layout(one) == layout(read) for one in made)
        assert not any(same(one, read) for one in made)
        assert same(made[4], reader.corrupt(read, severity, np.random.default_rng(4)))
        key = reader.modality
        differs = [np.abs(one[key].astype(float) - read[key].astype(float)) for one in made]
        harm.append(np.mean([d.astype(bool).mean() if key == "text" else d.mean() for d in differs]))
    assert same(read, kept)
    if reader.modality == "text":
        assert harm[4] > harm[0]
    else:
        assert harm == sorted(harm)


def test_a_missing_cell_stays_empty_under_views_and_corruptions(reader: Reader) -> None:
    if reader.modality == "image":
        return
    empty = reader.empty()
    assert same(reader.view(empty, "strong", np.random.default_rng(0)), empty)
    assert same(reader.corrupt(empty, 5, np.random.default_rng(0)), empty)


def test_a_view_or_a_severity_that_there_is_not(reader: Reader) -> None:
    read = reader.read(CELLS[reader.modality])
    with pytest.raises(KeyError, match="weak, strong"):
        reader.view(read, "medium", np.random.default_rng(0))
    for severity in (0, 6):
        with pytest.raises(ValueError, match="1 to 5"):
            reader.corrupt(read, severity, np.random.default_rng(0))


def test_missing_cells(reader: Reader, tmp_path: Path) -> None:
    nothing = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, "", "  \n", {"bytes": None, "path": None}, {}, b""]
    assert all(reader.missing(cell) for cell in nothing)
    gone = tmp_path / "gone.wav"
    assert not reader.missing(CELLS[reader.modality])
    if reader.modality == "text":
        assert not reader.missing(str(gone))
        return
    assert reader.missing(gone)
    assert reader.missing(str(gone))
    assert reader.missing("x" * 5000)
    assert not reader.missing("https://example.org/a.wav")
    assert reader.missing({"bytes": None, "path": str(gone)})
    assert not reader.missing({"bytes": b"x", "path": str(gone)})
    gone.write_bytes(b"x")
    assert not reader.missing(gone)
    assert not reader.missing({"bytes": None, "path": str(gone)})


@pytest.mark.parametrize(
    "cell", [b"neither a picture nor a sound", {"bytes": b"nor this", "path": "x.wav"}, 7, object()]
)
def test_unreadable_cells(reader: Reader, cell: object) -> None:
    with pytest.raises((ValueError, OSError)):
        reader.read(cell)


def test_readers_go_to_other_processes(reader: Reader) -> None:
    again = pickle.loads(pickle.dumps(reader))
    cell = CELLS[reader.modality]
    assert same(again.read(cell), reader.read(cell))


def test_a_file_that_is_not_there_is_an_error_to_read(reader: Reader, tmp_path: Path) -> None:
    if reader.modality == "text":
        return
    with pytest.raises(OSError):
        reader.read(str(tmp_path / "gone"))


def test_all_forms_of_a_sound_are_the_same(tmp_path: Path) -> None:
    reader = LogMelReader(60)
    sound = tone(0.4)
    path = tmp_path / "a.wav"
    path.write_bytes(wav(sound, 16000))
    forms = [path, str(path), path.read_bytes(), {"bytes": path.read_bytes(), "path": None}]
    forms += [{"bytes": None, "path": str(path)}, {"array": sound, "sampling_rate": 16000}, (sound, 16000)]
    forms += [(np.stack([sound, sound]), 16000), (np.stack([sound, sound], axis=1), 16000)]
    expected = reader.read(forms[0])
    assert expected["audio.mask"].sum() == 40
    for form in forms[1:]:
        np.testing.assert_allclose(reader.read(form)["audio"], expected["audio"], atol=1e-5)


def test_all_forms_of_a_picture_are_the_same(tmp_path: Path) -> None:
    reader = ImageReader(ImageInput(size=32))
    path = tmp_path / "a.png"
    image = picture(2, (32, 32))
    image.save(path)
    pixels = np.asarray(image)
    forms = [image, path, str(path), path.read_bytes(), {"bytes": path.read_bytes(), "path": None}]
    forms += [{"bytes": None, "path": str(path)}, pixels, pixels.transpose(2, 0, 1)]
    for form in forms:
        assert np.array_equal(reader.read(form)["image"], pixels.transpose(2, 0, 1))
    with pytest.raises(ValueError, match="uint8"):
        reader.read(pixels / 255)
    grey = reader.read(pixels[..., 0])["image"]
    assert np.array_equal(grey[0], pixels[..., 0])
