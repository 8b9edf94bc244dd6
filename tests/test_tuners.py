"""Exactly the named parameters learn; the others stay bit by bit, and what was added is merged away again."""

import copy
import sys

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.tuners import Bias, FirstN, Full, Head, LoRA, Norm

REQUEST = BackboneRequest(["a", "b", "c"], pretrained=False, image_size=32)


def backbone(name: str = "test_vit"):
    """With norms and biases that are not zero: nothing would learn behind those."""
    torch.manual_seed(0)
    model = backbones.resolve(name, REQUEST)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(0.1 + 0.1 * torch.rand_like(p))
    return model


def learning(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def optimise(model, steps: int = 3) -> None:
    """A few updates of whatever learns; the head of the loss is fixed."""
    torch.manual_seed(1)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        model({"image": torch.randn(4, 3, 32, 32)}).pooled.pow(2).mean().backward()
        optimiser.step()


def norms(model: nn.Module) -> set[str]:
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
    return {
        f"{name}.{leaf}"
        for name, m in model.named_modules()
        if isinstance(m, kinds)
        for leaf, _ in m.named_parameters()
    }


EXPECTED = {
    "full": (Full(), lambda m: {n for n, _ in m.named_parameters()}),
    "head": (Head(), lambda m: set()),
    "first-n": (
        FirstN(FirstN.Options(n=2)),
        lambda m: {n for n, p in m.named_parameters() if all(p is not q for _, ps in m.blocks()[:2] for q in ps)},
    ),
    "norm": (Norm(), norms),
    "bias": (Bias(), lambda m: {n for n, _ in m.named_parameters() if n.endswith(".bias")}),
}


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet"])
@pytest.mark.parametrize("tuner", EXPECTED)
def test_exactly_the_right_parameters_learn_and_the_others_stay_as_they_were(name, tuner):
    model = backbone(name)
    apply, expected = EXPECTED[tuner]
    for p in model.parameters():
        p.requires_grad_(tuner == "head")  # whatever was before does not matter
    apply.apply(model)
    wanted = expected(model)
    assert learning(model) == wanted
    if tuner not in ("head", "full"):
        assert 0 < len(wanted) < len(list(model.parameters()))
    if wanted:
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        optimise(model)
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        assert changed == wanted


def test_more_frozen_blocks_than_there_are_is_an_error_that_names_them():
    with pytest.raises(HubtlError, match=r"tuner\.n is 99, and test_vit has 7 blocks: block0, block1") as caught:
        FirstN(FirstN.Options(n=99)).apply(backbone())
    assert caught.value.hint == "--set tuner.n=7"


def test_a_network_without_what_a_tuner_tunes_is_an_error():
    with pytest.raises(HubtlError, match="no normalisation layers") as caught:
        Norm().apply(backbone("lenet"))
    assert caught.value.hint == "--tuner bias"


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "lenet"])
def test_lora_trains_a_low_rank_update_and_merges_it_without_a_trace(name):
    model = backbone(name).eval()
    channels = model.info.input.channels
    x = torch.randn(4, channels, 32, 32)
    original = copy.deepcopy(model.state_dict())
    start = model({"image": x}).pooled.detach()
    tuner = LoRA(LoRA.Options(rank=2))
    tuner.apply(model)
    assert learning(model)
    assert all("lora_" in n for n in learning(model))
    assert torch.allclose(model({"image": x}).pooled, start, atol=1e-5), "the update starts at zero"
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(5):
        optimiser.zero_grad()
        model({"image": x}).pooled.pow(2).mean().backward()
        optimiser.step()
    trained = model({"image": x}).pooled.detach()
    assert trained.isfinite().all()
    assert not torch.allclose(trained, start, atol=1e-3)
    frozen = {n.replace(".base_layer", ""): p for n, p in model.state_dict().items() if "lora_" not in n}
    assert all(torch.equal(frozen[n], original[n]) for n in original)

    tuner.merge(model)
    assert list(model.state_dict()) == list(original)
    assert torch.allclose(model({"image": x}).pooled, trained, atol=1e-4)
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, original[n])}
    assert moved
    assert all(any(n.startswith(f"{t}.") for t in model.lora_targets()) for n in moved)


def test_lora_adapts_the_layers_that_are_asked_for_and_says_which_are_not_there():
    model = backbone()
    LoRA(LoRA.Options(rank=1, targets=["fc1"])).apply(model)
    assert {n.split(".lora_")[0].rsplit(".", 1)[-1] for n in learning(model)} == {"fc1"}
    with pytest.raises(HubtlError, match=r"LoRA cannot adapt \['querry'\]"):
        LoRA(LoRA.Options(targets=["querry"])).apply(backbone())


def test_without_peft_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(HubtlError, match="needs peft") as caught:
        LoRA().apply(backbone())
    assert caught.value.hint == "pip install hubtl[lora]"


@pytest.mark.parametrize("wrong", [{"n": -1}, {"m": 1}])
def test_options_are_checked(wrong):
    with pytest.raises(ValidationError):
        FirstN.Options(**wrong)
    for cls in (FirstN, LoRA):
        assert all(f.description for f in cls.Options.model_fields.values())
