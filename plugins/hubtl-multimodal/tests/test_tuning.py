"""Encoders learn the chosen parameters at their own rates. A low-rank update keeps their shape."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trimodal import CLASSES, Models, adapting, row

from hubtl.backbones import resolve
from hubtl.backbones.base import BackboneRequest
from hubtl.engine.optimise import make_optimizer
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from hubtl.recipe.schema import OptimSection

SMALL = {"width": 16, "layers": 1, "heads": 2, "bottlenecks": 2, "latents": 4, "max_length": 12, "seconds": 0.3}


def backbone(models: Models, *modalities: str, pretrained: bool = False, **options: object):
    torch.manual_seed(0)
    return resolve(models.named(*modalities), BackboneRequest(CLASSES, pretrained=pretrained, options=SMALL | options))


def state(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {m: load_file(folder / "encoders" / m / "model.safetensors") for m in ("image", "text", "audio")}


@pytest.fixture(scope="module")
def start(models, tmp_path_factory):
    """The encoders' tensors before a run, from what the same seed draws."""
    model = backbone(models)
    folder = tmp_path_factory.mktemp("start")
    model.save(folder, torch.nn.Linear(model.info.width, 3), CLASSES, {})
    return folder


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert set(before) == set(after)
    return {name for name in before if not before[name].equal(after[name])}


def test_a_run_changes_not_a_bit_of_what_may_not_learn_and_all_of_what_may(models, data, hubtl, tmp_path, start):
    words = adapting(models, data, tmp_path / "run", strategy="source-only", steps=3)
    settings = ["model.image_tune=freeze", "model.text_tune=top-1", "model.audio_tune=full", "run.validator=last"]
    code, _, err = hubtl(*words, *(w for s in settings for w in ("--set", s)), "--weight-decay", "0.1")
    assert code == 0, err
    before, after = state(start), state(tmp_path / "run")
    assert changed(before["image"], after["image"]) == set()
    last = {name for name in before["text"] if "layer.1." in name}
    assert last
    assert changed(before["text"], after["text"]) == last
    weights = {name for name in before["audio"] if name.endswith(("weight", "embeddings"))}
    assert weights <= changed(before["audio"], after["audio"])


@pytest.mark.parametrize("tune", ["freeze", "full", "top-1", "lora"])
def test_parameters_that_learn_are_those_that_were_asked_for(models, tune):
    model = backbone(models, "image", image_tune=tune)
    tower = model.tower("image")
    learning = {name for name, p in tower.named_parameters() if p.requires_grad}
    everything = {name for name, _ in tower.named_parameters()}
    of_last = {name for name, p in tower.named_parameters() if any(p is q for q in tower.blocks()[-1][1])}
    wanted = {
        "freeze": set(),
        "full": everything,
        "top-1": of_last,
        "lora": {name for name in everything if "lora_" in name},
    }
    assert learning == wanted[tune]
    assert tune == "freeze" or learning
    assert set(model.frozen()) == {p for p in tower.parameters() if not p.requires_grad}


def test_more_blocks_than_there_are_is_an_error(models):
    with pytest.raises(HubtlError, match="blocks, and top-99 asks for more") as caught:
        backbone(models, "text", text_tune="top-99")
    assert caught.value.hint == "--set model.text_tune=full"


def test_each_encoder_has_a_rate_of_its_own_in_the_optimiser(models):
    model = backbone(models, pretrained=True, text_lr=0.5, text_tune="full")
    optim = OptimSection(name="sgd", lr=0.2, backbone_lr_scale=0.3, weight_decay=0.0)
    head = torch.nn.Linear(4, 2)
    groups = {"backbone": list(model.parameters()), "head": list(head.parameters())}
    optimizer = make_optimizer(groups, optim, rates=model.rates())
    lr = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {round(lr[p], 9) for p in model.tower("image").parameters()} == {0.02}  # pretrained: a tenth
    assert {round(lr[p], 9) for p in model.tower("text").parameters()} == {0.1}
    assert {round(lr[p], 9) for p in model.fusion.parameters()} == {0.2}
    assert {round(lr[p], 9) for p in head.parameters()} == {0.2}
    assert len(lr) == len(groups["backbone"]) + 2
    scratch = backbone(models)
    assert set(scratch.rates().values()) == {1.0}


def test_the_plan_tells_the_rates(models, data, hubtl, tmp_path):
    words = adapting(models, data, tmp_path / "run", strategy="source-only", steps=1)
    code, _, err = hubtl(*(w for w in words if w != "--quiet"), "--set", "model.text_lr=0.25", "--lr", "0.04")
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if line.startswith("phase 1")]
    assert "backbone ×0.25" in line
    assert "(lr 0.01)" in line
    assert "backbone ×1 " in line


def test_a_low_rank_update_learns_and_is_merged_into_the_saved_encoder(models, data, hubtl, tmp_path, start):
    words = adapting(models, data, tmp_path / "run", strategy="source-only", steps=3)
    code, _, err = hubtl(*words, "--set", "model.image_tune=lora", "--set", "model.text_tune=lora", "--lr", "0.05")
    assert code == 0, err
    before, after = state(start), state(tmp_path / "run")
    for modality in ("image", "text"):
        moved = changed(before[modality], after[modality])  # names and shapes are the encoder's own
        assert moved
        assert all("query" in name or "value" in name or "q_proj" in name or "v_proj" in name for name in moved), moved


def test_a_merged_encoder_gives_the_logits_of_the_one_with_its_update_beside_it(models, tmp_path):
    model = backbone(models, image_tune="lora", text_tune="lora", audio_tune="lora").eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.add_(0.3 * torch.randn_like(p))
    head = torch.nn.Linear(model.info.width, 3)
    inputs = model.collate([row(y) for y in range(3)])
    with torch.no_grad():
        wanted = head(model(inputs).pooled)
    model.merge()
    with torch.no_grad():
        torch.testing.assert_close(head(model(inputs).pooled), wanted, rtol=1e-4, atol=1e-5)
    api.save(tmp_path / "saved", model, head, CLASSES, {"task": "classification", "strategy": "none"})
    loaded = api.load(tmp_path / "saved", device="cpu")
    torch.testing.assert_close(loaded.logits([row(y) for y in range(3)]), wanted, rtol=1e-4, atol=1e-5)
    assert not any("lora_" in name for name, _ in loaded.classifier.named_parameters())


def test_a_saved_model_is_loaded_without_peft(models, tmp_path, monkeypatch):
    model = backbone(models, "text", text_tune="lora")
    model.merge()
    api.save(tmp_path / "saved", model, torch.nn.Linear(model.info.width, 3), CLASSES, {"task": "classification"})
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    assert len(api.load(tmp_path / "saved").predict({"text": "good"})) == 1
    with pytest.raises(HubtlError, match="lora needs peft"):
        backbone(models, "text", text_tune="lora")
