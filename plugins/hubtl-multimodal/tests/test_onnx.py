"""ONNX files of texts, recordings and several modalities answer as PyTorch does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_native_classifiers import CELLS, CLASSES, META, TEXTS, native, trained
from torch import nn

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.models import saved as api
from hubtl.modules import fold
from tests.models.test_onnx import WITHOUT, answers

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
KINDS = ["bert", "bert-own", "deberta-v2", "ast", "wav2vec2-group", "wav2vec2-layer", "whisper"]
INPUTS = {"ast": ["input_values"], "whisper": ["input_features"], "wav2vec2-group": ["input_values"]}
SMALL = {"width": 16, "layers": 1, "heads": 2, "bottlenecks": 2, "latents": 4, "max_length": 12, "seconds": 0.3}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Make a model of a family, saved and exported, once."""
    made = {}

    def make(kind):
        if kind not in made:
            root = tmp_path_factory.mktemp("onnx")
            backbone = native(kind, root / "base")
            api.save(root / "run", backbone, fold(*trained(backbone.info.width)), CLASSES, META)
            model = hubtl.load(root / "run")
            made[kind] = model, model.export_onnx(root / "model.onnx")
        return made[kind]

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_recordings_of_several_lengths_answer_alike(kind, exported):
    model, made = exported(kind)
    first = "attention_mask" if model.backbone.modality == "text" else None
    own = INPUTS.get(kind, ["input_ids" if first else "input_values", "attention_mask"])
    assert list(made.about["inputs"]) == own
    cells = CELLS[model.backbone.modality]
    for rows in ([cells[0]], [cells[1]], cells) if kind != "wav2vec2-group" else ([cells[0]], [cells[1]]):
        given = {name: x.numpy() for name, x in model.backbone.graph_inputs(model.intake().batch(rows)).items()}
        wanted = model.logits(rows)
        np.testing.assert_allclose(answers(made.path, **given), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["ast", "whisper", "wav2vec2-group"])
def test_the_librarys_own_extractor_makes_the_inputs(kind, exported):
    from transformers import AutoFeatureExtractor

    model, made = exported(kind)
    how = made.about["preprocessing"]["audio"]
    extractor = AutoFeatureExtractor.from_pretrained(model.folder)
    for sound, rate in CELLS["audio"]:
        cut = sound[: round(how["seconds"] * how["sampling_rate"])]
        given = extractor(cut, sampling_rate=rate, return_tensors="np")
        own = {name: given[name] for name in made.about["inputs"]}
        np.testing.assert_allclose(answers(made.path, **own), model.logits([(sound, rate)]), atol=1e-4)


def test_the_code_on_the_page_answers_texts_without_torch(exported, tmp_path):
    model, made = exported("bert")
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    code = page.split("<!-- text -->\n```python\n")[1].split("```")[0]
    code = code.replace("RUN_DIR", str(model.folder)).replace('"model.onnx"', repr(str(made.path)))
    code = code.replace('["What it says.", "And more."]', repr(TEXTS))
    printed = "\nprint(json.dumps(logits.tolist()))"
    done = subprocess.run([sys.executable, "-c", WITHOUT + code + printed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), model.logits(TEXTS), atol=1e-4)


@pytest.mark.parametrize(
    ("fusion", "modalities"), [("bottleneck", ("image", "text", "audio")), ("late", ("image", "text"))]
)
def test_several_modalities_answer_alike_whichever_is_missing(fusion, modalities, models, tmp_path):
    from trimodal import picture

    torch.manual_seed(0)
    options = {k: v for k, v in SMALL.items() if k != "seconds" or "audio" in modalities}
    request = BackboneRequest(CLASSES, options={**options, "fusion": fusion})
    backbone = backbones.resolve(models.named(*modalities), request).eval()
    api.save(tmp_path / "run", backbone, nn.Linear(backbone.info.width, 3), CLASSES, META)
    model = hubtl.load(tmp_path / "run")
    made = model.export_onnx(tmp_path / "model.onnx")
    cells = {"image": picture(1, np.random.default_rng(0)), "text": TEXTS[2], "audio": CELLS["audio"][0]}
    whole = {m: cells[m] for m in modalities}
    rows = [whole, *({m: cell for m, cell in whole.items() if m != gone} for gone in modalities)]
    given = {name: x.numpy() for name, x in model.intake().batch(rows).items()}
    wanted = model.logits(rows)
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3
    np.testing.assert_allclose(answers(made.path, **given), wanted, atol=1e-4)
    assert set(made.about["preprocessing"]) == set(modalities)
