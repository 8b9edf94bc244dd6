"""Rates, levels and the spectrogram's recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hubtl_multimodal.encoders import create
from tiny_encoders import audio_model, tone, wav

from hubtl.modalities.audio.extracted import ASTReader
from hubtl.modalities.audio.sound import samples
from hubtl.modalities.audio.spectrogram import LogMelReader, SpectrogramReader, frames_in
from hubtl.modalities.audio.waveform import WaveformReader


@pytest.fixture(params=["log-mel", "ast", "whisper", "clap", "clap-fusion"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> SpectrogramReader:
    if request.param == "log-mel":
        return LogMelReader(98, 64)
    made = create("audio", str(audio_model(request.param, tmp_path)), options={"seconds": 0.6}).reader()
    assert isinstance(made, SpectrogramReader)
    return made


def test_the_log_mel_spectrogram_is_yamnets() -> None:
    """Written out from its definition: HTK mel triangles over the magnitudes of 512 points of a periodic Hann window."""
    sound = tone(0.5, hertz=1000.0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    edges = 700 * (np.exp(np.linspace(*(1127 * np.log1p(np.array([125.0, 7500.0]) / 700)), 66) / 1127) - 1)
    bins = np.arange(257) * 16000 / 512
    weights = np.zeros((257, 64))
    for band in range(64):
        low, middle, high = edges[band : band + 3]
        weights[:, band] = np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    frames = [np.abs(np.fft.rfft(window * sound[i * 160 : i * 160 + 400], 512)) for i in range(48)]
    expected = np.log(np.stack(frames) @ weights + 0.001)
    read = LogMelReader(80).read((sound, 16000))
    np.testing.assert_allclose(read["audio"][:48], expected, atol=1e-3)
    assert read["audio.mask"].sum() == 50
    np.testing.assert_allclose(read["audio"][50:], np.log(0.001), atol=1e-6)
    loudest = expected.mean(axis=0).argmax()
    assert edges[loudest] < 1000 < edges[loudest + 2]


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.975, 96), (1.0, 98), (0.5, 48), (0.025, 1), (0.001, 1), (10.0, 998)]
)
def test_seconds_fix_the_frames(seconds: float, frames: int) -> None:
    assert frames_in(seconds) == frames


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_sound_is_resampled_to_the_rate_that_is_asked_for(rate: int) -> None:
    given, wanted = tone(0.5, rate=rate, hertz=500), tone(0.5, hertz=500)
    heard = samples((given, rate), 16000)
    assert heard.dtype == np.float32
    assert abs(len(heard) - 8000) <= 1
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(spectrum.argmax() * 16000 / len(heard) - 500) < 4
    middle = slice(1000, 7000)
    assert np.corrcoef(heard[middle], wanted[middle])[0, 1] > 0.98


def test_whole_numbers_are_scaled_and_channels_mixed() -> None:
    sound = tone(0.1)
    for kind, scale in ((np.int16, 2**15), (np.int32, 2**31)):
        whole = np.clip(np.round(sound.astype(np.float64) * scale), -scale, scale - 1).astype(kind)
        np.testing.assert_allclose(samples((whole, 16000), 16000), sound, atol=1e-4)
    bytes_ = np.round(sound * 128 + 128).astype(np.uint8)
    np.testing.assert_allclose(samples((bytes_, 16000), 16000), sound, atol=0.01)
    left = np.stack([sound, np.zeros_like(sound)])
    np.testing.assert_allclose(samples((left, 16000), 16000), sound / 2, atol=1e-6)


def test_no_more_of_a_long_file_is_read_than_the_row_takes(tmp_path: Path, reader: SpectrogramReader) -> None:
    import soundfile

    path = tmp_path / "long.wav"
    path.write_bytes(wav(tone(3.0, rate=8000), 8000))
    whole = reader.read({"array": samples(path, 16000), "sampling_rate": 16000})
    read: list[int] = []
    own = soundfile.SoundFile.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "read", lambda f, n, **o: read.append(n) or own(f, n, **o))
        cut = reader.read(path)
    assert 0 < read[0] < 10000
    assert cut["audio.mask"].sum() == whole["audio.mask"].sum()
    np.testing.assert_allclose(cut["audio"], whole["audio"], atol=0.02)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (tone(0.1), "without its sampling rate"),
        ({"array": tone(0.1)}, "sampling rate of None"),
        ({"array": tone(0.1), "sampling_rate": 0}, "sampling rate of 0"),
        ((tone(0.1), 44100.5), "sampling rate of 44100.5"),
        ((np.zeros(0, np.float32), 16000), "no samples"),
        ((np.array([0.0, np.nan]), 16000), "not finite"),
        ((np.zeros((2, 2, 2)), 16000), "shape"),
        ((np.array(["a"]), 16000), "no sound"),
        (b"RIFFbut no sound", "soundfile"),
    ],
)
def test_what_is_no_sound_says_why(cell: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        samples(cell, 16000)


def test_energies_and_logarithms_undo_each_other(reader: SpectrogramReader) -> None:
    features = reader.read((tone(0.5), 16000))["audio"][:30]
    np.testing.assert_allclose(reader.logarithms(reader.energies(features)), features, atol=2e-3)


def test_noise_on_a_spectrogram_is_noise_on_its_sound(reader: SpectrogramReader) -> None:
    """At 10 decibels: the same energies in each band, on average, as when the samples themselves are made noisy."""
    rng = np.random.default_rng(0)
    time = np.arange(9600) / 16000
    sound = sum(np.sin(2 * np.pi * 120 * k * time + k * k) for k in range(1, 20)) / 20  # a voice without its hiss
    noise = rng.standard_normal(len(sound))
    noise *= np.sqrt((sound**2).mean() / 10 / (noise**2).mean())
    expected = reader.read(((sound + noise).astype(np.float32), 16000))
    clean = reader.read((sound.astype(np.float32), 16000))
    length = int(clean["audio.mask"].sum())
    noisy = reader.corrupt(clean, 3, rng)["audio"][:length]
    bands = slice(len(noisy[0]) * 3 // 4, None)  # above the voice
    mean = [reader.energies(a[:length, bands]).mean() for a in (clean["audio"], expected["audio"], noisy)]
    assert mean[1] > 10 * mean[0]
    assert 0.4 < mean[2] / mean[1] < 2.5


def test_a_band_without_a_bin_does_not_hurt() -> None:
    with pytest.warns(UserWarning, match="mel filter has all zero values"):
        reader = LogMelReader(30, 256)
    read = reader.read((tone(0.2), 16000))
    assert np.isfinite(reader.corrupt(read, 5, np.random.default_rng(0))["audio"]).all()


def test_a_view_shifts_the_sound_within_its_row(reader: SpectrogramReader) -> None:
    read = reader.read((tone(0.3), 16000))
    lengths = {int(reader.view(read, "weak", np.random.default_rng(s))["audio.mask"].sum()) for s in range(30)}
    own = int(read["audio.mask"].sum())
    assert min(lengths) < own
    assert max(lengths) > own or own == reader.frames
    assert all(abs(length - own) <= 0.1 * own for length in lengths)


def test_a_gain_does_not_lift_the_padding(reader: SpectrogramReader) -> None:
    read = reader.read((tone(0.3), 16000))
    view = reader.view(read, "strong", np.random.default_rng(5))
    outside = view["audio"][~view["audio.mask"]]
    assert len(np.unique(outside)) <= 1
    if outside.size and not isinstance(reader, ASTReader):  # which pads with what it takes for an energy of 1
        assert outside[0, 0] <= view["audio"][view["audio.mask"]].min() + 1e-6


def test_a_waveform_row_is_normalised_by_its_own_samples() -> None:
    reader = WaveformReader(16000, 8000, normalise=True)
    rows = [reader.read((tone(s) * g + 0.1, 16000)) for s, g in ((0.2, 1.0), (0.5, 0.1))] + [reader.empty()]
    tensors = reader.tensors({key: np.stack([row[key] for row in rows]) for key in rows[0]})
    for sound, mask in zip(tensors["audio"][:2], tensors["audio.mask"][:2], strict=True):
        assert abs(float(sound[mask].mean())) < 1e-3
        assert abs(float(sound[mask].std()) - 1) < 1e-2
        assert not sound[~mask].any()
    assert torch.equal(tensors["audio"][2], torch.zeros(8000))


@pytest.mark.parametrize(("severity", "decibels"), [(1, 20), (3, 10), (5, 0)])
def test_noise_on_a_waveform_has_the_level_that_it_says(severity: int, decibels: float) -> None:
    reader = WaveformReader(16000, 8000, normalise=False)
    read = reader.read((tone(0.5), 16000))
    noise = reader.corrupt(read, severity, np.random.default_rng(0))["audio"] - read["audio"]
    level = 10 * np.log10(np.square(read["audio"]).mean() / np.square(noise).mean())
    assert abs(level - decibels) < 0.3
