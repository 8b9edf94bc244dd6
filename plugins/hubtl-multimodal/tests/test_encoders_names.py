"""Names that are no model, of another modality, or out of reach: one message and what to do."""

import re
from pathlib import Path

import pytest
from hubtl_multimodal.encoders import create, rebuild
from tiny_encoders import audio_model, image_model, text_model

from hubtl import HubtlError


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def refused(modality: str, name: str, **arguments: object) -> str:
    with pytest.raises(HubtlError) as caught:
        create(modality, name, **arguments)  # type: ignore[arg-type]
    return f"{caught.value} | {caught.value.hint}"


@pytest.mark.parametrize(
    ("modality", "make", "message"),
    [
        ("image", lambda f: text_model("bert", f), "is a text model, not an image model"),
        ("image", lambda f: audio_model("whisper", f), "is an audio model, not an image model"),
        ("text", lambda f: image_model("vit", f), "is an image model, not a text model"),
        ("text", lambda f: audio_model("ast", f), "is an audio model, not a text model"),
        ("audio", lambda f: text_model("distilbert", f), "is a text model, not an audio model"),
        ("audio", lambda f: image_model("siglip", f), "is an image model, not an audio model"),
        ("text", lambda f: "resnet18", "is an image model, not a text model"),
        ("text", lambda f: "timm/resnet18", "is an image model, not a text model"),
    ],
)
def test_a_model_of_another_modality(tmp_path: Path, modality: str, make: object, message: str) -> None:
    assert message in refused(modality, str(make(tmp_path)))  # type: ignore[operator]


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_misspelt_name_of_timm(modality: str) -> None:
    assert re.search(r"unknown model 'resnet81'.*\| resnet", refused(modality, "resnet81"))


@pytest.mark.parametrize(
    ("modality", "name"),
    [
        ("image", "resnet18"),
        ("image", "timm/resnet18.a1_in1k"),
        ("image", "nobody/nothing"),
        ("text", "nobody/nothing@main"),
        ("text", "bert-base-nothing"),
        ("audio", "timm:resnet18"),
    ],
)
def test_weights_out_of_reach(modality: str, name: str) -> None:
    assert "--no-pretrained" in refused(modality, name)


def test_a_timm_model_without_weights_of_its_own() -> None:
    assert "--no-pretrained" in refused("image", "test_vit.nothing")


def test_a_text_model_without_its_tokenizer(tmp_path: Path) -> None:
    assert "without a tokenizer" in refused("text", str(text_model("bert", tmp_path, with_tokenizer=False)))


def test_an_audio_model_without_its_extractor(tmp_path: Path) -> None:
    folder = audio_model("ast", tmp_path)
    (folder / "preprocessor_config.json").unlink()
    assert "without a feature extractor" in refused("audio", str(folder))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "config.json" in refused("text", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert "neither an architecture nor a model type" in refused("image", str(tmp_path))


def test_a_model_with_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}')
    assert "own code" in refused("text", str(tmp_path))


def test_a_checkpoint_that_lacks_parts_of_the_model(tmp_path: Path) -> None:
    import safetensors.torch

    folder = text_model("distilbert", tmp_path)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if "layer.1" not in name}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "tensors 16 missing (transformer.layer.1." in refused("text", str(folder))


def test_an_encoder_with_a_decoder(tmp_path: Path) -> None:
    import transformers

    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 20}
    transformers.BartModel(transformers.BartConfig(**sizes)).save_pretrained(tmp_path)
    assert "decoder" in refused("text", str(tmp_path))


def test_options(tmp_path: Path) -> None:
    assert "unknown modality 'video'" in refused("video", "x")
    assert re.search("unknown option of text 'stage'.*max_length", refused("text", "x", options={"stage": 1}))
    assert "for timm's" in refused("image", str(image_model("vit", tmp_path / "a")), options={"stage": -2})
    assert "for timm's" in refused("audio", str(audio_model("ast", tmp_path / "b")), options={"mels": 40})
    assert "hears 1 seconds" in refused("audio", str(audio_model("whisper", tmp_path / "c")), options={"seconds": 2})
    assert "no room" in refused("text", str(text_model("bert", tmp_path / "d")), options={"max_length": 1})
    arguments = {"pretrained": False, "image_size": 64}
    assert "stage 9" in refused("image", "test_resnet", options={"stage": 9}, **arguments)
    assert "4 channels" in refused("image", "test_resnet", options={"channels": 4}, **arguments)
    assert "samples" in refused("audio", str(audio_model("hubert", tmp_path / "e")), options={"seconds": 0.001})


def test_a_picture_size_that_a_model_does_not_take(tmp_path: Path) -> None:
    assert "does not take" in refused("image", "test_vit", pretrained=False, image_size=50)


def test_random_weights_need_the_configuration_alone(tmp_path: Path) -> None:
    folder = text_model("bert", tmp_path)
    (folder / "model.safetensors").unlink()
    encoder = create("text", str(folder), pretrained=False)
    assert not encoder.info.pretrained
    assert "--no-pretrained" in refused("text", str(folder))


def test_what_was_known_of_a_model_is_still_known_when_it_is_rebuilt(tmp_path: Path) -> None:
    from dataclasses import asdict

    encoder = create("text", str(text_model("bert", tmp_path / "a")))
    info = {**asdict(encoder.info), "name": "user/repo", "base_model": "user/repo", "revision": "abc", "license": "mit"}
    encoder.save(tmp_path / "b")
    again = rebuild("text", tmp_path / "b", info)
    assert (again.info.name, again.info.base_model, again.info.revision, again.info.license) == (
        "user/repo",
        "user/repo",
        "abc",
        "mit",
    )
