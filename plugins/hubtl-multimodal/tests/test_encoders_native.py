"""The tokens are those of the library's own model and processor."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hubtl_multimodal.encoders import ModalityEncoder, Tokens, create
from tiny_encoders import audio_model, image_model, picture, text_model, tone


def tokens_for(encoder: ModalityEncoder, *cells: object) -> Tokens:
    reader = encoder.eval().reader()
    rows = [reader.read(cell) for cell in cells]
    with torch.no_grad():
        return encoder(reader.tensors({key: np.stack([row[key] for row in rows]) for key in rows[0]}))


@pytest.mark.parametrize("kind", ["vit", "dinov2", "siglip"])
def test_images_as_the_processor_makes_them(tmp_path: Path, kind: str) -> None:
    folder = image_model(kind, tmp_path)
    tokens = tokens_for(create("image", str(folder)), picture())
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    with torch.no_grad():
        expected = model(**processor(picture(), return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(tokens.values, expected, rtol=1e-3, atol=0.02)  # the reader's pixels are whole numbers


def test_clip_normalises_all_of_its_tokens(tmp_path: Path) -> None:
    folder = image_model("clip", tmp_path)
    encoder = create("image", str(folder))
    tokens = tokens_for(encoder, picture())
    inputs = encoder.reader().tensors({"image": encoder.reader().read(picture())["image"][None]})
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model.vision_model(pixel_values=inputs["image"])
    torch.testing.assert_close(tokens.values[:, 0], expected.pooler_output)
    torch.testing.assert_close(tokens.values, model.vision_model.post_layernorm(expected.last_hidden_state))


def test_another_image_size_keeps_the_positions_where_they_were(tmp_path: Path) -> None:
    """A picture of one colour has tokens that differ by position alone; at twice the size, corners stay alike."""
    folder = image_model("vit", tmp_path)
    model = transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False)
    model.embeddings.position_embeddings.data.normal_()
    model.save_pretrained(folder)
    large = create("image", str(folder), image_size=64)
    old = model.embeddings.position_embeddings.detach()[0, 1:].view(4, 4, -1)
    new = large.model.embeddings.position_embeddings.detach()[0, 1:].view(8, 8, -1)
    theirs = model.eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state
        torch.testing.assert_close(large.eval()({"image": pixels}).values, expected)
    assert torch.nn.functional.cosine_similarity(old[0, 0], new[0, 0], dim=0) > 0.9


def test_a_batch_of_texts_is_cut_to_its_longest_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = text_model("bert", tmp_path)
    encoder = create("text", str(folder), options={"max_length": 30}).eval()
    lengths = []
    encoder.model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    tokens = tokens_for(encoder, "good film", "the very bad film")
    assert lengths == [6]
    assert tokens.values.shape == (2, 30, 16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        whole = tokenizer(["good film", "the very bad film"], padding="max_length", max_length=30, return_tensors="pt")
        expected = model(**whole).last_hidden_state
    torch.testing.assert_close(tokens.values[tokens.mask], expected[whole["attention_mask"].bool()])


@pytest.mark.parametrize(("kind", "asked", "given"), [("bert", 128, 40), ("roberta", 128, 39), ("bert", 8, 8)])
def test_a_text_is_no_longer_than_the_model_has_positions(tmp_path: Path, kind: str, asked: int, given: int) -> None:
    encoder = create("text", str(text_model(kind, tmp_path)), options={"max_length": asked})
    tokens = tokens_for(encoder, "very good film " * 30)
    assert tokens.values.shape[1] == given
    assert tokens.mask.all()


def test_ast_on_a_full_spectrogram_is_the_models_own(tmp_path: Path) -> None:
    folder = audio_model("ast", tmp_path)
    sound = tone(1.0)
    tokens = tokens_for(create("audio", str(folder)), (sound, 16000))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(**extractor(sound, sampling_rate=16000, return_tensors="pt")).last_hidden_state
    assert tokens.mask.all()
    torch.testing.assert_close(tokens.values, expected)


def test_ast_masks_the_patches_that_sound_does_not_touch(tmp_path: Path) -> None:
    """Patches lie in rows of the same band: 4 bands, and 10 times of 8 frames every 6. 0.31 s are 29 frames: 5 times."""
    encoder = create("audio", str(audio_model("ast", tmp_path)))
    mask = tokens_for(encoder, (tone(0.31), 16000)).mask[0]
    assert mask[:2].all()
    assert mask[2:].view(4, 10).tolist() == [[True] * 5 + [False] * 5] * 4


def test_ast_hears_the_same_in_a_shorter_spectrogram(tmp_path: Path) -> None:
    folder = audio_model("ast", tmp_path)
    sound = (tone(0.31), 16000)
    long = tokens_for(create("audio", str(folder)), sound)
    short = tokens_for(create("audio", str(folder), options={"seconds": 0.45}), sound)
    assert short.values.shape[1] < long.values.shape[1]
    torch.testing.assert_close(short.values[short.mask], long.values[long.mask], rtol=1e-4, atol=1e-5)


def test_ast_resamples_its_positions_for_a_longer_spectrogram(tmp_path: Path) -> None:
    folder = audio_model("ast", tmp_path)
    short, long = create("audio", str(folder)), create("audio", str(folder), options={"seconds": 1.2})
    old = short.model.embeddings.position_embeddings[0]
    new = long.model.embeddings.position_embeddings[0]
    assert torch.equal(old[:2], new[:2])
    old, new = old[2:].view(4, 10, -1), new[2:].view(4, -1, 16)
    assert new.shape[1] == (118 - 8) // 6 + 1
    alike = torch.nn.functional.cosine_similarity(old[:, [0, -1]], new[:, [0, -1]], dim=-1)
    assert (alike > 0.9).all()


@pytest.mark.parametrize("seconds", [0.3, 0.5, 1.0])
def test_whisper_is_given_what_its_extractor_makes_of_thirty_seconds(tmp_path: Path, seconds: float) -> None:
    """The reader leaves out the padding, which is put back exactly. The model's window is 1 s here."""
    folder = audio_model("whisper", tmp_path)
    encoder = create("audio", str(folder), options={"seconds": seconds})
    tokens = tokens_for(encoder, (tone(0.25), 16000), (tone(1.4, seed=1), 16000))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).encoder.eval()
    for row, sound in enumerate((tone(0.25), tone(1.4, seed=1)[: round(seconds * 16000)])):
        features = extractor(sound, sampling_rate=16000, return_tensors="pt")["input_features"]
        with torch.no_grad():
            expected = model(features).last_hidden_state
        kept = int(tokens.mask[row].sum())
        frames = math.ceil((len(sound) + 200) / 160)  # whose windows of 400 samples, every 160, touch the sound
        assert kept == min(50, math.ceil(frames / 2))
        torch.testing.assert_close(tokens.values[row, :kept], expected[0, :kept], rtol=1e-4, atol=1e-4)


def test_whisper_sines_do_not_learn(tmp_path: Path) -> None:
    encoder = create("audio", str(audio_model("whisper", tmp_path)))
    assert "model.embed_positions.weight" not in dict(encoder.named_parameters())
    assert "model.embed_positions.weight" in dict(encoder.named_buffers())


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "hubert"])
def test_waves_with_a_mask_do_not_hear_the_padding(tmp_path: Path, kind: str) -> None:
    folder = audio_model(kind, tmp_path)
    sound = tone(0.31)
    short = tokens_for(create("audio", str(folder), options={"seconds": 0.4}), (sound, 16000))
    long = tokens_for(create("audio", str(folder), options={"seconds": 0.8}), (sound, 16000))
    torch.testing.assert_close(short.values[short.mask], long.values[long.mask], rtol=1e-4, atol=1e-5)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(extractor(sound, sampling_rate=16000, return_tensors="pt").input_values).last_hidden_state
    torch.testing.assert_close(short.values[short.mask], expected[0], rtol=1e-4, atol=1e-4)


def test_waves_without_a_mask_are_normalised_and_then_padded_with_zeros(tmp_path: Path) -> None:
    """A padded batch's zeros would count into the extractor's variance; the published training did not."""
    folder = audio_model("wav2vec2-group", tmp_path)
    sound = tone(0.31)
    encoder = create("audio", str(folder), options={"seconds": 0.4})
    tokens = tokens_for(encoder, (sound, 16000))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(sound, sampling_rate=16000, return_tensors="pt")
    assert "attention_mask" not in inputs
    values = torch.nn.functional.pad(inputs["input_values"], (0, 6400 - len(sound)))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(values).last_hidden_state[0]
    kept = int(tokens.mask.sum())
    assert kept < len(expected)
    torch.testing.assert_close(tokens.values[0, :kept], expected[:kept], rtol=1e-4, atol=1e-4)
    assert "no mask" in encoder.info.notes[0]


def test_a_sound_shorter_than_one_step_is_one_token(tmp_path: Path) -> None:
    encoder = create("audio", str(audio_model("wav2vec2-layer", tmp_path)), options={"seconds": 0.2})
    tokens = tokens_for(encoder, (tone(0.0005), 16000))
    assert tokens.mask.sum() == 1
    assert tokens.values.isfinite().all()


@pytest.mark.parametrize("kind", ["clap", "clap-fusion"])
def test_clap_repeats_a_short_sound_and_never_crops_at_random(tmp_path: Path, kind: str) -> None:
    folder = audio_model(kind, tmp_path)
    encoder = create("audio", str(folder))
    sound = tone(0.4)
    tokens = tokens_for(encoder, (sound, 16000))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    features = extractor(sound, sampling_rate=16000, return_tensors="pt")["input_features"].float()
    model = transformers.ClapModel.from_pretrained(folder).audio_model.eval()
    with torch.no_grad():
        made = model(input_features=features, is_longer=torch.zeros(1, 1, dtype=torch.bool)).last_hidden_state
    expected = made.permute(0, 3, 2, 1).flatten(1, 2)
    torch.testing.assert_close(tokens.values[tokens.mask], expected[tokens.mask], rtol=1e-4, atol=1e-4)
    assert 0.75 < tokens.mask.float().mean() < 1  # two repeats fill 0.8 of a second
    long = [encoder.reader().read((tone(3.0), 16000))["audio"] for _ in range(3)]
    assert np.array_equal(long[0], long[1])
    assert np.array_equal(long[0], long[2])


def test_a_timm_stage_is_its_own_map(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = create("image", "test_resnet", pretrained=False, image_size=64, options={"stage": -2}).eval()
    whole = create("image", "test_resnet", pretrained=False, image_size=64)
    assert whole({"image": torch.zeros(1, 3, 64, 64)}).values.shape[1] == 4
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = encoder.model.forward_intermediates(pixels, indices=[3], intermediates_only=True)[0]
        tokens = encoder({"image": pixels})
    torch.testing.assert_close(tokens.values, expected.flatten(2).transpose(1, 2))
    learning = {name for name, _ in encoder.named_parameters()}
    assert not any(name.startswith("model.layer4") for name in learning)
    assert any(name.startswith("model.layer3") for name in learning)


def test_timm_hears_time_from_top_to_bottom() -> None:
    """The map of test_vit on 0.5 s: 3 times of 16 frames by 4 bands, after the class token; 0.2 s touch 20 frames."""
    encoder = create("audio", "test_vit", pretrained=False, options={"seconds": 0.485})
    tokens = tokens_for(encoder, (tone(0.2), 16000))
    assert encoder.info.input["frames"] == 48
    assert tokens.mask[0].tolist() == [True] + [True] * 8 + [False] * 4


def test_a_spectrogram_model_of_timm_brings_its_own_frames(tmp_path: Path) -> None:
    """As a folder says: one channel of 96 frames and 64 bands, not normalised."""
    import json

    import timm

    model = timm.create_model("test_resnet", in_chans=1, num_classes=7)
    timm.models.save_for_hf(
        model,
        str(tmp_path / "own"),
        safe_serialization=True,
        data_config={"input_size": (1, 96, 64), "mean": (0.0,), "std": (1.0,)},
    )
    assert json.loads((tmp_path / "own" / "config.json").read_text())["pretrained_cfg"]["input_size"] == [1, 96, 64]
    encoder = create("audio", str(tmp_path / "own"))
    given = encoder.info.input
    assert (given["frames"], given["mels"], given["mean"], given["std"]) == (96, 64, 0.0, 1.0)
    torch.testing.assert_close(encoder.model.state_dict()["conv1.0.weight"], model.state_dict()["conv1.0.weight"])
    longer = create("audio", f"local-dir:{tmp_path / 'own'}", options={"seconds": 1.5})
    assert longer.info.input["frames"] == 148
