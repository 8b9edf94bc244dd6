"""Strong views of texts and recordings teach: consistency finds a second cue that source-only never met."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, ClassLabel, Dataset, Features, Value
from tiny_encoders import audio_model, text_model

import hubtl as library
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.data.reading import open_rows
from hubtl.errors import HubtlError
from hubtl.modalities.audio.spectrogram import LogMelReader
from hubtl.modalities.audio.waveform import WaveformReader

CLASSES = ["one", "two", "three"]
FIRST, SECOND = ["good", "bad", "boring"], ["film", "was", "very"]  # the source has the first alone
LOW, HIGH = [400.0, 700.0, 1100.0], [3000.0, 4500.0, 6500.0]  # Hz


def text(y: int, first: bool, second: bool, rng: np.random.Generator) -> str:
    words = ["the", "a"] * int(rng.integers(1, 3)) + [FIRST[y]] * first + [SECOND[y]] * second
    return " ".join(rng.permutation(words))


def sound(y: int, first: bool, second: bool, rng: np.random.Generator) -> dict[str, object]:
    time = np.arange(4800) / 16000
    wave = 0.02 * rng.standard_normal(len(time))
    for there, hertz in ((first, LOW[y]), (second, HIGH[y])):
        wave += 0.3 * there * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6))
    buffer = io.BytesIO()
    soundfile.write(buffer, wave.astype(np.float32), 16000, format="WAV")
    return {"bytes": buffer.getvalue(), "path": None}


def table(kind: str, n: int, seed: int, target: bool) -> Dataset:
    """Three of four target rows have both cues, others the second."""
    rng = np.random.default_rng(seed)
    labels = [i % 3 for i in range(n)]
    first, second = [not target or i // 3 % 4 > 0 for i in range(n)], [target] * n
    file = {"bytes": Value("binary"), "path": Value("string")}
    make, feature = (text, Value("string")) if kind == "text" else (sound, file)
    cells = [make(*cues, rng) for cues in zip(labels, first, second, strict=True)]
    features = Features({kind: feature, "label": ClassLabel(names=CLASSES)})
    made = Dataset.from_dict({kind: cells, "label": labels}, features=features)
    return made if kind == "text" else made.cast_column(kind, Audio(decode=False))


@pytest.fixture(scope="module", params=["text", "audio"])
def world(request, tmp_path_factory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("cues")
    torch.manual_seed(0)
    text_model("bert", root / "model") if request.param == "text" else audio_model("ast", root / "model")
    for name in ("source", "target"):
        (root / name).mkdir()
        for split, n in (("train", 240), ("test", 120)):
            table(request.param, n, n, name == "target").to_parquet(root / name / f"{split}.parquet")
    return request.param, root


STRONG = {
    "text": {"model.pooling": "mean", "model.strong_masking": 0.3, "model.strong_deletion": 0.2},
    "audio": {"model.band_masks": 0.6, "model.seconds": 0.3},
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fixmatch", "adamatch", "mean-teacher"])
def test_consistency_beats_source_only(world, strategy, tmp_path):
    kind, root = world
    record = library.adapt(
        model=str(root / "model"),
        pretrained=False,
        source_dataset=str(root / "source"),
        target_dataset=str(root / "target"),
        target_eval_split="test",
        strategy=strategy,
        steps=600 if (kind, strategy) == ("audio", "adamatch") else 250,  # its threshold follows a slow start
        batch_size=24,
        seed=0,
        device="cpu",
        output_dir=str(tmp_path / "run"),
        options={
            "run.plots": False,
            "optim.lr": 3e-3,
            "optim.name": "adamw",
            "model.bottleneck": 0,
            "run.validator": "last",
            **STRONG[kind],
        },
    ).record
    before, after = record.source_only.accuracy, record.adapted.accuracy
    assert before < 0.9
    assert after > before + 0.04, (before, after)


def test_strong_views_depend_on_seed_and_row_and_evaluation_has_none(world):
    kind, root = world
    options = {"max_length": 16} if kind == "text" else {"seconds": 0.3}
    backbone = backbones.resolve(str(root / "model"), BackboneRequest(CLASSES, options=options))
    rows = table(kind, 12, 0, True)
    opened = open_rows(backbone, rows, {kind: kind}, labels=None, name="rows", views=("weak", "strong"))
    one, again, other = (opened.fetch(range(12), seed=seed) for seed in (0, 0, 1))
    for view in ("weak", "strong"):
        assert torch.equal(one.views[view][kind], again.views[view][kind])
    assert not torch.equal(one.views["strong"][kind], other.views["strong"][kind])
    plain = opened.fetch(range(12))
    assert plain.views == {}
    assert torch.equal(plain.inputs[kind], one.inputs[kind])
    assert not torch.equal(one.views["strong"][kind], plain.inputs[kind])


def test_strengths_of_words(tmp_path):
    def views(**options: float) -> list[list[str]]:
        folder = str(tmp_path / "model")
        reader = backbones.resolve(folder, BackboneRequest(CLASSES, options={"max_length": 40, **options})).reader
        read = reader.read("the film was very bad " * 4)
        seen = [reader.view(read, "strong", np.random.default_rng(seed)) for seed in range(40)]
        return [reader.pieces(one["text"][one["text.mask"]])[1:-1] for one in seen]

    text_model("bert", tmp_path / "model")
    off = {"strong_deletion": 0.0, "strong_masking": 0.0, "strong_span": 0.0}
    assert {tuple(words) for words in views(**off)} == {("the", "film", "was", "very", "bad") * 4}
    masked = views(**off | {"strong_masking": 0.5})
    assert {len(words) for words in masked} == {20}
    assert 0.4 < np.mean([word == "[MASK]" for words in masked for word in words]) < 0.6
    spans = views(**off | {"strong_span": 0.5})
    assert {len(words) for words in spans} == set(range(10, 21))
    assert not any("[MASK]" in words for words in spans)
    assert 0.4 < 1 - np.mean([len(words) for words in views(**off | {"strong_deletion": 0.5})]) / 20 < 0.6


@pytest.mark.parametrize("kind", ["log-mel", "waveform"])
def test_strengths_of_sounds(kind):
    reader = LogMelReader(40, 32) if kind == "log-mel" else WaveformReader(16000, 6400, normalise=False)
    read = reader.read((0.3 * np.sin(2 * np.pi * 700 * np.arange(4800) / 16000), 16000))
    off = {"shift": 0.0, "strong_gain": 0.0, "strong_noise": None, "time_masks": 0.0, "band_masks": 0.0}

    def changed(**how: float) -> float:
        reader.strengths = type(reader.strengths)(**off | how)
        seen = [reader.view(read, "strong", np.random.default_rng(seed))["audio"] for seed in range(20)]
        return float(np.mean([np.abs(one - read["audio"]).mean() for one in seen]))

    assert changed() == pytest.approx(0, abs=1e-5)
    for name, less, more in (
        ("strong_gain", 2.0, 12.0),
        ("strong_noise", 40.0, 0.0),
        ("time_masks", 0.1, 0.6),
        ("shift", 0.1 if kind == "log-mel" else 0.02, 0.4),  # of 30 frames, or of 4,800 samples
    ):
        assert 1e-5 < changed(**{name: less}) < changed(**{name: more}), name
    if kind == "log-mel":
        assert 1e-5 < changed(band_masks=0.1) < changed(band_masks=0.6)


def test_strengths_of_another_modality_are_refused(tmp_path):
    folder = str(text_model("bert", tmp_path / "model"))
    with pytest.raises(HubtlError, match="it has no time_masks"):
        backbones.resolve(folder, BackboneRequest(CLASSES, options={"time_masks": 0.5}))
