"""Every encoder keeps its contract, family by family: tokens, masks, gradients, blocks, and a folder that its library opens."""

import copy
import json
import re
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hubtl_multimodal.encoders import ModalityEncoder, create, rebuild
from tiny_encoders import AUDIO, audio_model, image_model, picture, text_model, tone
from torch import nn

PICTURES = [picture(seed) for seed in range(3)]
TEXTS = ["the film was very boring", "good film", "a bad film was very very very good"]
SOUNDS = [(tone(0.31), 16000), (tone(0.2, rate=8000, hertz=900), 8000), (tone(0.7, hertz=200), 16000)]
CELLS = {"image": PICTURES, "text": TEXTS, "audio": SOUNDS}

FAMILIES = {
    **{
        f"image-{kind}": ("image", partial(image_model, kind), {})
        for kind in ("vit", "dinov2", "clip", "siglip", "resnet")
    },
    **{
        f"image-{name}": ("image", name, {"pretrained": False, "image_size": 64, "options": options})
        for name, options in {
            "test_vit": {},
            "test_resnet": {"stage": -2},
            "test_convnext": {},
            "test_efficientnet": {"stage": -2, "channels": 1},
            "timm/test_byobnet": {"stage": 2},
        }.items()
    },
    **{
        f"text-{kind}": ("text", partial(text_model, kind), {"options": {"max_length": 12}})
        for kind in ("bert", "distilbert", "deberta-v2", "roberta", "electra")
    },
    **{f"audio-{kind}": ("audio", partial(audio_model, kind), {"options": {"seconds": 0.5}}) for kind in AUDIO},
    "audio-timm-resnet": ("audio", "timm:test_resnet", {"pretrained": False, "options": {"seconds": 0.5, "mels": 40}}),
    "audio-timm-stage": ("audio", "test_efficientnet", {"pretrained": False, "options": {"seconds": 0.5, "stage": -2}}),
    "audio-timm-vit": ("audio", "test_vit", {"pretrained": False, "options": {"seconds": 0.5}}),
}


def made(family: str, folder: Path) -> ModalityEncoder:
    torch.manual_seed(0)
    modality, name, arguments = FAMILIES[family]
    if not isinstance(name, str):
        name = str(name(folder / "hub"))
    return create(modality, name, **arguments).eval()


def inputs_of(encoder: ModalityEncoder, cells: list[object]) -> dict[str, torch.Tensor]:
    reader = encoder.reader()
    rows = [reader.empty() if reader.missing(cell) else reader.read(cell) for cell in cells]
    return reader.tensors({key: np.stack([row[key] for row in rows]) for key in rows[0]})


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> ModalityEncoder:
    return made(request.param, tmp_path)


def test_tokens_have_the_width_and_the_mask_that_are_promised(encoder: ModalityEncoder) -> None:
    tokens = encoder(inputs_of(encoder, CELLS[encoder.info.modality]))
    assert tokens.values.shape == (*tokens.mask.shape, encoder.info.width)
    assert tokens.values.dtype == torch.float32
    assert tokens.mask.dtype == torch.bool
    assert tokens.mask[:, 0].all()
    assert tokens.values.isfinite().all()
    assert tokens.values[~tokens.mask].eq(0).all()
    assert tokens.values[0].std() > 0


def test_a_row_depends_on_itself_alone(encoder: ModalityEncoder) -> None:
    cells = CELLS[encoder.info.modality]
    with torch.no_grad():
        together = encoder(inputs_of(encoder, cells))
        for row, cell in enumerate(cells):
            alone = encoder(inputs_of(encoder, [cell]))
            assert alone.mask[0].equal(together.mask[row])
            torch.testing.assert_close(alone.values[0], together.values[row], rtol=1e-4, atol=1e-5)


def test_what_is_under_the_padding_does_not_matter(encoder: ModalityEncoder) -> None:
    modality = encoder.info.modality
    if modality == "image":
        return
    inputs = inputs_of(encoder, CELLS[modality])
    outside = ~inputs[f"{modality}.mask"]
    assert outside[:2].any(dim=1).all() or encoder.info.input.get("kind") == "clap"
    other = inputs[modality].clone()
    other[outside] = 3
    with torch.no_grad():
        torch.testing.assert_close(encoder(inputs).values, encoder({**inputs, modality: other}).values)


def test_a_missing_cell_gives_finite_tokens(encoder: ModalityEncoder) -> None:
    cells = CELLS[encoder.info.modality]
    with torch.no_grad():
        beside = encoder(inputs_of(encoder, [cells[0], None]))
        alone = encoder(inputs_of(encoder, [cells[0]]))
    assert beside.values.isfinite().all()
    assert beside.mask[:, 0].all()
    torch.testing.assert_close(beside.values[0], alone.values[0], rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient_and_is_in_one_block(encoder: ModalityEncoder) -> None:
    inputs = inputs_of(encoder, [*CELLS[encoder.info.modality], None])
    encoder.train().requires_grad_(True)
    encoder(inputs).values.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []
    listed = [p for _, parameters in encoder.blocks() for p in parameters]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(encoder.parameters())
    assert len(encoder.blocks()) > 2


def test_blocks_go_from_the_input_to_the_output(encoder: ModalityEncoder) -> None:
    blocks = dict(encoder.blocks())
    names = list(blocks)
    layers = [name for name in names if name.startswith("layer")]
    assert layers == sorted(layers, key=lambda name: int(name.removeprefix("layer")))
    if encoder.info.library == "timm":
        assert names == [f"block{i}" for i in range(len(names))]
    else:
        assert names[: 1 + len(layers)] == ["embeddings", *layers]
    first = {name for name, p in encoder.named_parameters() if any(p is q for q in blocks[names[0]])}
    assert any(re.search("embed|stem|conv1|feature_extractor", name) for name in first), first


def test_a_timm_model_that_does_not_group_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = create("image", "test_convnext", pretrained=False, image_size=64)
    monkeypatch.delattr(type(encoder.model), "group_matcher")
    listed = [p for _, parameters in encoder.blocks() for p in parameters]
    assert set(listed) == set(encoder.parameters())
    assert len(listed) == len(set(listed))
    assert [name for name, _ in encoder.blocks()] == [f"block{i}" for i in range(6)]  # a stem of two, four stages


def test_lora_targets_are_layers_with_parameters(encoder: ModalityEncoder) -> None:
    targets = encoder.lora_targets()
    assert targets
    for name in targets:
        layer = encoder.get_submodule(name)
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        assert layer.weight in set(layer.parameters())


def test_the_folder_makes_the_same_encoder_again(encoder: ModalityEncoder, tmp_path: Path) -> None:
    """Offline, from the folder and what JSON keeps of the info alone; weights changed since loading are the ones saved."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    folder = tmp_path / "saved"
    encoder.save(folder)
    info = json.loads(json.dumps(asdict(encoder.info)))
    again = rebuild(encoder.info.modality, folder, info).eval()
    cells = CELLS[encoder.info.modality]
    with torch.no_grad():
        before, after = encoder(inputs_of(encoder, cells)), again(inputs_of(again, cells))
    torch.testing.assert_close(before.values, after.values)
    assert before.mask.equal(after.mask)
    assert json.loads(json.dumps(asdict(again.info))) == info
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in encoder.named_parameters()]
    assert again.lora_targets() == encoder.lora_targets()


def test_a_copy_is_on_its_own(encoder: ModalityEncoder) -> None:
    """As a teacher is made: the same tokens, and weights of its own."""
    twin = copy.deepcopy(encoder)
    inputs = inputs_of(encoder, CELLS[encoder.info.modality])
    with torch.no_grad():
        before = encoder(inputs).values
        torch.testing.assert_close(twin(inputs).values, before)
        for parameter in twin.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        torch.testing.assert_close(encoder(inputs).values, before)
        assert not torch.allclose(twin(inputs).values, before)


def test_the_library_opens_the_folder_without_hubtl(encoder: ModalityEncoder, tmp_path: Path) -> None:
    import timm
    import transformers

    encoder.save(tmp_path / "saved")
    if encoder.info.library == "timm":
        theirs = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).eval()
        ours = encoder.model
    else:
        cls = {"clap_audio_model": transformers.ClapAudioModel}.get(encoder.info.architecture, transformers.AutoModel)
        theirs, ours = cls.from_pretrained(tmp_path / "saved").eval(), encoder.model
        theirs = theirs.encoder if encoder.info.architecture == "whisper" else theirs
        loads = {"image": "AutoImageProcessor", "text": "AutoTokenizer", "audio": "AutoFeatureExtractor"}
        getattr(transformers, loads[encoder.info.modality]).from_pretrained(tmp_path / "saved")
    state = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, state[name])
