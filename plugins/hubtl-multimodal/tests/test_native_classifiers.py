"""transformers' own classifiers of texts and of recordings: what is saved gives the live logits, without hubtl."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_encoders_hub import cached
from tiny_encoders import audio_model, text_model, tone
from torch import nn

import hubtl as library
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.modalities.native.backbone import NativeClassifier
from hubtl.models import saved as api
from hubtl.modules import Bottleneck, Classifier, Encoder, fold
from hubtl.tuners import LoRA
from tests.fresh import PRELUDE

CLASSES = ["good", "bad", "boring"]
META = {"task": "classification", "strategy": "dann", "base_model": None, "revision": None}
TEXT = ["bert", "distilbert", "roberta", "electra", "deberta-v2"]  # whose weights lack a head: the mean
OWN = [f"{kind}-own" for kind in TEXT]  # pooled by the library's own head
AUDIO = ["ast", "wav2vec2-group", "wav2vec2-layer", "hubert", "whisper"]
SECONDS = 0.4
TEXTS = ["the film was good", "bad", "a very very boring film was the film"]
SOUNDS = [tone(seconds, hertz=hertz) for seconds, hertz in ((0.3, 440.0), (0.12, 900.0), (0.2, 1500.0))]
CELLS = {"text": TEXTS, "audio": [(sound, 16000) for sound in SOUNDS]}

FRESH = PRELUDE.replace("BLOCKED", repr(("hubtl", "hubtl_multimodal")))
OPENED = """
import json, numpy as np
from transformers import (AutoFeatureExtractor, AutoModelForAudioClassification, AutoModelForSequenceClassification,
                          AutoTokenizer, pipeline)

found = {}
cells = json.load(sys.stdin)
sounds = [np.array(sound, dtype=np.float32) for sound in cells["audio"]]
for name, modality, where in json.loads(sys.argv[1]):
    if modality == "text":
        code = {} if name.endswith("own") else {"trust_remote_code": True}
        model, report = AutoModelForSequenceClassification.from_pretrained(where, output_loading_info=True, **code)
        tokenizer = AutoTokenizer.from_pretrained(where, **code)
        given = tokenizer(cells["text"], padding=True, return_tensors="pt")
        single = [tokenizer(text, return_tensors="pt") for text in cells["text"]]
        said = pipeline("text-classification", model=where, **code)(cells["text"], top_k=None)
    else:
        model, report = AutoModelForAudioClassification.from_pretrained(where, output_loading_info=True)
        extractor = AutoFeatureExtractor.from_pretrained(where)
        given = extractor(sounds, sampling_rate=16000, padding=cells["padding"].get(name, True), return_tensors="pt")
        single = [extractor(sound, sampling_rate=16000, return_tensors="pt") for sound in sounds]
        said = [pipeline("audio-classification", model=where)(sound) for sound in sounds]
    model.eval()
    found[name] = {
        "batch": model(**given).logits.tolist(),
        "single": [model(**row).logits[0].tolist() for row in single],
        "labels": [model.config.id2label[i] for i in range(model.config.num_labels)],
        "report": sorted({*report["missing_keys"], *report["unexpected_keys"]}),
        "said": [{one["label"]: one["score"] for one in row} for row in said],
    }
print(json.dumps([found, "hubtl" in sys.modules]))
"""


def opened(listed, environment=None) -> dict:
    """Run the library alone on models, in a process without hubtl. A model has name, modality and place."""
    # Whisper's and AST's extractors pad to a length of their own, whoever asks
    cells = {
        "text": TEXTS,
        "audio": [s.tolist() for s in SOUNDS],
        "padding": dict.fromkeys(("ast", "whisper"), "max_length"),
    }
    command = [sys.executable, "-c", FRESH + OPENED, json.dumps(listed)]
    done = subprocess.run(
        command, input=json.dumps(cells), capture_output=True, text=True, check=False, timeout=200, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found, imported = json.loads(done.stdout.splitlines()[-1])
    assert not imported
    return found


def model_folder(kind: str, folder: Path) -> Path:
    return text_model(kind.removesuffix("-own"), folder) if kind in (*TEXT, *OWN) else audio_model(kind, folder)


def native(kind: str, folder: Path, **request) -> NativeClassifier:
    torch.manual_seed(0)
    options = {"pooling": "own"} if kind in OWN else {} if kind in TEXT else {"seconds": SECONDS}
    built = backbones.resolve(
        str(model_folder(kind, folder)), BackboneRequest(CLASSES, **{"options": options} | request)
    )
    assert isinstance(built, NativeClassifier)
    with torch.no_grad():
        for module in built.modules():  # at the 0.02 of a fresh model one text gives what any other does
            learnt = isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d) and module.weight.requires_grad
            if learnt and not hasattr(module, "parametrizations"):
                module.weight.mul_(8)
    return built.eval()


def trained(width: int) -> tuple[nn.Module, nn.Linear]:
    bottleneck, head = Bottleneck(width, 8), nn.Linear(8, len(CLASSES))
    bottleneck[1].running_mean.normal_(std=0.1)
    bottleneck[1].running_var.uniform_(0.05, 0.5)
    with torch.no_grad():
        head.weight.mul_(4)
    return bottleneck.eval(), head


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every family: its folder, the live logits of three rows together, and what the library alone makes of them."""
    root = tmp_path_factory.mktemp("native")
    found, listed = {}, []
    for kind in (*TEXT, *OWN, *AUDIO):
        built = native(kind, root / "base" / kind)
        bottleneck, head = trained(built.info.width)
        api.save(root / kind, built, fold(bottleneck, head), CLASSES, META)
        live = api.AdaptedModel(Classifier(Encoder(built, bottleneck), head), built.info, CLASSES)
        found[kind] = root / kind, built, live.logits(CELLS[built.modality])
        listed.append((kind, built.modality, str(root / kind)))
    theirs = opened(listed)
    return {kind: (*own, theirs[kind]) for kind, own in found.items()}


@pytest.mark.parametrize("kind", [*TEXT, *OWN, *AUDIO])
def test_the_library_alone_gives_the_live_logits_and_the_names(saved, kind):
    folder, built, live, theirs = saved[kind]
    assert (live[0] - live[1]).abs().max() > 1e-2  # rows are told apart
    if kind != "wav2vec2-group":  # which was trained without a mask: padding in a batch changes what it hears
        assert torch.allclose(torch.tensor(theirs["batch"]), live, atol=1e-4)
    assert torch.allclose(torch.tensor(theirs["single"]), live, atol=1e-4)
    assert theirs["labels"] == CLASSES
    assert theirs["report"] == []
    for row, said in zip(live.softmax(dim=1), theirs["said"], strict=True):
        assert [said[name] for name in CLASSES] == pytest.approx(row.tolist(), abs=1e-4)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "hubtl.json"}
    own = {"tokenizer.json", "tokenizer_config.json"} if built.modality == "text" else {"preprocessor_config.json"}
    assert names >= own
    assert ("modeling_pooled.py" in names) == (kind in TEXT)
    facts = json.loads((folder / "hubtl.json").read_text())
    assert (facts["library"], facts["native"], facts["modalities"]) == ("transformers", True, [built.modality])
    assert json.loads((folder / "config.json").read_text())["problem_type"] == "single_label_classification"


@pytest.mark.parametrize("kind", [*TEXT, *OWN, *AUDIO])
def test_hubtl_loads_what_it_saved_with_the_input_that_it_learnt_on(saved, kind):
    folder, built, live, _ = saved[kind]
    loaded = library.load(folder, device="cpu")
    assert torch.allclose(loaded.logits(CELLS[built.modality]), live, atol=1e-5)
    assert loaded.classes == CLASSES
    assert loaded.info.input == built.info.input
    assert loaded.info.notes == ()  # nothing starts from random weights any more
    rows = [{built.modality: cell} for cell in CELLS[built.modality]]
    assert [p.label for p in loaded.predict(rows)] == [CLASSES[i] for i in live.argmax(dim=1)]
    assert [p.label for p in loaded.predict(CELLS[built.modality])] == [CLASSES[i] for i in live.argmax(dim=1)]


@pytest.mark.parametrize("kind", [*TEXT, *OWN, *AUDIO])
def test_features_of_a_row_depend_on_that_row_alone(saved, kind):
    _, built, _, _ = saved[kind]
    cells = CELLS[built.modality]
    together = built(built.collate(cells)).pooled
    for i, cell in enumerate(cells):
        assert torch.allclose(built(built.collate([cell])).pooled[0], together[i], atol=1e-4)


@pytest.mark.parametrize("kind", [*TEXT, *OWN, *AUDIO])
def test_what_learns_has_a_gradient_and_what_has_none_is_frozen(tmp_path, kind):
    built = native(kind, tmp_path / "m").train()
    parameters = [p for _, own in built.blocks() for p in own]
    assert len(parameters) == len(set(parameters)) == len(list(built.parameters()))
    idle = set(built.frozen())
    built(built.collate(CELLS[built.modality])).pooled.square().sum().backward()
    without = [n for n, p in built.named_parameters() if p.requires_grad and p.grad is None and p not in idle]
    assert without == []
    fresh = {"bert-own": "bert.pooler.dense", "distilbert-own": "pre_classifier"}.get(kind)
    if fresh is not None:
        assert any(note.startswith(fresh) for note in built.info.notes)
        weight = built.model.get_submodule(fresh).weight
        assert built.rates()[weight] == 1.0


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "whisper"])
def test_what_is_off_while_training_is_saved_as_it_came(tmp_path, kind):
    folder = audio_model(kind, tmp_path / "m")
    keys = ("mask_time_prob", "layerdrop", "encoder_layerdrop", "apply_spec_augment")
    path = folder / "config.json"
    came = json.loads(path.read_text()) | {"mask_time_prob": 0.4, "layerdrop": 0.3, "encoder_layerdrop": 0.2}
    path.write_text(json.dumps(came))
    built = backbones.resolve(str(folder), BackboneRequest(CLASSES, options={"seconds": SECONDS})).train()
    for module in built.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    built.model.config.hidden_dropout = 0.0
    given = built.collate(CELLS["audio"])
    runs = [built(given).pooled for _ in range(4)]
    same = [torch.allclose(runs[0], other, atol=1e-5) for other in runs[1:]]
    if kind == "whisper":  # whose dropout is no module
        assert built.model.encoder.layerdrop == 0.0
    else:
        assert built.model.config.mask_time_prob == built.model.config.layerdrop == 0.0
        assert len(same) == 3
    api.save(tmp_path / "run", built, nn.Linear(built.info.width, 3), CLASSES, META)
    after = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {k: after[k] for k in keys if k in came} == {k: came[k] for k in keys if k in came}


@pytest.mark.parametrize("kind", ["bert", "roberta-own", "ast", "wav2vec2-layer"])
def test_merged_lora_ships_as_a_plain_model(tmp_path, kind):
    built = native(kind, tmp_path / "m")
    plain = sorted(built.model.state_dict())
    tuner = LoRA(LoRA.Options(rank=2))
    tuner.apply(built)
    with torch.no_grad():
        for name, p in built.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.3)
    head = nn.Linear(built.info.width, len(CLASSES))
    live = api.AdaptedModel(Classifier(Encoder(built), head), built.info, CLASSES, "cpu")
    logits = live.logits(CELLS[built.modality])
    tuner.merge(built)
    assert sorted(built.model.state_dict()) == plain
    api.save(tmp_path / "run", built, head, CLASSES, META)
    assert torch.allclose(library.load(tmp_path / "run", device="cpu").logits(CELLS[built.modality]), logits, atol=1e-4)


@pytest.mark.parametrize("kind", ["distilbert", "ast", "hubert"])
def test_without_pretrained_weights_the_configuration_is_enough(tmp_path, kind):
    folder = model_folder(kind, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    built = backbones.resolve(str(folder), BackboneRequest(CLASSES, pretrained=False))
    assert not built.info.pretrained
    assert built.info.notes == ()
    with pytest.raises(HubtlError, match=r"does not load|no model files|holds no weights") as caught:
        backbones.resolve(str(folder), BackboneRequest(CLASSES))
    assert caught.value.hint


def test_the_classes_that_a_model_came_with_are_kept_where_they_are_asked_for(saved):
    folder, _, _, _ = saved["distilbert"]
    kept = backbones.resolve(str(folder), BackboneRequest(["x", "y"], keep_classifier=True)).kept
    assert kept is not None
    assert kept[0].shape[0] == len(CLASSES)


def test_snippets_run_without_hubtl(saved, tmp_path):
    soundfile.write(tmp_path / "sound.wav", np.stack([SOUNDS[0], SOUNDS[0]], axis=1), 16000, subtype="FLOAT")
    cells = dict.fromkeys(("distilbert", "distilbert-own"), "What it says.") | {"hubert": str(tmp_path / "sound.wav")}
    for kind, cell in cells.items():
        folder, built, _, _ = saved[kind]
        said = "import json\nprint(json.dumps([logits[0].tolist(), names[logits.argmax().item()]]))"
        code = FRESH + built.snippet(str(folder)) + said
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-3000:]
        logits, label = json.loads(done.stdout.splitlines()[-1])
        (ours,) = library.load(folder, device="cpu").predict(cell)
        assert label == ours.label
        assert torch.tensor(logits).softmax(0).max().item() == pytest.approx(ours.confidence, abs=1e-4)


def test_names(tmp_path):
    home = tmp_path / "home"
    cached(home, "tiny-bert", text_model("bert", tmp_path / "text"))
    cached(home, "user/ears", audio_model("ast", tmp_path / "audio"))
    names = [
        "tiny-bert",
        "transformers:tiny-bert",
        "user/ears",
        "hf-hub:user/ears",
        f"transformers:{tmp_path / 'text'}",
    ]
    program = """
import json, sys
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.backbones.reference import ModelRef
from hubtl.errors import HubtlError
found = []
for name in json.loads(sys.argv[1]):
    info = backbones.resolve(name, BackboneRequest(["a", "b"])).info
    found.append([ModelRef(name).modalities, info.modalities, info.base_model, info.license, info.library])
try:
    backbones.resolve("tiny-bret", BackboneRequest(["a", "b"]))
except HubtlError as error:
    found.append(str(error))
print(json.dumps(found))
"""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(names)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    bert = [["text"], ["text"], "tiny-bert", "apache-2.0", "transformers"]
    ears = [["audio"], ["audio"], "user/ears", "apache-2.0", "transformers"]
    assert found[:4] == [bert, bert, ears, ears]
    assert found[4] == [["text"], ["text"], None, None, "transformers"]
    assert "unknown model" in found[5]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("distilbert", {"options": {"seconds": 1.0}}, "has no seconds"),
        ("ast", {"options": {"max_length": 8}}, "has no max_length"),
        ("ast", {"options": {"pooling": "mean"}}, "has no pooling"),
        ("bert", {"options": {"pooling": "first"}}, "pooling"),
        ("bert", {"options": {"normalize": True}}, "model.normalize needs model.pooling"),
        ("bert", {"options": {"pooling": "own", "normalize": True}}, "is not normalised"),
        ("whisper", {"options": {"seconds": 5.0}}, "hears 1 seconds, not 5"),
        ("bert", {"options": {"fusion": "late"}}, "fusion"),
    ],
)
def test_options_of_another_modality_are_errors(tmp_path, kind, changes, message):
    with pytest.raises(HubtlError, match=message) as caught:
        native(kind, tmp_path / "m", **changes)
    assert caught.value.hint


def test_models_that_are_not_taken_say_so(tmp_path):
    text_model("bert", tmp_path / "bare", with_tokenizer=False)
    with pytest.raises(HubtlError, match="without a tokenizer"):
        backbones.resolve(str(tmp_path / "bare"), BackboneRequest(CLASSES))
    audio_model("wav2vec2-layer", tmp_path / "mute")
    (tmp_path / "mute" / "preprocessor_config.json").unlink()
    with pytest.raises(HubtlError, match="without a feature extractor"):
        backbones.resolve(str(tmp_path / "mute"), BackboneRequest(CLASSES))
    import transformers as hf

    for name, config, message in (
        (
            "gpt",
            hf.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=15, pad_token_id=0),
            "linear layer with a bias",
        ),
        ("bart", hf.BartConfig(d_model=16, encoder_layers=1, decoder_layers=1, vocab_size=15), "with a decoder"),
        ("sew", hf.SEWConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2), "of the type sew"),
    ):
        folder = tmp_path / name
        shutil.copytree(tmp_path / "bare", folder)
        config.save_pretrained(folder)
        from tiny_encoders import tokenizer

        tokenizer(folder)
        with pytest.raises(HubtlError, match=message) as caught:
            backbones.resolve(str(folder), BackboneRequest(CLASSES, pretrained=False))
        assert caught.value.hint


def test_the_cards_code_is_the_one_that_it_shows(saved):
    """The output of ``hubtl push`` names the library's class for the modality."""
    from hubtl.hub.push import load_snippet

    texts, sounds = "AutoModelForSequenceClassification", "AutoModelForAudioClassification"
    for kind, cls, code in (
        ("bert", texts, ", trust_remote_code=True"),
        ("bert-own", texts, ""),
        ("hubert", sounds, ""),
    ):
        said = load_snippet(saved[kind][0], "user/name")
        assert said == f'from transformers import {cls}\nmodel = {cls}.from_pretrained("user/name"{code})'
