"""ONNX files answer as PyTorch does, and describe their inputs and outputs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import hubtl
from hubtl.backbones.lenet import LeNet
from hubtl.errors import HubtlError
from hubtl.models import ensemble, onnx
from hubtl.models import saved as api
from hubtl.modules import Classifier
from hubtl.record import Outputs
from hubtl.tuners import LoRA
from tests.backbones.test_loading import CLASSES, resolve, tiny
from tests.tiny import hubtl_command

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).parents[2]
META = {"task": "classification", "strategy": "coral", "base_model": "me/base", "revision": "abc"}


def saved(folder, backbone, outputs=CLASSES, **meta):
    torch.manual_seed(1)
    head = nn.Linear(backbone.info.width, len(getattr(outputs, "names", outputs)))
    with torch.no_grad():
        head.weight.mul_(4)
    api.save(folder, backbone, head, outputs, META | meta)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("onnx") / "run", resolve("lenet"))


@pytest.fixture(scope="module")
def exported(run):
    return hubtl.load(run).export_onnx(run / "model.onnx")


def answers(path, **given):
    """Outputs of a file for arrays by the names of its inputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, given)[0]


def about(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return json.loads(session.get_modelmeta().custom_metadata_map["hubtl"])


def pixels(model, n):
    spec = model.info.input
    return torch.randn(n, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(n))


def equal(path, model, sizes=(1, 2, 5)):
    for n in sizes:
        x = pixels(model, n)
        with torch.no_grad():
            wanted = sum(factor * part.classifier({"image": x}) for part, factor in model.parts()).numpy()
        assert np.ptp(wanted) > 1e-2
        np.testing.assert_allclose(answers(path, pixel_values=x.numpy()), wanted, atol=1e-4)


def test_a_file_answers_as_pytorch_for_any_number_of_rows(run, exported):
    equal(exported.path, hubtl.load(run))
    assert exported.difference < 1e-5
    assert exported.about["inputs"] == {"pixel_values": {"shape": ["batch", 1, 28, 28], "dtype": "float32"}}
    assert sorted(p.name for p in run.iterdir()) == ["config.json", "hubtl.json", "model.onnx", "model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("test_resnet", 32), ("test_vit", None), ("torchvision:resnet18", 32), ("vit", None), ("swin", None)],
)
def test_models_of_every_library_answer_alike(name, size, tmp_path):
    backbone = resolve(name, size) if name not in ("vit", "swin") else None
    if backbone is None:
        tiny(name).save_pretrained(tmp_path / "base")
        backbone = resolve(tmp_path / "base", size, pretrained=True)
    model = hubtl.load(saved(tmp_path / "run", backbone.eval()))
    made = model.export_onnx(tmp_path / "model.onnx")
    equal(made.path, model)
    assert made.about["model"]["library"] == backbone.info.library
    implementations = {
        getattr(m.config, "_attn_implementation", None) for m in backbone.modules() if hasattr(m, "config")
    }
    assert implementations <= {"sdpa", None}, "what was switched for the export is switched back"


def test_the_file_says_where_it_comes_from_and_how_its_outputs_are_read(run, exported):
    told = about(exported.path)
    assert told == json.loads(json.dumps(exported.about))
    assert told["hubtl"] == hubtl.__version__
    assert told["answers"]["names"] == CLASSES
    assert told["answers"]["activation"] == "softmax"
    assert (told["model"]["base_model"], told["model"]["revision"]) == ("me/base", "abc")
    assert list(told["model"]["sha256"]) == ["model.safetensors"]
    assert told["preprocessing"]["image"]["mode"] == "L"


@pytest.mark.slow
def test_tasks_say_their_thresholds_and_units(tmp_path):
    cuts = Outputs(names=["x", "y", "z"], details={"thresholds": [0.2, 0.5, 0.7]})
    several = hubtl.load(saved(tmp_path / "a", resolve("lenet"), cuts, task="multi-label")).export_onnx(
        tmp_path / "a.onnx"
    )
    assert several.about["answers"] | {"names": 0} == {
        "names": 0,
        "activation": "sigmoid",
        "answer": "those above their thresholds",
        "thresholds": [0.2, 0.5, 0.7],
    }
    kilos = Outputs(names=["weight"], details={"unit": ["kg"], "margin": [0.5]})
    model = hubtl.load(saved(tmp_path / "b", resolve("lenet"), kilos, task="regression"))
    numbers = model.export_onnx(tmp_path / "b.onnx")
    assert numbers.about["answers"]["units"] == ["kg"]
    assert numbers.about["answers"]["margins"] == [0.5]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8))
    x = ((np.asarray(picture, np.float32) / 255 - 0.5) / 0.5)[None, None]
    (answer,) = model.predict([picture])
    assert answers(numbers.path, pixel_values=x)[0, 0] == pytest.approx(answer.values["weight"], abs=1e-4)


@pytest.mark.slow
def test_an_average_is_one_file_where_its_models_take_the_same_inputs(tmp_path):
    members = [resolve("lenet"), resolve("lenet")]
    with torch.no_grad():
        for p in members[1].parameters():
            p.mul_(1.1)
    for number, backbone in enumerate(members):
        saved(tmp_path / "kept" / str(number), backbone)
    ensemble.write(tmp_path / "kept", [0.3, 0.7])
    model = hubtl.load(tmp_path / "kept")
    made = model.export_onnx(tmp_path / "model.onnx")
    equal(made.path, model)
    assert made.about["model"]["averaged"] == 2
    assert sorted(made.about["model"]["sha256"]) == ["0/model.safetensors", "1/model.safetensors"]
    saved(tmp_path / "kept" / "1", resolve("test_resnet", 32))
    with pytest.raises(HubtlError, match="prepare their inputs in different ways"):
        hubtl.load(tmp_path / "kept").export_onnx(tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.slow
def test_merged_lora_is_in_the_file(tmp_path):
    backbone, tuner = resolve("test_vit", 32), LoRA(LoRA.Options(rank=2))
    tuner.apply(backbone)
    with torch.no_grad():
        for name, p in backbone.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.3)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        live = backbone.eval()({"image": x}).pooled
        tuner.merge(backbone)
        head = nn.Linear(backbone.info.width, 2)
        wanted = head(live).numpy()
    api.save(tmp_path / "run", backbone, head, ["a", "b"], META)
    made = hubtl.load(tmp_path / "run").export_onnx(tmp_path / "model.onnx")
    np.testing.assert_allclose(answers(made.path, pixel_values=x.numpy()), wanted, atol=1e-4)


def test_a_file_that_differs_is_not_written(run, tmp_path, monkeypatch):
    see = LeNet.see
    monkeypatch.setattr(LeNet, "see", lambda self, x: see(self, x) + 0.01 * torch.compiler.is_compiling())
    (tmp_path / "model.onnx").write_bytes(b"an earlier one")
    with pytest.raises(HubtlError, match="answers otherwise than PyTorch"):
        hubtl.load(run).export_onnx(tmp_path / "model.onnx")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("model.onnx", b"an earlier one")]


def test_a_model_that_cannot_be_traced_is_one_error(run, tmp_path, monkeypatch):
    see = LeNet.see
    monkeypatch.setattr(LeNet, "see", lambda self, x: see(self, x * float(x.sum() > 0)))
    with pytest.raises(HubtlError, match="cannot be written as ONNX"):
        hubtl.load(run).export_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_opset_is_written_or_refused(run, tmp_path):
    model = hubtl.load(run)
    assert model.export_onnx(tmp_path / "model.onnx", opset=19).difference < 1e-5
    with pytest.raises(HubtlError, match="cannot be written in opset 99"):
        model.export_onnx(tmp_path / "other.onnx", opset=99)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_weights_that_are_too_many_for_one_file_are_beside_it(run, tmp_path, monkeypatch):
    model = hubtl.load(run)
    inside = model.export_onnx(tmp_path / "model.onnx")
    assert inside.data is None
    monkeypatch.setattr(onnx, "MOST", 1000)  # bytes
    made = model.export_onnx(tmp_path / "model.onnx")
    assert made.data == tmp_path / "model.onnx.data"
    assert made.path.stat().st_size < 100_000 < made.data.stat().st_size
    equal(made.path, model, (3,))
    monkeypatch.undo()
    assert model.export_onnx(tmp_path / "model.onnx").data is None
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"], "the weights of the file before it are gone"


class Dense(Classifier):
    """Outputs [b, c, h, w]: one for each of nine sites, by the linear head."""

    def forward(self, inputs, present=None):
        pooled = self.encoder(inputs, present).pooled
        sites = torch.stack([pooled * (1 + 0.1 * site) for site in range(9)], dim=1)
        return self.head(sites).transpose(1, 2).unflatten(2, (3, 3))


def test_dense_outputs_keep_their_shape(run, tmp_path):
    model = hubtl.load(run)
    model.classifier = Dense(model.classifier.encoder, model.classifier.head).eval()
    made = model.export_onnx(tmp_path / "model.onnx")
    assert made.about["outputs"]["logits"]["shape"] == ["batch", 5, 3, 3]
    x = pixels(model, 4)
    with torch.no_grad():
        np.testing.assert_allclose(
            answers(made.path, pixel_values=x.numpy()), model.classifier({"image": x}), atol=1e-4
        )


def test_half_precision_is_written_as_single(run, tmp_path):
    model = hubtl.load(run)
    model.classifier.half()
    made = model.export_onnx(tmp_path / "model.onnx")
    assert next(model.classifier.parameters()).dtype == torch.half, "the live model stays as it was"
    assert answers(made.path, pixel_values=pixels(model, 1).numpy()).dtype == np.float32


def hide(monkeypatch, *names):
    find = onnx.verify.importlib.util.find_spec
    monkeypatch.setattr(
        onnx.verify.importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest)
    )


def test_without_the_extra_there_is_one_error(run, tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "onnxscript")
    code, _, err = hubtl_command(["export", str(run), str(tmp_path / "m.onnx"), "--onnx"], capsys)
    assert code == 2
    assert "error: ONNX is written by onnxscript, which is not installed" in err
    assert 'try:   pip install "hubtl[onnx]"' in err


def test_without_onnxruntime_the_file_is_written_and_not_verified(run, tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "onnxruntime")
    code, out, _ = hubtl_command(["export", str(run), str(tmp_path / "m.onnx"), "--onnx"], capsys)
    assert code == 0
    assert "verified   no: onnxruntime is not installed" in out
    monkeypatch.undo()
    equal(tmp_path / "m.onnx", hubtl.load(run), (2,))


def test_the_command_says_what_it_wrote(run, tmp_path, capsys):
    code, out, _ = hubtl_command(["export", str(run), str(tmp_path / "m.onnx"), "--onnx"], capsys)
    assert code == 0
    assert "inputs     pixel_values [batch, 1, 28, 28]\noutput     logits [batch, 5]\nverified   yes" in out
    code, out, _ = hubtl_command(["export", str(run), str(tmp_path / "m.onnx"), "--onnx", "--json"], capsys)
    assert json.loads(out)["answers"]["names"] == CLASSES
    code, _, err = hubtl_command(["export", str(run)], capsys)
    assert (code, "--onnx" in err.splitlines()[-1]) == (2, True)


WITHOUT = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "hubtl", "timm", "transformers", "onnx"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Without())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "shape"), [("lenet", None, (40, 31, 3)), ("test_resnet", 32, (70, 45, 4))])
def test_the_code_on_the_page_gives_hubtls_answers_without_torch(name, size, shape, tmp_path):
    """The picture is neither square nor of the model's colours."""
    model = hubtl.load(saved(tmp_path / "run", resolve(name, size)))
    model.export_onnx(tmp_path / "model.onnx")
    array = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "image.png")
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    code = page.split("<!-- image -->\n```python\n")[1].split("```")[0]
    printed = "\nprint(json.dumps([logits.tolist(), names]))"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code + printed], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    logits, names = json.loads(done.stdout.splitlines()[-1])
    wanted = model.logits([Image.open(tmp_path / "image.png")])
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    assert names == CLASSES
