"""Names lead to loaders, and errors say what to do. Pooled features are what the last linear layer sees."""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hubtl import backbones
from hubtl._compat import ensure_torchvision
from hubtl.backbones.base import BackboneRequest, ImageInput
from hubtl.backbones.reference import ModelRef
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from tests.hub.loopback import env_for, start

CLASSES = ["ape", "bee", "cat", "dog", "elk"]
TIMM = [
    ("test_resnet", 32),
    ("test_vit", None),
    ("test_vit", 64),
    ("test_convnext", 32),
    ("test_efficientnet", 32),
    ("test_byobnet", 32),
    ("vgg11", 32),
    ("inception_v3", 75),
    ("mobilenetv3_small_050", 32),
    ("densenet121", 32),
    ("swin_tiny_patch4_window7_224", 64),
]
TORCHVISION = [("alexnet", 64), ("resnet18", 32), ("vit_b_32", 64), ("googlenet", 64)]


def resolve(name, size=None, *, pretrained=False, classes=CLASSES):
    torch.manual_seed(0)
    return backbones.resolve(str(name), BackboneRequest(classes, pretrained=pretrained, image_size=size))


def tiny(kind, **changes):
    """A transformers classifier of a few thousand weights."""
    ensure_torchvision()
    import transformers as t

    names = {"id2label": dict(enumerate(CLASSES)), "label2id": {n: i for i, n in enumerate(CLASSES)}}
    layers = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 32,
        "patch_size": 8,
    }
    config = {
        "vit": lambda: t.ViTConfig(**layers | changes, **names),
        "dinov2": lambda: t.Dinov2Config(**layers | changes, **names),
        "siglip": lambda: t.SiglipConfig(vision_config=layers | changes, **names),
        "resnet": lambda: t.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **names
        ),
        "convnext": lambda: t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], image_size=32, **names),
        "swin": lambda: t.SwinConfig(
            embed_dim=8, depths=[1, 1], num_heads=[2, 2], image_size=32, patch_size=4, window_size=4, **names
        ),
    }[kind]()
    torch.manual_seed(0)
    return t.AutoModelForImageClassification.from_config(config).eval()


FAMILIES = ("vit", "dinov2", "siglip", "resnet", "convnext", "swin")


def images(backbone, n=2):
    spec = backbone.info.input
    return torch.randn(n, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "size"), TIMM, ids=lambda v: str(v))
def test_timm_features_are_what_the_classifier_sees(name, size):
    import timm

    backbone = resolve(name, size).eval()
    reference = timm.create_model(
        name, num_classes=len(CLASSES), **({"img_size": size} if size and _fixed(name) else {})
    )
    reference.eval()
    head = reference.get_classifier()
    path = next(n for n, m in reference.named_modules() if m is head)
    reference.load_state_dict(
        {**backbone.model.state_dict(), **{f"{path}.{k}": v for k, v in head.state_dict().items()}}
    )
    x = images(backbone)
    with torch.no_grad():
        pooled = backbone({"image": x}).pooled
        assert pooled.shape == (2, backbone.info.width) == (2, head.in_features)
        assert torch.allclose(head(pooled), reference(x), atol=1e-5)
    assert backbone.train()({"image": x}).pooled.shape == pooled.shape, "no auxiliary logits in training"


def _fixed(name):
    return "vit" in name or "swin" in name


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("size", [None, 48])
def test_transformers_features_are_what_the_classifier_sees(kind, size, tmp_path):
    model = tiny(kind)
    model.save_pretrained(tmp_path)
    backbone = resolve(tmp_path, size, pretrained=True).eval()
    assert backbone.info.library == "transformers"
    assert all(p.dtype == torch.float32 for p in backbone.parameters())
    head = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(CLASSES)][-1]
    x = images(backbone)
    options = {"interpolate_pos_encoding": True} if kind in ("vit", "siglip") and size else {}
    with torch.no_grad():
        pooled = backbone({"image": x}).pooled
        assert pooled.shape == (2, backbone.info.width)
        assert torch.allclose(head(pooled), model(pixel_values=x, **options).logits, atol=1e-5)
    assert backbone.info.input.size == (size or {"resnet": 224}.get(kind, 32))


@pytest.mark.parametrize(("name", "size"), TORCHVISION, ids=lambda v: str(v))
def test_torchvision_features_have_the_width_they_claim(name, size):
    backbone = resolve(f"torchvision:{name}", size)
    for mode in (True, False):
        assert backbone.train(mode)({"image": images(backbone)}).pooled.shape == (2, backbone.info.width)


@pytest.mark.parametrize(
    "name",
    ["test_vit", "test_resnet", "swin_tiny_patch4_window7_224", "torchvision:alexnet", "torchvision:vit_b_32", "lenet"],
)
def test_blocks_hold_every_parameter_once_and_lora_targets_exist(name):
    backbone = resolve(name, 64)
    blocks = backbone.blocks()
    inside = [p for _, parameters in blocks for p in parameters]
    assert len(inside) == len(set(inside)) == len(list(backbone.parameters()))
    assert len({n for n, _ in blocks}) == len(blocks) > 2
    assert all(isinstance(backbone.get_submodule(n), nn.Linear | nn.Conv2d) for n in backbone.lora_targets())
    assert backbone.lora_targets()


@pytest.mark.parametrize("kind", FAMILIES)
def test_transformers_blocks_run_from_the_input_to_the_output(kind, tmp_path):
    tiny(kind).save_pretrained(tmp_path)
    backbone = resolve(tmp_path, pretrained=True)
    blocks = backbone.blocks()
    assert len({p for _, ps in blocks for p in ps}) == len(list(backbone.parameters()))
    first = next(p for n, p in backbone.named_parameters() if "embed" in n)
    assert any(p is first for p in blocks[0][1])


def test_freezing_from_the_input_means_the_first_convolution_first():
    backbone = resolve("test_resnet", 32)
    assert any(p is backbone.model.conv1[0].weight for p in backbone.blocks()[0][1])
    lenet = resolve("lenet")
    assert [name for name, _ in lenet.blocks()] == ["conv1", "conv2", "linear"]
    assert lenet.blocks()[0][1][0].shape == (20, 1, 5, 5)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("test_resnet", "timm"),
        ("timm/test_resnet.r160_in1k", "timm"),
        ("timm:test_resnet", "timm"),
        ("lenet", "hubtl"),
        ("torchvision:alexnet", "torchvision"),
    ],
)
def test_a_name_leads_to_its_loader(name, library):
    backbone = resolve(name, 64)
    assert backbone.info.library == library
    assert (backbone.info.pretrained, backbone.info.base_model, backbone.info.revision) == (False, None, None)


def test_a_scheme_of_a_plugin_and_the_prefixes_of_timm_are_understood(monkeypatch, tmp_path):
    asked = []

    def loaders(kind, name):
        def load(rest, request):
            asked.append((name, rest))
            return SimpleNamespace(loader={}, state_dict=dict)

        return load

    known = dict.fromkeys(("acme", "hub", "local", "timm", "torchvision", "lenet"))
    monkeypatch.setattr(backbones.plugins, "entries", lambda kind: known)
    monkeypatch.setattr(backbones.plugins, "load", loaders)
    monkeypatch.setattr(backbones, "check_backbone", lambda backbone, load: None)
    for name in (
        "acme:scanner",
        "hf-hub:me/model@v1",
        "me/model@v1",
        f"local-dir:{tmp_path}",
        str(tmp_path),
        "resnet50",
    ):
        resolve(name)
    assert asked == [
        ("acme", "scanner"),
        ("hub", "me/model@v1"),
        ("hub", "me/model@v1"),
        ("local", str(tmp_path)),
        ("local", str(tmp_path)),
        ("timm", "resnet50"),
    ]


@pytest.mark.parametrize(
    ("name", "options", "message", "hint"),
    [
        ("resnet5o", {}, "unknown model 'resnet5o'", "resnet50"),
        ("timm:resnet5o", {}, "unknown model 'resnet5o'", "resnet50"),
        ("torchvision:alexnett", {}, "unknown torchvision model 'alexnett'", "torchvision:alexnet"),
        ("torchvision:squeezenet1_1", {}, "SqueezeNet does not end in a linear layer", "choose another model"),
        ("./nowhere", {}, "there is no folder ./nowhere", "config.json"),
        ("lenet", {"pretrained": True}, "lenet has no pretrained weights", "--no-pretrained"),
        ("lenet", {"size": 8}, "at least 16 pixels, got 8", "--image-size 28"),
        ("test_resnet", {"classes": []}, "at least one output, and there is none", "other data"),
        ("test_resnet.odd", {"pretrained": True}, "no pretrained weights 'test_resnet.odd'", "r160_in1k, or --no-pretrained"),
        ("deit_tiny_distilled_patch16_224", {}, "several heads, not one linear layer", "choose another model"),
        ("resnetv2_50x1_bit", {"size": 32}, "a Conv2d for a head", "choose another model"),
        ("torchvision:alexnet", {"size": 16}, "does not take images of 16 pixels", "--image-size"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_an_error_with_something_to_do(name, options, message, hint):
    with pytest.raises(HubtlError, match=message) as caught:
        resolve(name, **options)
    assert hint in caught.value.hint


def test_weights_out_of_reach_are_an_error_and_never_random_ones():
    with pytest.raises(HubtlError, match=r"the weights of test_resnet\.r160_in1k are") as caught:
        resolve("test_resnet.r160_in1k", pretrained=True)
    assert "--no-pretrained" in caught.value.hint


def test_a_model_whose_logits_average_two_heads_is_refused():
    from hubtl.backbones.surgery import take_out

    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(12, 5), nn.Linear(12, 5)

        def forward(self, x):
            return (self.first(x.flatten(1)) + self.second(x.flatten(1))) / 2

    model = TwoHeads()
    with pytest.raises(HubtlError, match="TwoHeads has more than one linear layer for a head"):
        take_out(model, "second", ImageInput(size=2), model)
    assert isinstance(model.second, nn.Linear)
    assert model.training


def test_resolving_draws_nothing_from_the_generator_but_the_weights():
    torch.manual_seed(3)
    import timm

    timm.create_model("test_resnet", num_classes=5)
    plain = torch.rand(1)
    torch.manual_seed(3)
    backbones.resolve("test_resnet", BackboneRequest(CLASSES, pretrained=False, image_size=32))
    assert torch.equal(torch.rand(1), plain)


def test_another_image_size_is_what_the_export_takes(tmp_path):
    """Positions are resampled once; the saved model then takes that size with no argument."""
    tiny("vit").save_pretrained(tmp_path / "a")
    backbone = resolve(tmp_path / "a", 64, pretrained=True)
    (tmp_path / "b").mkdir()
    backbone.save(tmp_path / "b", nn.Linear(backbone.info.width, len(CLASSES)), CLASSES, {})
    assert json.loads((tmp_path / "b" / "config.json").read_text())["image_size"] == 64
    again = resolve(tmp_path / "b", pretrained=True)
    assert again.info.input.size == 64
    x = images(again)
    assert torch.allclose(backbone.eval()({"image": x}).pooled, again.eval()({"image": x}).pooled, atol=1e-5)


def test_a_folder_with_trained_weights_is_random_when_it_is_asked_to_be(tmp_path):
    source = resolve("lenet")
    source.save(tmp_path, nn.Linear(500, 5), CLASSES, {"base_model": "me/base", "revision": "abc"})
    trained = resolve(tmp_path, pretrained=True)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), trained.parameters(), strict=True))
    assert (trained.info.pretrained, trained.info.base_model, trained.info.revision) == (True, "me/base", "abc")
    torch.manual_seed(9)
    fresh = backbones.resolve(str(tmp_path), BackboneRequest(CLASSES, pretrained=False))
    assert not torch.equal(next(fresh.parameters()), next(source.parameters()))
    assert (fresh.info.pretrained, fresh.info.base_model, fresh.info.revision) == (False, None, None)


def test_a_classifier_makes_room_for_other_classes(tmp_path):
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    trained = timm.create_model("test_resnet", num_classes=9)
    save_for_hf(trained, tmp_path, safe_serialization=True)
    backbone = resolve(tmp_path, 32, pretrained=True, classes=["x", "y"])
    assert torch.equal(backbone.model.conv1[0].weight, trained.conv1[0].weight)
    assert backbone.info.name == tmp_path.name


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no config.json"), ("{", "is not JSON"), ("[]", "is not a configuration"), ("{}", "names neither")],
)
def test_a_folder_that_is_no_model_is_an_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(HubtlError, match=message):
        resolve(tmp_path, pretrained=True)


def test_a_model_that_does_not_classify_images_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit_mae"}))
    with pytest.raises(HubtlError, match="is a vit_mae model, which does not classify images"):
        resolve(tmp_path)


@pytest.mark.parametrize(("kind", "modality"), [("bert", "text"), ("wav2vec2", "audio")])
def test_the_modality_of_texts_and_recordings_is_told_by_their_configuration(tmp_path, kind, modality):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    model = ModelRef(str(tmp_path))
    assert (model.takes, model.modalities) == ((modality,), (modality,))


def test_recordings_without_the_package_that_reads_them_are_one_error(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for asked in (lambda: resolve(tmp_path), lambda: ModelRef(str(tmp_path)).modalities):
        with pytest.raises(HubtlError, match="recordings are read with soundfile, which is not installed") as caught:
            asked()
        assert caught.value.hint == 'pip install "hubtl[audio]"'


def test_a_modality_that_no_package_brings_is_one_error_that_names_the_package(tmp_path):
    own = {"loader": {"name": "sensors", "package": "hubtl-sensor", "version": "1.2"}, "modalities": ["sensor"]}
    own["plugins"] = [{"kind": "modality", "name": "sensor", "package": "hubtl-sensor", "version": "1.2"}]
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "conv", "hubtl": own}))
    with pytest.raises(HubtlError, match=r"takes the modality 'sensor', .*it comes with hubtl-sensor") as caught:
        _ = ModelRef(str(tmp_path)).modalities
    assert caught.value.hint == "pip install hubtl-sensor"
    with pytest.raises(HubtlError, match=r"saved by the loader 'sensors' of hubtl-sensor 1\.2, which is not installed"):
        resolve(tmp_path)


def test_code_in_a_repository_is_never_run(tmp_path):
    own = {"AutoConfig": "code.Config", "AutoModelForImageClassification": "code.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "homemade", "auto_map": own}))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(HubtlError, match="needs its own code to run, and hubtl runs none"):
        resolve(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_lenet_is_the_network_of_the_digits_recipe():
    lenet = resolve("lenet")
    assert sum(p.numel() for p in lenet.parameters()) == (25 * 20 + 20) + (20 * 25 * 50 + 50) + (800 * 500 + 500)
    assert (lenet.info.width, lenet.info.input.as_dict()) == (
        500,
        {**ImageInput(28, 1, (0.5,), (0.5,), interpolation="bilinear").as_dict()},
    )
    assert (lenet.eval()({"image": images(lenet)}).pooled >= 0).all(), "a ReLU comes last"


def test_lenet_is_built_with_the_dropout_that_is_asked_for_and_opened_with_it_again(tmp_path):
    def chances(backbone):
        return [m.p for m in backbone.modules() if isinstance(m, torch.nn.Dropout | torch.nn.Dropout2d)]

    asked = BackboneRequest(CLASSES, pretrained=False, options={"dropout": 0.1})
    lenet = backbones.resolve("lenet", asked)
    assert (chances(lenet), chances(resolve("lenet"))) == ([0.1, 0.1], [0.5, 0.5])
    lenet.save(tmp_path, torch.nn.Linear(500, len(CLASSES)), CLASSES, {})
    assert chances(resolve(tmp_path, pretrained=True)) == [0.1, 0.1]
    with pytest.raises(HubtlError, match="dropout"):
        backbones.resolve("lenet", BackboneRequest(CLASSES, pretrained=False, options={"dropout": 1.5}))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"options": {"dropout": "much"}}))
    with pytest.raises(HubtlError, match="dropout"):
        resolve(tmp_path, pretrained=True)


def test_the_license_and_tag_of_the_weights_are_timms_own_words(tmp_path):
    import timm
    from timm.models import save_for_hf

    model = timm.create_model("test_resnet", num_classes=5)
    model.pretrained_cfg = {**model.pretrained_cfg, "license": "cc-by-nc-4.0", "tag": "mine"}
    save_for_hf(model, tmp_path, safe_serialization=True)
    info = resolve(tmp_path, 32, pretrained=True).info
    assert (info.license, info.weights, info.architecture) == ("cc-by-nc-4.0", "test_resnet.mine", "test_resnet")


def test_what_is_saved_is_not_called_by_the_name_of_weights_that_it_does_not_have(tmp_path):
    """timm's registry knows the tag and licence of usual weights. So it does where none were loaded."""
    scratch = resolve("test_resnet", 32)
    api.save(tmp_path / "run", scratch, nn.Linear(scratch.info.width, 2), ["a", "b"], {})
    info = resolve(tmp_path / "run", 32, pretrained=True).info
    assert (info.name, info.weights, info.base_model, info.license) == ("run", None, None, None)
    cfg = json.loads((tmp_path / "run" / "config.json").read_text())["pretrained_cfg"]
    assert not cfg.keys() & {"tag", "origin_url", "paper_ids", "hf_hub_id", "license"}
    scratch.info = dataclasses.replace(scratch.info, pretrained=True)
    api.save(tmp_path / "adapted", scratch, nn.Linear(scratch.info.width, 2), ["a", "b"], {})
    cfg = json.loads((tmp_path / "adapted" / "config.json").read_text())["pretrained_cfg"]
    assert cfg["license"] == "apache-2.0", "that of the weights it started from"
    assert "tag" not in cfg


ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from hubtl import backbones
from hubtl.models import saved as api
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
for name, pretrained in json.load(sys.stdin):
    try:
        info = backbones.resolve(name, BackboneRequest(["a", "b"], pretrained=pretrained)).info
        found = [info.library, info.name, info.base_model, info.revision, info.license, info.pretrained]
    except HubtlError as error:
        found = [str(error), error.hint]
    print(json.dumps(found))
"""


@pytest.mark.hub
def test_models_of_the_hub_are_told_apart_and_their_facts_are_the_hubs(tmp_path):
    import timm
    from timm.models import save_for_hf

    save_for_hf(timm.create_model("test_resnet", num_classes=3), tmp_path / "timm", safe_serialization=True)
    tiny("vit").save_pretrained(tmp_path / "vit")
    resolve("lenet").save(_made(tmp_path / "lenet"), nn.Linear(500, 5), CLASSES, {"base_model": "me/other"})
    hub = start()
    card = b"---\nlicense: cc-by-4.0\n---\n"
    try:
        sha = {}
        for kind in ("timm", "vit", "lenet"):
            files = {path.name: path.read_bytes() for path in (tmp_path / kind).iterdir()}
            sha[kind] = hub.add(f"me/{kind}", {**files, "README.md": card})
        own = {"model_type": "homemade", "auto_map": {"AutoConfig": "code.Config"}}
        hub.add("me/code", {"config.json": json.dumps(own).encode(), "code.py": b"raise SystemExit(9)"})
        hub.add("me/empty", {"README.md": card})
        asked = [
            ("me/timm", True),
            (f"hf-hub:me/timm@{sha['timm']}", True),
            ("me/vit", True),
            ("me/vit", False),
            ("me/lenet", True),
            ("me/code", True),
            ("me/empty", True),
            ("me/nothing", True),
        ]
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            input=json.dumps(asked),
            env=env_for(hub, tmp_path / "home"),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    finally:
        hub.stop()
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    of_hub = {kind: [f"me/{kind}", sha[kind], "cc-by-4.0", True] for kind in sha}
    assert found[:5] == [
        ["timm", "me/timm", *of_hub["timm"]],
        ["timm", f"me/timm@{sha['timm']}", *of_hub["timm"]],
        ["transformers", "me/vit", *of_hub["vit"]],
        ["transformers", "me/vit", None, None, None, False],
        ["hubtl", "me/lenet", *of_hub["lenet"]],
    ]
    assert "me/code needs its own code to run" in found[5][0]
    assert "me/empty has no model files" in found[6][0]
    assert "the Hub has no me/nothing, or it is private" in found[7][0]


def _made(folder):
    folder.mkdir()
    return folder


def test_a_network_that_normalises_by_itself_hands_that_over_to_the_input(monkeypatch):
    """Pretrained Inceptions do; no saved weight tells, so that a reloaded one would see other pixels."""
    ensure_torchvision()
    from torchvision import models

    build = models.get_model

    def normalising(name, **options):
        model = build(name, **options).eval()
        model.transform_input = True
        return model

    monkeypatch.setattr(models, "get_model", normalising)
    backbone = resolve("torchvision:inception_v3", 75).eval()
    pixels = torch.rand(2, 3, 75, 75, generator=torch.Generator().manual_seed(0))
    theirs, ours = ImageInput(), backbone.info.input

    def seen(spec):
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
        return {"image": (pixels - mean) / std}

    def apart(one, other):
        return ((one - other).norm() / one.norm()).item()

    with torch.no_grad():
        found = backbone(seen(ours)).pooled
        assert apart(found, backbone(seen(theirs)).pooled) > 1e-2, "the two normalisations differ"
        backbone.model.transform_input = True
        assert apart(found, backbone(seen(theirs)).pooled) < 1e-4


def own_classifier(name, classes=("x", "y", "z")):
    """A backbone with other classes and its own classifier. Both run together on noise."""
    backbone = backbones.resolve(str(name), BackboneRequest(list(classes), keep_classifier=True)).eval()
    spec = backbone.info.input
    images = torch.randn(2, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = backbone({"image": images}).pooled
        logits = None if backbone.kept is None else features @ backbone.kept[0].T + backbone.kept[1]
    return backbone, images, logits


@pytest.mark.parametrize("library", ["timm", "transformers", "hubtl"])
def test_the_classifier_of_pretraining_is_kept_where_it_is_asked_for(library, tmp_path):
    if library == "transformers":
        whole = tiny("vit")
        whole.save_pretrained(tmp_path)
        truth = lambda images: whole.eval()(pixel_values=images).logits  # noqa: E731
    else:
        saved = resolve("test_vit" if library == "timm" else "lenet")
        torch.manual_seed(3)
        head = nn.Linear(saved.info.width, len(CLASSES))
        meta = {"task": "classification", "strategy": "finetune", "base_model": None, "revision": None}
        api.save(tmp_path, saved, head, CLASSES, meta)
        truth = lambda images: head(saved.eval()({"image": images}).pooled)  # noqa: E731
    backbone, images, logits = own_classifier(tmp_path)
    assert backbone.kept[0].shape == (len(CLASSES), backbone.info.width)
    with torch.no_grad():
        assert torch.allclose(logits, truth(images), atol=1e-4)
    assert not any("kept" in name for name in backbone.state_dict())
    assert resolve(tmp_path, pretrained=True).kept is None


def test_no_classifier_is_kept_where_there_is_none(tmp_path):
    assert backbones.resolve("test_vit", BackboneRequest(CLASSES, pretrained=False, keep_classifier=True)).kept is None
    ensure_torchvision()
    import timm
    import transformers as t
    from timm.models import save_for_hf

    bare = tiny("vit")
    t.ViTModel(bare.config).save_pretrained(tmp_path / "trunk")  # of which a classifier would be drawn at random
    assert own_classifier(tmp_path / "trunk")[0].kept is None
    features = timm.create_model("test_vit", num_classes=0)
    save_for_hf(features, tmp_path / "features", safe_serialization=True)
    backbone, _, _ = own_classifier(tmp_path / "features")
    assert backbone.kept is None
    assert backbone.info.width == features.num_features
