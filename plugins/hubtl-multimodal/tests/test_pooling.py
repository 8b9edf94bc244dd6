"""How texts become one vector: by the model's sentence-transformers modules, by its own trained head, else by the mean."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers as hf
from datasets import Dataset
from test_native_classifiers import FRESH
from test_native_runs import typed
from tiny_encoders import audio_model, text_model, tone
from torch import Tensor, nn

import hubtl as library
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.errors import HubtlError
from hubtl.modalities.text import pooling
from hubtl.modalities.text.modeling_pooled import MODES, pooled
from hubtl.models import saved as api
from hubtl.record import RunRecord
from tests.hub.loopback import env_for, start

CLASSES = ["good", "bad", "boring"]
META = {"task": "classification", "strategy": "source-only"}
TEXTS = ["the film was good", "bad", "a very very boring film was the film"]


def by_hand(rows: list[Tensor], mode: str) -> Tensor:
    """The pooling of rows [t, d] without padding, one after another."""
    found = {
        "cls": lambda h: h[0],
        "max": lambda h: h.max(dim=0).values,
        "mean": lambda h: h.mean(dim=0),
        "mean_sqrt_len_tokens": lambda h: h.sum(dim=0) / len(h) ** 0.5,
        "weightedmean": lambda h: sum((i + 1) * row for i, row in enumerate(h)) / sum(range(1, len(h) + 1)),
        "lasttoken": lambda h: h[-1],
    }
    return torch.stack([torch.cat([found[one](row) for one in mode.split("+")]) for row in rows])


def sentence(
    folder: Path, kind: str = "bert", *, normalize: bool = False, after: tuple[str, ...] = (), **given
) -> Path:
    """A folder as sentence-transformers writes it."""
    text_model(kind, folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [(f"{i + 2}_{name}", name) for i, name in enumerate((*after, *(["Normalize"] if normalize else [])))]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **given}))
    return folder


def of(folder: Path, *, pretrained: bool = True, **options) -> backbones.Backbone:
    return backbones.resolve(str(folder), BackboneRequest(CLASSES, pretrained=pretrained, options=options)).eval()


def hidden(folder: Path) -> list[Tensor]:
    """The library's own last hidden states, a text at a time: [t, d] each."""
    model = hf.AutoModel.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in TEXTS]


def vectors(built: backbones.Backbone, texts: list[str] = TEXTS) -> Tensor:
    with torch.no_grad():
        return built(built.collate(texts)).pooled


@pytest.mark.parametrize("mode", [*MODES, "cls+mean"])
@pytest.mark.parametrize("left", [False, True])
def test_each_mode_is_what_its_name_says_whatever_the_padding(mode, left):
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(t, 5, generator=generator) for t in (4, 1, 7)]
    padded, mask = torch.full((3, 9, 5), 77.0), torch.zeros(3, 9, dtype=torch.long)
    for i, row in enumerate(rows):
        at = slice(9 - len(row), 9) if left else slice(0, len(row))
        padded[i, at], mask[i, at] = row, 1
    if left and mode == "weightedmean":  # whose weights count places, the padding's too, as in sentence-transformers
        return
    torch.testing.assert_close(pooled(padded, mask, mode, False), by_hand(rows, mode))
    lengths = pooled(padded, mask, mode, True).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(3))


def test_the_modes_are_known_by_the_same_names_in_both_places():
    assert pooling.MODES == MODES


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("newer", [False, True])
def test_a_folder_of_sentence_transformers_pools_as_it_says(tmp_path, mode, newer):
    given = {"pooling_mode": mode} if newer else {key: name == mode for name, key in pooling.KEYS.items()}
    folder = sentence(tmp_path / "m", normalize=True, **given)
    built = of(folder)
    expected = nn.functional.normalize(by_hand(hidden(folder), mode), dim=1)
    torch.testing.assert_close(vectors(built), expected, rtol=1e-4, atol=1e-5)
    assert built.info.input.as_dict() == {"max_length": 40, "pooling": mode, "normalize": True}
    assert "as its 1_Pooling/config.json says" in built.info.notes[0]
    assert built.info.architecture == "bert"


def test_several_modes_stand_side_by_side(tmp_path):
    folder = sentence(tmp_path / "m", pooling_mode_cls_token=True, pooling_mode_max_tokens=True)  # mean is its default
    built = of(folder)
    assert built.info.width == 48
    torch.testing.assert_close(vectors(built), by_hand(hidden(folder), "cls+max+mean"), rtol=1e-4, atol=1e-5)


def test_a_module_that_is_not_read_is_named_and_its_length_is_not_taken(tmp_path):
    built = of(sentence(tmp_path / "m", normalize=True, after=("Dense",), pooling_mode="cls"))
    assert built.info.input.as_dict()["normalize"] is False
    assert any("Dense" in note for note in built.info.notes)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra", "deberta-v2"])
def test_a_head_that_the_weights_lack_gives_way_to_the_mean(tmp_path, kind):
    folder = text_model(kind, tmp_path / "m")
    built = of(folder)
    torch.testing.assert_close(vectors(built), by_hand(hidden(folder), "mean"), rtol=1e-4, atol=1e-5)
    assert built.info.notes == (
        "pooled by the mean over tokens: the weights lack the library's own pooling head; "
        "with --set model.pooling=own that head is trained, and the saved model opens without code",
    )


def test_a_head_that_came_with_its_weights_stays(tmp_path):
    """bert-base-uncased's pooler is of next sentence prediction: the library's classifier begins with it."""
    folder = text_model("bert", tmp_path / "m")
    hf.BertForPreTraining(hf.AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    built = of(folder)
    model = hf.AutoModel.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer(text, return_tensors="pt")).pooler_output for text in TEXTS])
    torch.testing.assert_close(vectors(built), expected, rtol=1e-4, atol=1e-5)
    assert (built.info.input.as_dict()["pooling"], built.info.notes) == ("own", ())
    by_mean = of(folder, pooling="mean")
    torch.testing.assert_close(vectors(by_mean), by_hand(hidden(folder), "mean"), rtol=1e-4, atol=1e-5)


def test_a_network_that_is_all_random_keeps_its_own_head(tmp_path):
    assert of(text_model("distilbert", tmp_path / "m"), pretrained=False).info.input.as_dict()["pooling"] == "own"


def test_what_is_chosen_by_hand_goes_before_what_the_folder_says(tmp_path):
    folder = sentence(tmp_path / "m", pooling_mode="mean", normalize=True)
    assert of(folder, pooling="max").info.input.as_dict()["pooling"] == "max"
    assert of(folder, normalize=False).info.input.as_dict() == {"max_length": 40, "pooling": "mean", "normalize": False}
    own = of(folder, pooling="own")
    assert own.info.input.as_dict()["pooling"] == "own"
    assert any("without pretrained weights" in note for note in own.info.notes)


def test_a_text_has_the_vector_that_it_has_alone(tmp_path):
    for mode in MODES:
        built = of(sentence(tmp_path / mode, pooling_mode=mode))
        together = vectors(built)
        for i, text in enumerate(TEXTS):
            torch.testing.assert_close(vectors(built, [text])[0], together[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("modules.json", "{", "modules.json cannot be read"),
        ("modules.json", '{"a": 1}', "is no list of modules"),
        ("1_Pooling/config.json", '{"pooling_mode": "median"}', "pools by 'median'"),
        ("1_Pooling/config.json", '{"pooling_mode_mean_tokens": false}', "names no pooling"),
        ("1_Pooling/config.json", '{"pooling_mode_cls_token": "false"}', "has 'false' for pooling_mode_cls_token"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": 2}', "has 2 for pooling_mode_max_tokens"),
        ("1_Pooling/config.json", "[]", "is no mapping"),
        ("1_Pooling/config.json", None, "is missing"),
    ],
)
def test_modules_that_cannot_be_read_are_errors(tmp_path, name, written, message):
    folder = sentence(tmp_path / "m", pooling_mode="mean")
    path = folder / name
    path.unlink() if written is None else path.write_text(written)
    with pytest.raises(HubtlError, match=message) as caught:
        of(folder)
    assert "--set model.pooling=mean --set model.normalize=false" in (caught.value.hint or "")
    assert of(folder, pooling="mean", normalize=False).info.input.as_dict()["pooling"] == "mean"
    assert of(folder, pooling="own").info.input.as_dict()["pooling"] == "own"


def test_modules_may_not_lead_out_of_the_folder(tmp_path):
    folder = sentence(tmp_path / "m", pooling_mode="mean")
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = "../other"
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(HubtlError, match=r"names '\.\./other"):
        of(folder)


OPENED = """
import json
from transformers import AutoModelForSequenceClassification, AutoTokenizer

where, texts = json.loads(sys.argv[1])
found = {}
for name, folder in where.items():
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, trust_remote_code=True, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    given = tokenizer(texts, padding=True, return_tensors="pt")
    found[name] = model.eval()(**given).logits.tolist()
print(json.dumps(found))
"""


def test_each_mode_is_saved_loaded_opened_without_hubtl_and_gone_on_with(tmp_path):
    torch.manual_seed(0)
    live = {}
    for mode in [*MODES, "cls+mean"]:
        modes = {key: name in mode.split("+") for name, key in pooling.KEYS.items()}
        kind = "roberta" if mode == "max" else "bert"
        built = of(sentence(tmp_path / "base" / mode, kind, normalize=mode == "mean", **modes))
        head = nn.Linear(built.info.width, 3)
        with torch.no_grad():
            live[mode] = head(vectors(built))
        api.save(tmp_path / "saved" / mode, built, head, CLASSES, META)
        shutil.rmtree(tmp_path / "base" / mode)
        loaded = library.load(tmp_path / "saved" / mode, device="cpu")
        torch.testing.assert_close(loaded.logits(TEXTS), live[mode], rtol=1e-4, atol=1e-5)
        assert loaded.info.input == built.info.input
        again = of(tmp_path / "saved" / mode)  # for another run
        torch.testing.assert_close(vectors(again), vectors(built), rtol=1e-4, atol=1e-5)
        assert again.info.notes == ()
        assert str(tmp_path) not in (tmp_path / "saved" / mode / "config.json").read_text()
    other = of(tmp_path / "saved" / "mean", pooling="max")
    assert other.info.input.as_dict()["pooling"] == "max"
    assert not torch.allclose(vectors(other), vectors(of(tmp_path / "saved" / "mean")), atol=1e-3)
    with pytest.raises(HubtlError, match="no head of its own"):
        of(tmp_path / "saved" / "mean", pooling="own")
    where = {mode: str(tmp_path / "saved" / mode) for mode in live}
    program = FRESH.replace("torch.set_grad", "import os; os.environ['HF_HUB_OFFLINE'] = '1'\ntorch.set_grad") + OPENED
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([where, TEXTS])],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    for mode, logits in live.items():
        torch.testing.assert_close(torch.tensor(theirs[mode]), logits, rtol=1e-4, atol=1e-5)


def test_what_was_saved_before_poolings_were_recorded_predicts_as_it_did(tmp_path):
    """Such a folder has the library's head and names no pooling; it stays that head."""
    torch.manual_seed(0)
    built = of(text_model("distilbert", tmp_path / "base"), pooling="own")
    head = nn.Linear(built.info.width, 3)
    api.save(tmp_path / "run", built, head, CLASSES, META)
    for name in ("config.json", "hubtl.json"):
        said = json.loads((tmp_path / "run" / name).read_text())
        (said["hubtl"] if name == "config.json" else said)["input"] = {"max_length": 128}
        (tmp_path / "run" / name).write_text(json.dumps(said))
    with torch.no_grad():
        live = head(vectors(built))
    torch.testing.assert_close(library.load(tmp_path / "run", device="cpu").logits(TEXTS), live, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vectors(of(tmp_path / "run")), vectors(built), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "hubert", "whisper"])
def test_a_projector_that_the_weights_lack_passes_the_mean_through(tmp_path, kind):
    folder = audio_model(kind, tmp_path / "m")
    built = of(folder, seconds=0.5)
    given = built.collate([(tone(0.5), 16000)])
    with torch.no_grad():
        found = built(given).pooled
        trunk = built.model.encoder if kind == "whisper" else built.model.base_model
        expected = trunk(**built.given(given)).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert built.info.notes == ()


@pytest.mark.hub
@pytest.mark.slow
def test_a_model_of_the_hub_is_pooled_as_it_says_pushed_with_its_code_and_pulled(tmp_path):
    """Only the two small files that say how are fetched besides. Everything else is what any model has."""
    hub = start()
    try:
        home, repo = tmp_path / "home", "user/sentences"
        folder = sentence(tmp_path / "m", pooling_mode="cls", normalize=True)
        written = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        hub.add(repo, {**written, "data_config.json": b"[]", "2_Normalize/more.json": b"{}"})
        texts = {"text": [f"{TEXTS[i % 3]} film" for i in range(24)], "label": [CLASSES[i % 3] for i in range(24)]}
        Dataset.from_dict(texts).to_parquet(tmp_path / "train.parquet")
        command = ["adapt", "--model", repo, "--strategy", "linear-probe", "--steps", 3, "--batch-size", 8]
        command += ["--target-dataset", tmp_path / "train.parquet", "--device", "cpu", "--set", "run.plots=false"]
        typed(hub, home, *command, "--output-dir", tmp_path / "run", "--push-to-hub", "user/probe")
        asked = {path.partition("/resolve/")[2].partition("/")[2] for _, path in hub.log if f"/{repo}/resolve/" in path}
        assert {"modules.json", "1_Pooling/config.json"} <= asked
        assert not asked & {"data_config.json", "2_Normalize/more.json"}
        assert RunRecord.load(tmp_path / "run").model.input["pooling"] == "cls"
        assert "modeling_pooled.py" in hub.files("user/probe")
        live = library.load(tmp_path / "run", device="cpu").logits(TEXTS)
        program = FRESH + OPENED
        done = subprocess.run(
            [sys.executable, "-c", program, json.dumps([{"it": "user/probe"}, TEXTS])],
            env=env_for(hub, tmp_path / "theirs"),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        theirs = torch.tensor(json.loads(done.stdout.splitlines()[-1])["it"])
        torch.testing.assert_close(theirs, live, rtol=1e-4, atol=1e-5)
        pulled = typed(hub, tmp_path / "other", "pull", "user/probe", "--output-dir", tmp_path / "pulled")
        assert "could run code" not in pulled.stderr
        torch.testing.assert_close(library.load(tmp_path / "pulled", device="cpu").logits(TEXTS), live)
    finally:
        hub.stop()
