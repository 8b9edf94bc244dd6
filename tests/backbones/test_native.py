"""The export is the library's own: timm, transformers and its pipeline give the logits that hubtl gives, without hubtl."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.models import saved as api
from hubtl.modules import Bottleneck, fold
from hubtl.tuners import LoRA
from tests.backbones.test_loading import CLASSES, tiny
from tests.fresh import PRELUDE

META = {"task": "classification", "strategy": "coral", "base_model": "me/base", "revision": None}
TIMM = ["test_resnet", "test_vit"]
TRANSFORMERS = ["vit", "resnet"]


def image(side: int = 32, channels: int = 3) -> Image.Image:
    """Smooth, so that two libraries' resizing agrees, and neither symmetric nor square."""
    y, x = np.mgrid[0:side, 0 : side + side // 2]
    waves = [127 + 100 * np.sin(x / (5 + c)) * np.cos(y / (7 - c)) for c in range(channels)]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8).squeeze())


def backbone(name, folder):
    """A backbone with BatchNorm statistics that are nobody's defaults."""
    torch.manual_seed(0)
    if name in TRANSFORMERS:
        tiny(name).save_pretrained(folder)
        built = backbones.resolve(str(folder), BackboneRequest(CLASSES, image_size=32))
    else:
        built = backbones.resolve(name, BackboneRequest(CLASSES, pretrained=False, image_size=32))
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    return built.eval()


def trained_head(width):
    bottleneck, head = Bottleneck(width, 16), nn.Linear(16, len(CLASSES))
    bottleneck[1].running_mean.normal_()
    bottleneck[1].running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        head.weight.mul_(4)
    return bottleneck.eval(), head


@pytest.fixture(scope="module", params=TIMM + TRANSFORMERS)
def exported(request, tmp_path_factory):
    """A saved model, its name, and its live logits for one image."""
    root = tmp_path_factory.mktemp("native")
    built = backbone(request.param, root / "base")
    bottleneck, head = trained_head(built.info.width)
    api.save(root / "run", built, fold(bottleneck, head), CLASSES, META)
    live = api.AdaptedModel(
        hubtl.modules.Classifier(hubtl.modules.Encoder(built, bottleneck), head), built.info, CLASSES
    )
    return request.param, root / "run", live.logits([image()]), built


def test_hubtl_loads_what_it_saved(exported):
    _, folder, logits, built = exported
    loaded = hubtl.load(folder)
    assert torch.allclose(loaded.logits([image()]), logits, atol=1e-4)
    assert loaded.classes == CLASSES
    assert loaded.info.input == built.info.input
    facts = json.loads((folder / "hubtl.json").read_text())
    assert {k: facts[k] for k in META} == META
    assert (facts["format_version"], facts["library"], facts["native"]) == (1, built.info.library, True)
    assert json.loads((folder / "config.json").read_text())["hubtl"]["strategy"] == "coral"


def test_transformers_and_its_pipeline_give_the_same_logits_and_labels(exported):
    name, folder, logits, built = exported
    from transformers import AutoModelForImageClassification, pipeline

    pixels = live_pixels(built)
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.allclose(model(pixels).logits, logits, atol=1e-4)
    assert [model.config.id2label[i] for i in range(len(CLASSES))] == CLASSES
    for side in (32, 57):
        said = {r["label"]: r["score"] for r in pipeline("image-classification", str(folder))(image(side), top_k=5)}
        ours = hubtl.load(folder).predict(image(side))[0]
        assert max(said, key=said.get) == ours.label
        # its image processor resizes with torchvision, ours with PIL: the pixels differ by rounding
        tolerance = 1e-4 if name in TIMM else 2e-2
        assert [said[c] for c in CLASSES] == pytest.approx([ours.probabilities[c] for c in CLASSES], abs=tolerance)


def live_pixels(built):
    """Return the image as hubtl prepares it for the model."""
    seen = []
    handle = built.register_forward_pre_hook(lambda _, given: seen.append(given[0]["image"]))
    api.AdaptedModel(hubtl.modules.Classifier(hubtl.modules.Encoder(built), nn.Identity()), built.info, CLASSES).logits(
        [image()]
    )
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("name", TIMM)
def test_timm_loads_it_from_the_folder_with_its_labels_and_its_transform(name, tmp_path):
    import timm

    built = backbone(name, tmp_path)
    bottleneck, head = trained_head(built.info.width)
    api.save(tmp_path / "run", built, fold(bottleneck, head), CLASSES, META)
    model = timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    for side in (32, 57):
        with torch.no_grad():
            theirs = model(transform(image(side))[None])
        assert torch.allclose(theirs, hubtl.load(tmp_path / "run").logits([image(side)]), atol=1e-4)
    assert model.pretrained_cfg["label_names"] == CLASSES
    assert timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True, num_classes=9).num_classes == 9


FRESH = (
    PRELUDE
    + """
from PIL import Image
image = Image.open(IMAGE)
exec(SNIPPET)
import json
print(json.dumps([logits[0].tolist(), names[logits.argmax().item()], "hubtl" in sys.modules]))
"""
)


def run_fresh(snippet, picture, blocked=("hubtl",)):
    code = (
        FRESH.replace("SNIPPET", repr(snippet)).replace("IMAGE", repr(str(picture))).replace("BLOCKED", repr(blocked))
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    logits, label, imported = json.loads(done.stdout.splitlines()[-1])
    assert not imported or "hubtl" not in blocked
    return torch.tensor([logits]), label


@pytest.mark.parametrize(
    ("name", "blocked"),
    [
        ("test_vit", ("hubtl", "transformers")),
        ("resnet", ("hubtl",)),
        ("torchvision:alexnet", ("hubtl", "timm", "transformers")),
        ("torchvision:inception_v3", ("hubtl", "timm", "transformers")),
    ],
)
def test_the_snippet_runs_in_a_process_that_cannot_import_hubtl(name, blocked, tmp_path):
    torch.manual_seed(0)
    if name.startswith("torchvision:"):
        size = 96 if "inception" in name else 64
        built = backbones.resolve(name, BackboneRequest(CLASSES, pretrained=False, image_size=size)).eval()
    else:
        built = backbone(name, tmp_path / "base")
    run = tmp_path / "run's folder"
    api.save(run, built, nn.Linear(built.info.width, len(CLASSES)), CLASSES, META)
    image().save(tmp_path / "image.png")
    logits, label = run_fresh(built.snippet(str(run)), tmp_path / "image.png", blocked)
    ours = hubtl.load(run)
    picture = Image.open(tmp_path / "image.png")
    assert torch.allclose(ours.logits([picture]), logits, atol=1e-4 if name != "resnet" else 2e-2)
    assert ours.predict(picture)[0].label == label


def test_lenets_snippet_runs_with_hubtl(tmp_path):
    built = backbones.resolve("lenet", BackboneRequest(CLASSES, pretrained=False)).eval()
    api.save(tmp_path / "run", built, nn.Linear(500, len(CLASSES)), CLASSES, META)
    image(28, 1).save(tmp_path / "image.png")
    logits, label = run_fresh(built.snippet(str(tmp_path / "run")), tmp_path / "image.png", blocked=())
    assert torch.allclose(hubtl.load(tmp_path / "run").logits([image(28, 1)]), logits, atol=1e-5)
    assert label in CLASSES
    assert json.loads((tmp_path / "run" / "hubtl.json").read_text())["native"] is False


def test_the_snippet_of_a_model_of_one_channel_turns_the_image_to_grey(tmp_path):
    import timm
    from timm.models import save_for_hf

    model = timm.create_model("test_resnet", num_classes=5, in_chans=1)
    save_for_hf(model, tmp_path / "grey", safe_serialization=True)
    built = backbones.resolve(str(tmp_path / "grey"), BackboneRequest(CLASSES, image_size=32)).eval()
    api.save(tmp_path / "run", built, nn.Linear(built.info.width, len(CLASSES)), CLASSES, META)
    here = {"image": image(40)}
    exec(built.snippet(str(tmp_path / "run")), here)
    ours = hubtl.load(tmp_path / "run", device="cpu")
    assert torch.allclose(here["logits"], ours.logits([image(40)]), atol=1e-5)
    assert here["names"][int(here["logits"].argmax())] == ours.predict(image(40))[0].label


def test_snippets_name_the_repository_of_the_hub(tmp_path):
    for name in TIMM[:1] + TRANSFORMERS[:1]:
        assert "me/repo" in backbone(name, tmp_path).snippet("me/repo")
    alexnet = backbones.resolve("torchvision:alexnet", BackboneRequest(CLASSES, pretrained=False, image_size=64))
    assert 'snapshot_download("me/repo")' in alexnet.snippet("me/repo")


@pytest.mark.parametrize("name", [*TIMM, "vit", "lenet", "torchvision:alexnet"])
def test_saving_leaves_the_live_model_as_it_was(name, tmp_path):
    built = (
        backbone(name, tmp_path / "base")
        if name in TIMM + TRANSFORMERS
        else backbones.resolve(name, BackboneRequest(CLASSES, pretrained=False, image_size=64))
    )
    built.train()
    frozen = next(built.parameters()).requires_grad_(False)
    before, modules = copy.deepcopy(built.state_dict()), [name for name, _ in built.named_modules()]
    api.save(tmp_path / "run", built, nn.Linear(built.info.width, len(CLASSES)), CLASSES, META)
    assert all(torch.equal(before[k], v) for k, v in built.state_dict().items())
    assert [name for name, _ in built.named_modules()] == modules
    assert all(module.training for module in built.modules())
    assert not frozen.requires_grad
    assert hubtl.load(tmp_path / "run").classes == CLASSES


def test_merged_lora_ships_as_a_plain_model(tmp_path):
    import timm

    built = backbone("test_vit", tmp_path)
    tuner = LoRA(LoRA.Options(rank=2))
    tuner.apply(built)
    with torch.no_grad():
        for name, p in built.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.3)
    head = nn.Linear(built.info.width, len(CLASSES))
    live = api.AdaptedModel(hubtl.modules.Classifier(hubtl.modules.Encoder(built), head), built.info, CLASSES)
    logits = live.logits([image()])
    merged = copy.deepcopy(built)
    tuner.merge(merged)
    api.save(tmp_path / "run", merged, head, CLASSES, META)
    assert torch.allclose(hubtl.load(tmp_path / "run").logits([image()]), logits, atol=1e-4)
    plain = timm.create_model("test_vit", num_classes=len(CLASSES))
    saved = timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True)
    assert list(saved.state_dict()) == list(plain.state_dict())


def test_a_model_of_one_channel_stays_one(tmp_path):
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(timm.create_model("test_resnet", num_classes=5, in_chans=1), tmp_path / "grey", safe_serialization=True)
    built = backbones.resolve(str(tmp_path / "grey"), BackboneRequest(CLASSES, image_size=32)).eval()
    assert built.info.input.channels == 1
    api.save(tmp_path / "run", built, nn.Linear(built.info.width, len(CLASSES)), CLASSES, META)
    assert timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True).conv1[0].in_channels == 1
    assert torch.equal(
        hubtl.load(tmp_path / "run").logits([image(32, 3)]),
        hubtl.load(tmp_path / "run").logits([image(32, 3).convert("L")]),
    )
