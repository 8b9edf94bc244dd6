"""Every kind of image model, pushed over HTTP and opened without hubtl: the same pixels, logits, names."""

import copy
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.models import saved as api
from hubtl.modules import Classifier, Encoder, fold
from hubtl.tuners import LoRA
from tests.backbones.test_loading import CLASSES, tiny
from tests.backbones.test_native import META, image, trained_head
from tests.fresh import loads
from tests.hub.client import Client
from tests.hub.loopback import env_for, start

pytestmark = [pytest.mark.hub, pytest.mark.slow]

TIMM = {  # name, side of the images, whether a bottleneck was trained
    "cnn": ("test_resnet", 64, False),
    "vit": ("test_vit", 32, False),
    "bottleneck": ("test_resnet", 64, True),
    "odd-size": ("test_efficientnet", 57, False),
    "vit-size": ("test_vit", 48, True),
    "lora": ("test_vit", 32, False),
    "grey": ("test_resnet", 28, False),
}
TRANSFORMERS = ["vit", "resnet", "dinov2", "convnext", "swin", "siglip", "grey-vit"]
PROCESSORS = {  # as the Hub's checkpoints of these families have them
    "vit": (
        "ViTImageProcessor",
        {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    ),
    "resnet": ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875, "resample": 3}),
    "dinov2": (
        "BitImageProcessor",
        {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True},
    ),
    "convnext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "crop_pct": 0.875}),
    "swin": ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "resample": 3}),
    "siglip": ("SiglipImageProcessor", {"size": {"height": 32, "width": 32}}),
    "grey-vit": ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "image_mean": [0.4], "image_std": [0.3]}),
}
NATIVE = [*(f"timm-{kind}" for kind in TIMM), *TRANSFORMERS]
COLOURED = [kind for kind in NATIVE if "grey" not in kind]
REVISION = "v1"


def shaken(built):
    """BatchNorm statistics that are nobody's defaults. Weights make the classes differ."""
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    return built.eval()


def backbone(kind, folder):
    torch.manual_seed(3)
    if kind in TRANSFORMERS:
        import transformers

        model = tiny(kind.removeprefix("grey-"), **({"num_channels": 1} if "grey" in kind else {}))
        model.save_pretrained(folder)
        name, options = PROCESSORS[kind]
        getattr(transformers, name)(**options).save_pretrained(folder)
        return shaken(backbones.resolve(str(folder), BackboneRequest(CLASSES)))
    name, side, _ = TIMM[kind.removeprefix("timm-")]
    if kind == "timm-grey":
        import timm
        from timm.models import save_for_hf

        save_for_hf(timm.create_model(name, num_classes=5, in_chans=1), folder, safe_serialization=True)
        return shaken(backbones.resolve(str(folder), BackboneRequest(CLASSES, image_size=side)))
    return shaken(backbones.resolve(name, BackboneRequest(CLASSES, pretrained=False, image_size=side)))


def export(kind, root):
    """A saved model, and what the live modules made of the images: pixels and logits."""
    built = backbone(kind, root / "base")
    bottleneck, head = None, nn.Linear(built.info.width, len(CLASSES))
    if kind.startswith("timm-") and TIMM[kind.removeprefix("timm-")][2]:
        bottleneck, head = trained_head(built.info.width)
    merged, tuner = built, LoRA(LoRA.Options(rank=2))
    if kind == "timm-lora":
        tuner.apply(built)
        with torch.no_grad():
            for name, p in built.named_parameters():
                if "lora_" in name:
                    p.normal_(std=0.3)
        merged = copy.deepcopy(built)
        tuner.merge(merged)
    live = api.AdaptedModel(Classifier(Encoder(built, bottleneck), head), built.info, CLASSES)
    api.save(root / "run", merged, fold(bottleneck, head), CLASSES, META)
    return live.intake().batch(pictures(kind))["image"], live.logits(pictures(kind)), built


def pictures(kind):
    """Not square, smooth: two libraries resize them alike."""
    channels = 1 if "grey" in kind else 3
    return [image(40, channels), image(90, channels)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Every kind exported, pushed and loaded: by other libraries without hubtl, and by hubtl in another process."""
    root, hub = tmp_path_factory.mktemp("world"), start()
    client = Client(hub, root / "home")
    ours, jobs = {}, []
    for kind in NATIVE:
        ours[kind] = export(kind, root / kind)
        paths = [root / kind / f"{number}.png" for number in range(2)]
        for path, picture in zip(paths, pictures(kind), strict=True):
            picture.save(path)
        done = client.push(root / kind / "run", f"user/{kind}")
        hub.repos[f"user/{kind}"].refs[REVISION] = done.commit
        save_file({"pixels": ours[kind][0]}, root / kind / "pixels.safetensors")
        library = "timm" if kind.startswith("timm-") else "transformers"
        job = {"name": kind, "library": library, "repo": f"user/{kind}", "revision": REVISION}
        job |= {"folder": str(root / kind / "run"), "images": [str(p) for p in paths]}
        jobs.append(job | {"pixels": str(root / kind / "pixels.safetensors")})
    client.stop()
    theirs = loads(jobs, env_for(hub, root / "reader", token=""))
    again = reloaded(jobs, env_for(hub, root / "colleague", token=""))
    hub.stop()
    return {"ours": ours, "theirs": theirs, "again": again, "root": root}


RELOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import hubtl
from PIL import Image
answers = {}
for job in json.loads(sys.stdin.read()):
    images = [Image.open(path) for path in job["images"]]
    found = {}
    for how, name in (("hub", job["repo"]), ("revision", job["repo"] + "@" + job["revision"]), ("folder", job["folder"])):
        model = hubtl.load(name, device="cpu")
        found[how] = {"logits": model.logits(images).tolist(), "labels": model.classes}
    answers[job["name"]] = found
print(json.dumps(answers))
"""


def reloaded(jobs, environment):
    """``hubtl.load`` from the Hub, at a revision, and from the folder."""
    done = subprocess.run(
        [sys.executable, "-c", RELOAD],
        input=json.dumps(jobs),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def ways(kind):
    """The loaders that a kind has."""
    libraries = ["timm", "transformers"] if kind.startswith("timm-") else ["transformers"]
    return [f"{library} {where}" for library in libraries for where in ("hub", "revision", "folder")]


@pytest.mark.parametrize("kind", NATIVE)
def test_other_libraries_see_the_pixels_that_hubtl_sees_and_give_its_logits_and_names(world, kind):
    pixels, logits, _ = world["ours"][kind]
    assert (logits[0] - logits[1]).abs().max() > 1e-3, "the images are told apart"
    for way in ways(kind):
        found = world["theirs"][kind][way]
        assert "error" not in found, f"{way}: {found['error']}"
        assert torch.allclose(torch.tensor(found["of the same"]), logits, atol=1e-5), way
        assert torch.allclose(torch.tensor(found.get("in PIL", found["pixels"])), pixels, atol=1e-5), way
        assert found["labels"] == CLASSES, way
        # by default transformers resizes with torchvision, which rounds otherwise
        exact = kind.startswith("timm-")
        assert torch.allclose(torch.tensor(found["pixels"]), pixels, atol=1e-5 if exact else 0.06), way
        assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-5 if exact else 2e-2), way


@pytest.mark.parametrize("kind", [kind for kind in NATIVE if kind not in COLOURED])
def test_the_pipeline_does_not_take_one_channel_as_the_card_says(world, kind):
    """It makes every image RGB. If this fails, it has learnt to, and the card can stop warning."""
    for where in ("hub", "folder"):
        assert "error" in world["theirs"][kind][f"pipeline {where}"]


@pytest.mark.parametrize("kind", COLOURED)
def test_the_pipeline_gives_hubtls_probabilities_under_the_right_names(world, kind):
    probabilities = world["ours"][kind][1].softmax(dim=1)
    for where in ("hub", "folder"):
        found = world["theirs"][kind][f"pipeline {where}"]
        assert "error" not in found, f"{where}: {found['error']}"
        for said, row in zip(found["scores"], probabilities, strict=True):
            assert [said[name] for name in CLASSES] == pytest.approx(row.tolist(), abs=5e-3)
        assert found["labels"] == [CLASSES[i] for i in probabilities.argmax(dim=1)]


@pytest.mark.parametrize("kind", NATIVE)
def test_hubtl_loads_it_from_the_hub_at_a_revision_and_from_the_folder(world, kind):
    logits = world["ours"][kind][1]
    for where, found in world["again"][kind].items():
        assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-5), where
        assert found["labels"] == CLASSES
