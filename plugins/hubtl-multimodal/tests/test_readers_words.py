"""Text: whole words are dropped and replaced, special tokens stay. Pictures: flips and crops from 64 pixels on."""

from pathlib import Path

import numpy as np
import pytest
from hubtl_multimodal.encoders import create
from PIL import Image
from tiny_encoders import text_model

from hubtl.backbones.base import ImageInput
from hubtl.modalities.image.reader import ImageReader
from hubtl.modalities.text.reader import TextReader


@pytest.fixture
def reader(tmp_path: Path) -> TextReader:
    made = create("text", str(text_model("bert", tmp_path)), options={"max_length": 16}).reader()
    assert isinstance(made, TextReader)
    return made


def words_of(reader: TextReader, arrays: dict[str, np.ndarray]) -> list[str]:
    ids = arrays["text"][arrays["text.mask"]].tolist()
    return [str(token) for token in reader.tokenizer.convert_ids_to_tokens(ids)]


def test_a_text_is_padded_or_cut(reader: TextReader) -> None:
    read = reader.read("the goodly film")
    assert words_of(reader, read) == ["[CLS]", "the", "good", "##ly", "film", "[SEP]"]
    assert read["text"].dtype == np.int32
    assert (read["text"][6:] == reader.tokenizer.pad_token_id).all()
    cut = reader.read("good " * 40)
    assert words_of(reader, cut) == ["[CLS]", *["good"] * 14, "[SEP]"]


@pytest.mark.parametrize("name", ["weak", "strong"])
def test_a_view_drops_or_masks_whole_words(reader: TextReader, name: str) -> None:
    read = reader.read("the goodly film was very boring")
    whole = words_of(reader, read)
    dropped = []
    for seed in range(300):
        seen = words_of(reader, reader.view(read, name, np.random.default_rng(seed)))
        assert seen[0] == "[CLS]"
        assert seen[-1] == "[SEP]"
        assert len(seen) > 2
        assert ("good" in seen) == ("##ly" in seen)
        assert name == "strong" or "[MASK]" not in seen
        seen = [word for word in seen if word != "[MASK]"]
        assert [word for word in whole if word in seen] == seen
        dropped.append(len(whole) - len(seen))
    share = np.mean(dropped) / 7
    assert (0.02 < share < 0.09) if name == "weak" else (0.14 < share < 0.26)


def test_one_word_at_least_is_left(reader: TextReader) -> None:
    read = reader.read("good")
    for seed in range(50):
        assert words_of(reader, reader.view(read, "strong", np.random.default_rng(seed))) == ["[CLS]", "good", "[SEP]"]
        assert len(words_of(reader, reader.corrupt(read, 5, np.random.default_rng(seed)))) == 3


@pytest.mark.parametrize(("severity", "harmed"), [(1, 1), (3, 3), (5, 5)])
def test_a_corruption_harms_so_many_words(reader: TextReader, severity: int, harmed: int) -> None:
    read = reader.read("the film was very bad " * 2)
    whole = words_of(reader, read)
    dropped = replaced = 0
    for seed in range(40):
        seen = words_of(reader, reader.corrupt(read, severity, np.random.default_rng(seed)))
        assert seen[0] == "[CLS]"
        assert seen[-1] == "[SEP]"
        assert not {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"} & set(seen[1:-1])
        assert len(whole) - harmed <= len(seen) <= len(whole)
        dropped += len(whole) - len(seen)
        replaced += harmed - (len(whole) - len(seen))
    assert 0.35 < dropped / (dropped + replaced) < 0.65


def test_small_pictures_are_not_flipped() -> None:
    """Left is dark and right is bright; a digit of 28 pixels stays that way, a photo of 64 turns in half of its views."""
    for size, turned in ((28, 0.0), (64, 0.5)):
        reader = ImageReader(ImageInput(size=size, channels=1, mean=(0.5,), std=(0.5,)))
        ramp = np.tile(np.linspace(0, 255, size).astype(np.uint8), (size, 1))
        read = reader.read(Image.fromarray(ramp))
        views = [reader.view(read, "weak", np.random.default_rng(seed))["image"][0].astype(float) for seed in range(60)]
        flipped = np.mean([view[:, : size // 2].mean() > view[:, size // 2 :].mean() for view in views])
        assert abs(flipped - turned) < 0.2


def test_pixels_are_normalised_as_the_model_says() -> None:
    reader = ImageReader(ImageInput(size=8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.2)))
    made = reader.tensors({"image": np.full((2, 3, 8, 8), 255, np.uint8)})["image"]
    assert made.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(made[0, :, 0, 0], [(1 - 0.1) / 0.5, (1 - 0.2) / 0.4, (1 - 0.3) / 0.2], rtol=1e-6)
