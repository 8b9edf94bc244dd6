"""Source-free, from the command line's recipe to the pushed folder: any classifier, and no source anywhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features
from datasets import Image as ImageFeature
from PIL import Image
from safetensors.torch import save_file

import hubtl
from hubtl._compat import ensure_torchvision
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from hubtl.record import RunRecord
from hubtl.studies.evaluate import measure
from tests.hub.loopback import Hub, env_for, start

pytestmark = pytest.mark.slow

ensure_torchvision()
import timm  # noqa: E402
import transformers  # noqa: E402

DIGITS = [str(i) for i in range(10)]
UCI = "builtin:digits/uci"
NO_PLOTS = {"run.plots": False}
QUICK = {
    "target_dataset": UCI, "steps": 3, "batch_size": 16, "device": "cpu", "image_size": 32,
    "options": {**NO_PLOTS, "run.fallback": False},
}  # fmt: skip


def transformers_folder(folder: Path, names=DIGITS) -> Path:
    """A little ViT with weights of its own."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessorFast(size=size).save_pretrained(folder)
    return folder


def timm_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", pretrained=False, num_classes=10)
    timm.models.save_for_hf(model, folder, model_config={"label_names": DIGITS}, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A LeNet that knows MNIST."""
    folder = tmp_path_factory.mktemp("source") / "lenet-mnist"
    hubtl.adapt(
        model="lenet", pretrained=False, source_dataset="builtin:digits/mnist", target_dataset=UCI,
        strategy="source-only", steps=300, device="cpu", output_dir=str(folder), options=NO_PLOTS,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def without_source(mnist, tmp_path_factory):
    """The same model, with nothing written of its source left."""
    folder = tmp_path_factory.mktemp("alone") / "lenet-mnist"
    shutil.copytree(mnist, folder, ignore=shutil.ignore_patterns("training", "record.json", "recipe.yaml", "README.md"))
    return folder


@pytest.mark.parametrize(
    ("strategy", "own"),
    [("shot-im", {}), ("shot", {}), ("aad", {"decay": 0.0})],  # three rows of a class a batch: see AAD's docstring
)
def test_a_model_of_mnist_gets_better_on_digits_of_forms(without_source, tmp_path, strategy, own):
    run = {"model": str(without_source), "target_dataset": UCI, "strategy": strategy, "steps": 150, "device": "cpu"}
    record = hubtl.adapt(**run, options=NO_PLOTS | own, output_dir=str(tmp_path / "run")).record
    assert (record.setting, record.source, record.strategy) == ("source-free", None, strategy)
    assert record.target_labels == "none"
    assert record.adapted.accuracy > record.source_only.accuracy + 0.03
    assert measure(str(tmp_path / "run"), UCI).accuracy == pytest.approx(record.adapted.accuracy)


def as_is(folder: Path, split) -> float:
    """Accuracy of a folder's model, by hubtl's own prediction of each row."""
    said = [p.label for p in api.load(folder, device="cpu").predict(split)]
    return float(np.mean([said[i] == str(label) for i, label in enumerate(split["label"])]))


def native_logits(folder: Path, picture: Image.Image) -> torch.Tensor:
    """By the library whose format it is, with its own preprocessing."""
    if "model_type" in (config := json.loads((folder / "config.json").read_text())) and "architecture" not in config:
        model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        with torch.no_grad():
            return model(**processor(picture.convert("RGB"), return_tensors="pt")).logits
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        return model(transform(picture.convert("RGB")).unsqueeze(0))


@pytest.mark.parametrize(
    ("make", "prefix", "strategy"),
    [(transformers_folder, "", "shot"), (timm_folder, "", "aad"), (timm_folder, "local-dir:", "shot-im")],
)
def test_any_folder_with_a_classifier(tmp_path, make, prefix, strategy):
    folder = make(tmp_path / "model")
    result = hubtl.adapt(**QUICK, model=f"{prefix}{folder}", strategy=strategy, output_dir=str(tmp_path / "run"))
    record = RunRecord.load(tmp_path / "run")
    assert (record.setting, record.source, record.status) == ("source-free", None, "finished")
    assert record.classes == DIGITS
    assert record.source_only.n == record.adapted.n == 600
    assert record.source_only.accuracy == pytest.approx(as_is(folder, opened(UCI).splits["test"]))
    assert [phase.name for phase in record.training.phases] == ["adapt"]
    assert "source_dataset" not in (tmp_path / "run" / "recipe.yaml").read_text()
    card = (tmp_path / "run" / "README.md").read_text()
    assert "the data that it was trained on were not opened" in card
    assert "Not measured: the run had no source." in card
    picture = opened(UCI).splits["test"][0]["image"].resize((32, 32))
    ours = api.load(result.output_dir, device="cpu").logits([picture])
    torch.testing.assert_close(ours, native_logits(result.output_dir, picture), atol=1e-4, rtol=1e-4)
    before = api.load(folder, device="cpu").logits([picture])
    assert not torch.allclose(ours, before, atol=1e-6), "nothing was learnt"


def photos(root: Path, classes=None) -> Path:
    """An image folder; without classes the images lie in it as they are."""
    random = np.random.default_rng(0)
    for i in range(40):
        place = root / classes[i % len(classes)] if classes else root
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return root


def test_a_target_without_labels_is_adapted_to_and_not_measured(tmp_path):
    folder, target = transformers_folder(tmp_path / "model"), photos(tmp_path / "photos")
    run = {**QUICK, "target_dataset": str(target), "model": str(folder), "output_dir": str(tmp_path / "run")}
    result = hubtl.adapt(**run)
    record = result.record
    assert (record.setting, record.strategy, record.classes) == ("source-free", "shot", DIGITS)
    assert record.target.labelled is False
    assert record.adapted.accuracy is record.source_only.accuracy is None
    assert "not measured" in (tmp_path / "run" / "README.md").read_text()
    assert record.selection.oracle is False


def test_target_labels_only_measure(tmp_path):
    """Other labels of the same rows: other figures, and the same weights to the bit."""
    folder, random = transformers_folder(tmp_path / "model", ["cat", "dog"]), np.random.default_rng(0)
    pictures = [Image.fromarray(p) for p in random.integers(0, 255, (48, 32, 32, 3), dtype=np.uint8)]
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["cat", "dog"])})
    weights, accuracies = [], []
    for flipped in (0, 1):
        labels = [(i + flipped) % 2 for i in range(48)]
        splits = {
            name: Dataset.from_dict({"image": pictures[rows], "label": labels[rows]}, features=features)
            for name, rows in (("train", slice(0, 32)), ("test", slice(32, 48)))
        }
        target, out = tmp_path / f"target-{flipped}", tmp_path / f"run-{flipped}"
        DatasetDict(splits).save_to_disk(target)
        run = {**QUICK, "target_dataset": str(target), "strategy": "shot"}
        accuracies.append(hubtl.adapt(**run, model=str(folder), output_dir=str(out)).record.source_only.accuracy)
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert sum(accuracies) == pytest.approx(1)


def test_classes_are_matched_by_name_in_the_models_order(tmp_path):
    folder = transformers_folder(tmp_path / "model", ["Dog", "bird", "cat"])
    target = photos(tmp_path / "photos", ["cat", "dog"])
    run = {**QUICK, "target_dataset": str(target), "strategy": "shot"}
    record = hubtl.adapt(**run, model=str(folder), output_dir=str(tmp_path / "run")).record
    assert record.classes == ["Dog", "bird", "cat"]
    assert (record.label_sets.setting, record.label_sets.source_only) == ("partial", ["bird"])
    other = photos(tmp_path / "other", ["apple", "pear"])
    with pytest.raises(HubtlError, match=r"the model .* and target share no class"):
        hubtl.adapt(**run | {"target_dataset": str(other)}, model=str(folder), output_dir=str(tmp_path / "no"))


def test_a_model_without_class_names_is_adapted_and_not_measured(tmp_path):
    folder = transformers_folder(tmp_path / "model", ["LABEL_0", "LABEL_1"])
    target = photos(tmp_path / "photos", ["cat", "dog"])
    run = {**QUICK, "target_dataset": str(target), "strategy": "shot"}
    record = hubtl.adapt(**run, model=str(folder), output_dir=str(tmp_path / "run")).record
    assert record.adapted.accuracy is None
    assert any("gives its outputs no names" in warning for warning in record.warnings)


@pytest.mark.parametrize(
    ("model", "more", "said", "hint"),
    [
        ("lenet", {}, "an architecture without a classifier of its own", "--source-dataset"),
        ("torchvision:alexnet", {}, "an architecture without a classifier of its own", "--source-dataset"),
        ("test_resnet", {"pretrained": False}, "there is none in random weights", "--no-pretrained"),
        ("resnet5o", {}, "unknown model 'resnet5o'", "resnet50"),
        ("./nowhere", {}, "there is no folder ./nowhere", "RUN_DIR"),
    ],
)
def test_what_is_no_trained_classifier(tmp_path, model, more, said, hint):
    with pytest.raises(HubtlError, match=said) as caught:
        hubtl.adapt(**QUICK | more, model=model, strategy="shot", output_dir=str(tmp_path / "run"))
    assert hint in caught.value.hint


@pytest.fixture(scope="module")
def hub():
    running = start()
    yield running
    running.stop()


def command(hub: Hub, home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process that knows this Hub alone."""
    common = ["--strategy", "shot-im", "--steps", "2", "--batch-size", "8", "--device", "cpu", "--image-size", "32"]
    return subprocess.run(
        [sys.executable, "-m", "hubtl", "adapt", *map(str, words), *common, "--json"],
        env=env_for(hub, home), capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_model_of_the_hub_and_back_to_it(hub, tmp_path):
    """A timm model of the Hub, adapted, pushed and adapted again. The second run starts from where it was pushed."""
    commit = hub.add("someone/digits", files(timm_folder(tmp_path / "model")))
    first = command(
        hub, tmp_path / "home", "--model", "hf-hub:someone/digits", "--target-dataset", UCI, "--push-to-hub",
        "user/adapted", "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert first.returncode == 0, first.stderr
    record = RunRecord.load(tmp_path / "run")
    assert (record.model.name, record.model.base_model) == ("someone/digits", "someone/digits")
    assert record.model.revision == commit
    pushed = hub.files("user/adapted")
    assert pushed["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
    again = command(
        hub, tmp_path / "home", "--model", "user/adapted", "--target-dataset", UCI, "--output-dir", tmp_path / "again"
    )
    assert again.returncode == 0, again.stderr
    second = RunRecord.load(tmp_path / "again")
    assert second.source_only.accuracy == pytest.approx(record.adapted.accuracy)


def test_a_bare_timm_name_brings_the_classifier_of_its_weights(hub, tmp_path):
    """Its thousand classes are ImageNet's, two of which the target has. Out of reach, it is an error."""
    target = photos(tmp_path / "photos", ["goldfish", "tench"])
    words = ("--model", "test_resnet.r160_in1k", "--target-dataset", target)
    away = command(hub, tmp_path / "home", *words, "--output-dir", tmp_path / "away")
    assert away.returncode == 2
    assert "test_resnet.r160_in1k" in away.stderr
    assert "Traceback" not in away.stderr
    torch.manual_seed(0)
    tensors = timm.create_model("test_resnet", pretrained=False).state_dict()
    save_file({name: t.contiguous() for name, t in tensors.items()}, tmp_path / "model.safetensors")
    weights = {"model.safetensors": (tmp_path / "model.safetensors").read_bytes(), "config.json": b"{}"}
    hub.add("timm/test_resnet.r160_in1k", weights)
    there = command(hub, tmp_path / "home2", *words, "--output-dir", tmp_path / "run")
    assert there.returncode == 0, there.stderr
    record = RunRecord.load(tmp_path / "run")
    assert len(record.classes) == 1000
    assert record.classes[:2] == ["tench", "goldfish"]
    assert record.label_sets.shared == ["tench", "goldfish"]
    assert record.model.base_model == "timm/test_resnet.r160_in1k"
    assert record.source_only.n == 8
