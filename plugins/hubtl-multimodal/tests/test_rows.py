"""Rows of several modalities: what is missing, what is hidden, what views and corruptions do, and frozen encoders' tokens."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Audio, Dataset
from hubtl_multimodal import frozen
from tiny_encoders import wav
from trimodal import CLASSES, Models, row, sound, table

from hubtl.backbones import resolve
from hubtl.backbones.base import BackboneRequest, PixelRanges
from hubtl.data import cache
from hubtl.data.origin import select
from hubtl.errors import HubtlError
from hubtl.tasks.classification.matching import indices

MODALITIES = ("image", "text", "audio")
COLUMNS = {m: m for m in MODALITIES}
SMALL = {"width": 16, "layers": 1, "heads": 2, "bottlenecks": 2, "latents": 4, "max_length": 12, "seconds": 0.3}


def backbone(models: Models, *modalities: str, **options: object):
    torch.manual_seed(0)
    request = BackboneRequest(CLASSES, pretrained=False, options=SMALL | options)
    return resolve(models.named(*modalities), request).eval()


@pytest.fixture(scope="module")
def model(models: Models):
    return backbone(models)


def rows_of(model, dataset: Dataset, **how):
    how = {"labels": None, "name": "made up", "augment": False} | how
    return model.rows(dataset, {m: m for m in model.modalities}, **how)


def cells(**columns: list) -> Dataset:
    """A dataset of plain cells; columns that are left out are whole."""
    whole = row(0)
    n = len(next(iter(columns.values())))
    file = [{"bytes": whole["audio"], "path": None}] * n
    return Dataset.from_dict({"image": [None] * n, "text": [whole["text"]] * n, "audio": file} | columns)


def equal(one, other) -> bool:
    return set(one) == set(other) and all(one[k].equal(other[k]) for k in one)


@pytest.mark.parametrize(
    ("modality", "nothing"),
    [
        ("text", [None, "", "  "]),
        (
            "image",
            [None, {"bytes": None, "path": None}, {"bytes": None, "path": "nowhere.png"}, {"bytes": b"", "path": ""}],
        ),
        (
            "audio",
            [None, {"bytes": None, "path": None}, {"bytes": None, "path": "nowhere.wav"}, {"bytes": b"", "path": ""}],
        ),
    ],
)
def test_a_cell_with_nothing_in_it_is_a_missing_modality(model, modality, nothing):
    batch = rows_of(model, cells(**{modality: nothing})).fetch(range(len(nothing)))
    assert not batch.present[modality].any()
    assert not batch.inputs[f"{modality}.present"].any()
    others = set(MODALITIES) - {modality, "image"}
    assert all(batch.present[m].all() for m in others)
    blank = model.collate([{"text": "good"} if modality != "text" else {"audio": row(0)["audio"]}] * len(nothing))
    own = [key for key in batch.inputs if key.split(".")[0] == modality]
    assert own
    assert all(batch.inputs[key].equal(blank[key]) for key in own)


def test_a_number_that_is_none_is_a_missing_modality(model):
    """As pandas writes a gap in a column of words."""
    batch = rows_of(model, cells(text=[float("nan"), float("nan")])).fetch([0, 1])
    assert batch.present["text"].tolist() == [False, False]
    assert batch.present["audio"].tolist() == [True, True]


def test_names_of_files_are_read_and_those_of_none_are_missing(model, tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(row(0)["audio"])
    row(0)["image"].save(tmp_path / "a.png")
    paths = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    batch = rows_of(model, cells(audio=paths, image=[str(tmp_path / "b.png"), str(tmp_path / "a.png")])).fetch([0, 1])
    assert batch.present["audio"].tolist() == [True, False]
    assert batch.present["image"].tolist() == [False, True]
    assert equal(
        {k: v[:1] for k, v in batch.inputs.items()}, model.collate([{"audio": row(0)["audio"], "text": row(0)["text"]}])
    )


def test_a_row_with_nothing_in_it_is_one_clear_error_or_left_out(model):
    dataset = cells(text=["good", None, "bad"], audio=[None, None, None])
    with pytest.raises(HubtlError, match="made up: row 1 has nothing in it: image, text, audio are missing") as caught:
        rows_of(model, dataset).fetch([0, 1])
    assert "--on-bad-sample skip" in str(caught.value.hint)
    kept = rows_of(model, dataset, labels=np.array([2, 1, 0]), on_bad_sample="skip")
    assert len(kept) == 2
    assert kept.fetch([0, 1]).labels.tolist() == [2, 0]
    assert kept.bad == ["row 1 has nothing in it: image, text, audio are missing"]


def test_a_cell_that_cannot_be_read_is_named_or_its_row_left_out(model):
    noise = {"bytes": b"no sound at all", "path": "noise.wav"}
    dataset = cells(audio=[noise, {"bytes": row(0)["audio"], "path": None}])
    with pytest.raises(HubtlError, match="made up: row 0: cannot read its audio"):
        rows_of(model, dataset)
    kept = rows_of(model, dataset, on_bad_sample="skip")
    assert len(kept) == 1
    assert kept.bad[0].startswith("row 0: cannot read its audio")


def test_no_row_at_all_is_an_error(model):
    with pytest.raises(HubtlError, match="holds no readable row"):
        rows_of(model, cells(text=[None], audio=[None]), on_bad_sample="skip")


def test_a_sealed_set_holds_no_label(model):
    dataset = table(9, 5)
    sealed = rows_of(model, dataset)
    assert sealed.labels is None
    assert sealed.fetch([0, 1]).labels is None
    held = [value for value in vars(sealed).values() if isinstance(value, Dataset)]
    assert [set(d.column_names) for d in held] == [set(MODALITIES)]
    truth = indices(np.array(dataset["label"]), CLASSES, CLASSES)
    assert rows_of(model, dataset, labels=truth).fetch([4, 2]).labels.tolist() == [1, 2]


def test_without_hides_a_modality_and_leaves_the_set_as_it_was(model):
    whole = rows_of(model, table(9, 5, missing=0.0))
    less = whole.without(["audio", "text"])
    assert less.fetch(range(9)).present["image"].all()
    assert not less.fetch(range(9)).present["audio"].any()
    assert not less.fetch(range(9)).inputs["text.present"].any()
    assert all(mask.all() for mask in whole.fetch(range(9)).present.values())
    with torch.no_grad():
        hidden = model(less.fetch([0, 1]).inputs).pooled
        given = model(model.collate([{"image": c["image"]} for c in table(9, 5, missing=0.0).select([0, 1])])).pooled
        torch.testing.assert_close(hidden, given)
    assert less.fingerprint != whole.fingerprint


def test_corrupted_spoils_one_modality_alone_and_the_same_each_time(model):
    whole = rows_of(model, table(9, 5, missing=0.0))
    plain, spoiled = whole.fetch(range(9)).inputs, whole.corrupted("audio", 3).fetch(range(9)).inputs
    assert not plain["audio"].equal(spoiled["audio"])
    assert all(plain[k].equal(spoiled[k]) for k in plain if k != "audio")
    assert equal(spoiled, whole.corrupted("audio", 3).fetch(range(9)).inputs)
    gap = [
        (whole.corrupted("audio", s).fetch(range(9)).inputs["audio"] - plain["audio"]).abs().mean() for s in (1, 3, 5)
    ]
    assert gap[0] < gap[1] < gap[2]
    assert equal(plain, whole.fetch(range(9)).inputs)


def test_views_depend_on_the_seed_the_row_and_its_place_alone(model):
    views = ("weak", "strong")
    first, again = (rows_of(model, table(9, 5, missing=0.0), views=views) for _ in range(2))
    again.fetch([8, 7, 1], seed=3)
    some = [4, 2, 0, 1, 3, 5, 6, 7]
    one, two = first.fetch(some, seed=7), again.fetch(some, seed=7)
    assert all(equal(one.views[name], two.views[name]) for name in views)
    other = first.fetch(some, seed=8)
    for m in MODALITIES:
        assert not one.views["strong"][m].equal(other.views["strong"][m])
        assert not one.views["strong"][m].equal(one.inputs[m])
    assert equal(one.inputs, other.inputs)
    assert first.fetch(some).views == {}


def test_rows_that_do_not_fit_in_memory_are_the_same_rows(model):
    dataset = table(9, 5)
    kept, read = rows_of(model, dataset), rows_of(model, dataset, cache_bytes=0)
    assert (kept.cached, read.cached) == (True, False)
    assert equal(kept.fetch([3, 8, 0]).inputs, read.fetch([3, 8, 0]).inputs)


def test_recordings_are_read_without_torchcodec_and_at_the_encoders_rate(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    rng = np.random.default_rng(0)
    same = [{"bytes": sound(1, np.random.default_rng(3), rate=rate), "path": None} for rate in (16000, 48000)]
    batch = rows_of(model, cells(audio=[*same, {"bytes": sound(2, rng), "path": None}])).fetch([0, 1, 2])
    mask = batch.inputs["audio.mask"]
    assert abs(int(mask[0].sum()) - int(mask[1].sum())) <= 1
    seconds = int(mask[:2].all(dim=0).sum())
    loudest = batch.inputs["audio"][:, 2 : seconds - 2].mean(dim=1).argmax(dim=1)  # the band of the tone
    assert loudest[0] == loudest[1]
    assert loudest[0] != loudest[2]


def test_an_audio_feature_of_datasets_is_read_without_torchcodec(model, data: Path, monkeypatch):
    from hubtl.data.opening import opened

    monkeypatch.setitem(sys.modules, "torchcodec", None)
    split = opened(str(data / "source")).splits["train"]
    assert type(split.features["audio"]).__name__ == "Audio"
    assert rows_of(model, split).fetch(range(len(split))).present["audio"].sum() > len(split) / 2


# frozen encoders


@pytest.fixture
def passes(monkeypatch):
    """The names of encoders that were run over rows."""
    ran = []
    real = frozen._made
    monkeypatch.setattr(
        frozen, "_made", lambda encoder, *rest: ran.append(encoder.info.modality) or real(encoder, *rest)
    )
    cache.clear()
    return ran


def test_a_frozen_encoders_tokens_are_its_own_and_come_from_the_cache_the_next_time(models, passes):
    model, dataset = backbone(models, text_tune="freeze"), table(9, 5)
    batch = rows_of(model, dataset).fetch([5, 0, 3])
    assert passes == ["text"]
    with torch.no_grad():
        own = model.tower("text")(rows_of(backbone(models), dataset).fetch([5, 0, 3]).inputs)
    assert batch.inputs["text.mask"].equal(own.mask)
    torch.testing.assert_close(batch.inputs["text.tokens"].float(), own.values, rtol=2e-3, atol=2e-3)
    assert "text" not in batch.inputs
    again = rows_of(model, dataset).fetch([5, 0, 3])
    assert passes == ["text"]
    assert again.inputs["text.tokens"].equal(batch.inputs["text.tokens"])
    learning = backbone(models)
    with torch.no_grad():
        one, other = model(batch.inputs).pooled, learning(rows_of(learning, dataset).fetch([5, 0, 3]).inputs).pooled
    torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_other_weights_other_rows_and_another_corruption_have_entries_of_their_own(models, passes):
    model, dataset = backbone(models, text_tune="freeze"), table(9, 5)
    plain = rows_of(model, dataset)
    plain.fetch([0])
    assert (
        not plain.corrupted("text", 5)
        .fetch(range(9))
        .inputs["text.tokens"]
        .equal(plain.fetch(range(9)).inputs["text.tokens"])
    )
    rows_of(model, dataset.select(range(5))).fetch([0])
    with torch.no_grad():
        next(model.tower("text").parameters()).add_(0.1)
    rows_of(model, dataset).fetch([0])
    assert passes == ["text"] * 4


def test_hiding_a_modality_makes_no_frozen_tokens_again(models, passes):
    dataset = table(9, 5)
    plain = rows_of(backbone(models, text_tune="freeze"), dataset)
    plain.without(["audio"]).fetch([0])
    plain.fetch([0])
    plain.without(["text"]).fetch([0])
    rows_of(backbone(models, text_tune="freeze"), dataset, augment=True).without(["image"]).fetch([0], seed=1)
    assert passes == ["text"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_entry_is_made_again(models, passes):
    model, dataset = backbone(models, text_tune="freeze"), table(9, 5)
    before = rows_of(model, dataset).fetch(range(9)).inputs["text.tokens"]
    (entry,) = cache.entries()
    file = cache.folder() / entry.key / "features.npy"
    file.write_bytes(file.read_bytes()[:-8] + b"12345678")
    assert rows_of(model, dataset).fetch(range(9)).inputs["text.tokens"].equal(before)
    assert passes == ["text", "text"]
    rows_of(model, dataset).fetch([0])
    assert passes == ["text", "text"]


def test_a_strong_view_hides_some_of_a_frozen_encoders_tokens_but_never_the_first(models, passes):
    model = backbone(models, image_tune="freeze")
    rows = rows_of(model, table(9, 5, missing=0.0), views=("weak", "strong"))
    batch = rows.fetch(range(9), seed=1)
    assert batch.views["weak"]["image.mask"].all()
    strong = batch.views["strong"]["image.mask"]
    assert 0.05 < 1 - strong.float().mean() < 0.4
    assert strong[:, 0].all()
    assert strong.equal(rows.fetch(range(9), seed=1).views["strong"]["image.mask"])


def test_wav_bytes_of_another_number_of_channels_are_mixed(model):
    stereo = np.stack([np.sin(np.arange(4000) / 8), np.zeros(4000)], axis=1).astype(np.float32)
    batch = rows_of(model, cells(audio=[{"bytes": wav(stereo, 16000), "path": None}])).fetch([0])
    assert batch.present["audio"].all()


def test_the_fingerprint_is_that_of_the_content(model, tmp_path):
    """Files of the same names with other content are other rows; of other names with the same content the same."""

    sounds = [
        wav(np.full(800, level, np.float32), 16000) for level in (0.1, 0.2)
    ]  # a WAV of floats says when it was made

    def fingerprint(folder: Path, order: tuple[int, int]) -> str:
        folder.mkdir()
        for place, number in enumerate(order):
            (folder / f"{place}.wav").write_bytes(sounds[number])
        paths = [str(folder / f"{place}.wav") for place in range(2)]
        plain = cells(audio=paths)
        cast = plain.cast_column("audio", Audio(decode=False))
        assert (rows_of(model, plain).fingerprint == rows_of(model, cells(audio=paths[::-1])).fingerprint) is False
        assert rows_of(model, plain).fingerprint == rows_of(model, cast).fingerprint
        return rows_of(model, plain).fingerprint

    one = fingerprint(tmp_path / "a", (0, 1))
    assert fingerprint(tmp_path / "b", (0, 1)) == one
    assert fingerprint(tmp_path / "c", (1, 0)) != one
    assert rows_of(model, cells(text=["a", "b"])).fingerprint != rows_of(model, cells(text=["b", "a"])).fingerprint


def test_rows_are_numbered_as_in_the_data_and_checked_before_they_are_needed(model):
    broken = select(cells(audio=[row(0)["audio"]] * 3 + [b"no sound"]), [1, 3])
    with pytest.raises(HubtlError, match="row 3: cannot read its audio"):
        rows_of(model, broken).check()


def test_images_of_many_bits_are_read_by_the_range_that_is_given(model):
    from PIL import Image

    values = np.linspace(0, 4000, 64).reshape(8, 8).astype(np.uint16)
    image = Image.fromarray(values)
    dim = model.readers["image"].read(image)["image"].astype(int)
    ranged = model.readers["image"].ranged(PixelRanges(integers=(0, 65535))).read(image)["image"].astype(int)
    assert dim.max() > 200
    assert ranged.max() < 20
