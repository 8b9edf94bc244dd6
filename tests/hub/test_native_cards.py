"""Whole runs, pushed: the code on their cards runs where hubtl cannot be imported, and gives what hubtl gives."""

import json
import re

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import hubtl
from hubtl.card import document
from hubtl.card.metadata import problems
from hubtl.errors import HubtlError
from hubtl.record import RunRecord
from tests.backbones.test_loading import tiny
from tests.fresh import python
from tests.hub.loopback import env_for, start

pytestmark = [pytest.mark.hub, pytest.mark.slow]

CLASSES = ["ape", "bee", "cat", "dog", "elk"]
ROWS = 40
LORA = {"tuner": "lora", "options": {"tuner.rank": 2, "tuner.alpha": 32.0, "tuner.adapter": True}, "lr": 0.05}
RUNS = {  # name -> arguments of hubtl.adapt beside the common ones
    "adabn": {"model": "user/cnn", "strategy": "adabn"},
    "dsbn": {"model": "user/cnn", "strategy": "dsbn", "steps": 60, "lr": 1e-4},
    "folded": {"model": "user/cnn", "strategy": "coral", "options": {"model.bottleneck": 8}},
    "grey": {"model": "user/grey", "strategy": "coral"},
    "vit": {"model": "user/vit", "strategy": "coral", "image_size": 48},
    "transformers": {"model": "user/resnet", "strategy": "coral"},
    "lora": {"model": "user/vit", "strategy": "coral", **LORA},
    "lora-bn": {"model": "user/cnn", "strategy": "adabn", **LORA},
    "lora-transformers": {"model": "user/swin", "strategy": "coral", **LORA},
    "torchvision": {
        "model": "torchvision:shufflenet_v2_x0_5",
        "pretrained": False,
        "image_size": 64,
        "strategy": "coral",
    },
    "own": {"model": "lenet", "pretrained": False, "strategy": "coral"},
}
NATIVE = [name for name in RUNS if name not in ("torchvision", "own")]
ADAPTERS = [name for name in RUNS if name.startswith("lora")]
READ = """
import contextlib, io, json, os
def read(jobs):
    answers = {}
    for name, folder, code in jobs:
        os.chdir(folder)
        printed, here = io.StringIO(), {}
        try:
            with contextlib.redirect_stdout(printed), torch.enable_grad():
                exec(code, here)
            answers[name] = {"logits": here["logits"].tolist(), "label": printed.getvalue().strip()}
        except Exception as error:
            answers[name] = {"error": f"{type(error).__name__}: {error}"[:600]}
    print(json.dumps(answers))
"""
WITHOUT = (
    READ
    + """
read(json.loads(sys.stdin.read()))
assert "hubtl" not in sys.modules
"""
)
WITH = (
    READ
    + """
import gc
import hubtl
from huggingface_hub import hf_hub_download
runs, image, others = json.loads(sys.stdin.read())
torch.set_grad_enabled(True)
for run in runs:
    hubtl.adapt(**run)
    gc.freeze()  # each phase collects garbage: not among the libraries
jobs = []
for name, folder, repo in others:
    for where, path in (("hub", hf_hub_download(repo, "README.md")), (name, folder + "/README.md")):
        code = open(path, encoding="utf-8").read().split("```python\\n")[1].split("```")[0]
        jobs.append((f"{name} {where}", os.path.dirname(image) if where == "hub" else folder, code))
    os.link(image, folder + "/image.jpg")
read(jobs)
"""
)


def picture(y, rng, shifted):
    """A class is a frequency; the target is darker, redder and noisier."""
    rows, columns = np.mgrid[0:36, 0:44]
    wave = 128 + 70 * np.sin(columns / (1.5 + y)) * np.cos(rows / 4 + rng.uniform(0, 3))
    colours = np.array([0.7, 0.4, 0.3]) if shifted else np.ones(3)
    noisy = wave[..., None] * colours + rng.normal(0, 12 if shifted else 3, (36, 44, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def table(seed, shifted):
    rng = np.random.default_rng(seed)
    labels = [i % len(CLASSES) for i in range(ROWS)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    rows = {"image": [picture(y, rng, shifted) for y in labels], "label": labels}
    return datasets.Dataset.from_dict(rows, features=features)


def on_the_hub(hub, root):
    """The base models, as others would have published them."""
    import timm
    import transformers
    from timm.models import save_for_hf

    for name, architecture, channels in (("cnn", "test_resnet", 3), ("grey", "test_resnet", 1), ("vit", "test_vit", 3)):
        torch.manual_seed(1)
        options = {"img_size": 32} if name == "vit" else {}
        model = timm.create_model(architecture, num_classes=7, in_chans=channels, **options)
        data = {"input_size": (channels, 32, 32), "crop_pct": 0.9, "interpolation": "bicubic"}
        data |= {"mean": (0.4,) * channels, "std": (0.3,) * channels}
        save_for_hf(model, root / name, model_config={"model_args": options}, data_config=data, safe_serialization=True)
    processor = {
        "resnet": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_pct": 1.0}),
        "swin": ("ViTImageProcessorPil", {"size": {"height": 32, "width": 32}, "resample": 3}),
    }
    for name, (kind, options) in processor.items():
        tiny(name).save_pretrained(root / name)
        getattr(transformers, kind)(**options).save_pretrained(root / name)
    for name in ("cnn", "grey", "vit", "resnet", "swin"):
        hub.add(f"user/{name}", {path.name: path.read_bytes() for path in (root / name).iterdir()})


def code_of(readme):
    return re.search(r"```python\n(.*?)\n```", readme, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Every run, pushed, and what its cards' code makes of an image."""
    root, hub = tmp_path_factory.mktemp("native-runs"), start()
    on_the_hub(hub, root / "bases")
    for name, shifted in (("source", False), ("target", True)):
        (root / name).mkdir()
        table(shifted, shifted).to_parquet(root / name / "train.parquet")
        table(2 + shifted, shifted).to_parquet(root / name / "test.parquet")
    common = {
        "source_dataset": str(root / "source"),
        "target_dataset": str(root / "target"),
        "steps": 5,
        "batch_size": 8,
        "lr": 0.01,
        "augment": "none",
        "validator": "last",
        "baseline": False,
        "device": "cpu",
    }
    wanted = []
    for name, own in RUNS.items():
        options = {"run.plots": False, **own.get("options", {})}
        wanted.append(
            common | own | {"options": options, "output_dir": str(root / name), "push_to_hub": f"user/my-{name}"}
        )
    picture(1, np.random.default_rng(5), True).resize((32, 32)).save(root / "image.jpg")
    others = [(name, str(root / name), f"user/my-{name}") for name in RUNS if name not in NATIVE]
    given = json.dumps([wanted, str(root / "image.jpg"), others])
    found = json.loads(python(WITH, blocked=(), given=given, **env_for(hub, root / "home")))
    cards = {name: hub.files(f"user/my-{name}")["README.md"].decode() for name in RUNS}
    jobs = []
    for name in NATIVE:
        jobs.append((f"{name} hub", str(root), code_of(cards[name])))
        for folder in [root / name] + ([root / name / "adapter"] if name in ADAPTERS else []):
            (folder / "image.jpg").write_bytes((root / "image.jpg").read_bytes())
            jobs.append((f"{name} {folder.name}", str(folder), code_of((folder / "README.md").read_text())))
    found |= json.loads(python(WITHOUT, given=json.dumps(jobs), **env_for(hub, root / "reader", token="")))
    yield {"root": root, "cards": cards, "hub": hub, "found": found}
    hub.stop()


def ours(world, name):
    """hubtl's logits and label for the image."""
    model = hubtl.load(world["root"] / name, device="cpu")
    image = Image.open(world["root"] / "image.jpg")
    return model.logits([image]), model.predict([image])[0].label


@pytest.mark.parametrize("name", RUNS)
def test_the_code_of_the_card_gives_hubtls_logits_and_prints_its_label(world, name):
    logits, label = ours(world, name)
    assert label in CLASSES
    for where in ("hub", name):
        found = world["found"][f"{name} {where}"]
        assert "error" not in found, f"{where}: {found['error']}"
        assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-5), where
        assert found["label"] == label, where


@pytest.mark.parametrize("name", NATIVE)
def test_the_card_says_which_library_alone_is_needed(world, name):
    card, record = world["cards"][name], RunRecord.load(world["root"] / name)
    library = "transformers" if record.model.library == "transformers" else "timm"
    assert record.native
    assert f"It loads with {library} alone; hubtl is not needed." in card
    assert "import hubtl" not in code_of(card)
    assert document.parse(card).metadata["library_name"] == library
    assert f"user/my-{name}" in code_of(card)
    assert ("the Hub's widget make every image RGB" in card) == (name == "grey")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own", "Only hubtl loads this model"),
        ("torchvision", "The weights are in torchvision's format, for which the Hub has no loader"),
    ],
)
def test_a_card_of_what_no_other_library_loads_says_so(world, name, said):
    card = world["cards"][name]
    assert said in card
    assert "pip install hubtl" in card
    assert f'hubtl.load("user/my-{name}")' in code_of(card)
    assert document.parse(card).metadata["library_name"] == "hubtl"


def statistics(root, name, folder):
    """Statistics of the first BatchNorm on a domain, and its own. Each is mean and variance [c], of a saved model."""
    import timm

    model = timm.create_model(f"local-dir:{root / name}", pretrained=True).eval()
    first = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    rows = datasets.load_dataset("parquet", data_files=str(root / folder / "train.parquet"), split="train")
    seen = []
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model(torch.stack([transform(row["image"].convert("RGB")) for row in rows]))
    return seen[0].mean(dim=(0, 2, 3)), first.running_mean, first.running_var


@pytest.mark.parametrize(("name", "near"), [("adabn", 1e-4), ("dsbn", 0.02)])
def test_the_statistics_in_the_file_are_the_targets(world, name, near):
    target, kept, _ = statistics(world["root"], name, "target")
    source, _, _ = statistics(world["root"], name, "source")
    assert (kept - target).abs().max() < near
    assert (kept - source).abs().max() > 10 * near, "the domains do not differ"


@pytest.mark.parametrize("name", ["adabn", "dsbn", "folded", "lora", "lora-bn"])
def test_the_file_holds_what_timm_expects_and_nothing_more(world, name):
    import timm

    model, size = ("test_vit", {"img_size": 32}) if name == "lora" else ("test_resnet", {})
    plain = timm.create_model(model, num_classes=len(CLASSES), **size)
    tensors = load_file(world["root"] / name / "model.safetensors")
    assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in plain.state_dict().items()}


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_adapter_alone_loads_onto_its_base_with_peft(world, name):
    logits, label = ours(world, name)
    found = world["found"][f"{name} adapter"]
    assert "error" not in found, found["error"]
    assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-5)
    assert found["label"] == label
    folder = world["root"] / name / "adapter"
    readme = (folder / "README.md").read_text()
    metadata = document.parse(readme).metadata
    base = {"lora": "user/vit", "lora-bn": "user/cnn", "lora-transformers": "user/swin"}[name]
    assert problems(metadata) == []
    assert (metadata["library_name"], metadata["base_model"]) == ("peft", base)
    assert metadata["base_model_relation"] == "adapter"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base
    assert config["revision"] == world["hub"].repos[base].refs["main"]
    update = [tensor for key, tensor in load_file(folder / "adapter_model.safetensors").items() if "lora_B" in key]
    assert max(tensor.abs().max() for tensor in update) > 1e-3, "nothing was learnt: the base alone would do"


@pytest.mark.parametrize("name", ["lenet", "test_vit"])
def test_an_adapter_of_random_weights_is_refused_before_anything_is_trained(tmp_path, name):
    with pytest.raises(HubtlError, match="cannot be loaded again") as caught:
        hubtl.adapt(
            model=name,
            pretrained=False,
            strategy="coral",
            source_dataset="builtin:digits/mnist",
            target_dataset="builtin:digits/uci",
            output_dir=str(tmp_path / "run"),
            **LORA,
        )
    assert "merged" in caught.value.hint
    assert not (tmp_path / "run").exists()
