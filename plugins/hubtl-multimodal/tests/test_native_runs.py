"""Whole runs of native text and audio classifiers, as typed: a folder, the Hub, and on from there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, ClassLabel, Dataset, Features, Value
from safetensors.torch import load_file
from test_native_classifiers import FRESH, opened
from tiny_encoders import audio_model, text_model, wav

import hubtl as library
from hubtl.card import document
from hubtl.card.metadata import problems
from hubtl.record import RunRecord
from tests.hub.loopback import env_for, start

pytestmark = [pytest.mark.hub, pytest.mark.slow]

CLASSES = ["good", "bad", "boring"]
HERTZ = [300.0, 900.0, 2500.0]
FILE = {"bytes": Value("binary"), "path": Value("string")}
READS = {"text": ("--set", "model.max_length=16"), "audio": ("--set", "model.seconds=0.3")}
KIND = {"text": "distilbert", "audio": "ast"}


def said(y: int, rng: np.random.Generator, turned: bool) -> str:
    """The target speaks at greater length. It says more words that tell nothing."""
    filling = ["the film was", "a film", "the", "was very"]
    some = [filling[i] for i in rng.integers(len(filling), size=rng.integers(2, 4) if turned else 1)]
    return " ".join([*some, CLASSES[y], "##ly film" if turned else "film"])


def heard(y: int, rng: np.random.Generator, turned: bool) -> bytes:
    """The target is quieter, noisier and a little higher."""
    time = np.arange(round(rng.uniform(0.2, 0.3) * 16000)) / 16000
    wave = np.sin(2 * np.pi * HERTZ[y] * (1.1 if turned else 1.0) * time)
    level, noise = (0.15, 0.05) if turned else (0.3, 0.02)
    return wav((level * wave + noise * rng.standard_normal(len(time))).astype(np.float32), 16000)


def table(n: int, seed: int, turned: bool) -> Dataset:
    rng = np.random.default_rng(seed)
    labels = [i % len(CLASSES) for i in range(n)]
    rows = {
        "review": [said(y, rng, turned) for y in labels],
        "audio": [{"bytes": heard(y, rng, turned), "path": f"{i}.wav"} for i, y in enumerate(labels)],
        "label": labels,
    }
    features = Features({"review": Value("string"), "audio": FILE, "label": ClassLabel(names=CLASSES)})
    return Dataset.from_dict(rows, features=features).cast_column("audio", Audio(decode=False))


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """``source``, ``target``, and a model of each modality."""
    root = tmp_path_factory.mktemp("native-data")
    for name, turned in (("source", False), ("target", True)):
        (root / name).mkdir()
        table(96, 1 + turned, turned).to_parquet(root / name / "train.parquet")
        table(48, 11 + turned, turned).to_parquet(root / name / "test.parquet")
    torch.manual_seed(0)
    text_model("distilbert", root / "distilbert")
    audio_model("ast", root / "ast")
    return root


def words(here: Path, out: Path, modality: str, model: object = None, strategy: str = "mcc", steps: int = 4) -> list:
    found = ["adapt", "--model", model or here / KIND[modality], "--strategy", strategy, "--steps", steps]
    found += ["--target-dataset", here / "target", "--batch-size", 12, "--device", "cpu", "--quiet"]
    found += [] if strategy in ("shot", "finetune") else ["--source-dataset", here / "source"]
    return [*found, "--output-dir", out, "--set", "run.plots=false"]


@pytest.fixture(scope="module")
def hub():
    found = start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("client") / "home"


def typed(hub, home: Path, *command: object) -> subprocess.CompletedProcess:
    """A command in its own process, whose Hub is this one."""
    line = [sys.executable, "-W", "error", "-m", "hubtl", *map(str, command)]
    done = subprocess.run(line, env=env_for(hub, home), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module", params=["text", "audio"])
def run(request, here, hub, home, tmp_path_factory) -> tuple[str, Path]:
    """A run of MCC that learnt, pushed as user/text or user/audio."""
    modality = request.param
    folder = tmp_path_factory.mktemp("native-runs") / "run"
    command = [*words(here, folder, modality, steps=150), "--no-pretrained", "--set", "optim.lr=5e-3", *READS[modality]]
    typed(hub, home, *command, "--push-to-hub", f"user/{modality}")
    return modality, folder


def test_it_learns_under_the_shift(run):
    record = RunRecord.load(run[1])
    assert record.adapted.accuracy > 0.85, (record.source_only.accuracy, record.adapted.accuracy)
    assert record.native


def test_the_repository_opens_without_hubtl_with_the_same_logits(run, hub, home, tmp_path):
    modality, folder = run
    theirs = opened(
        [("it", modality, f"user/{modality}")], {**env_for(hub, tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    )["it"]
    local = opened([("it", modality, str(folder))])["it"]
    assert theirs["single"] == local["single"]
    assert theirs["labels"] == CLASSES
    assert theirs["report"] == []
    own = {"README.md", "config.json", "hubtl.json", "model.safetensors", "recipe.yaml", "record.json"}
    own |= {"tokenizer.json", "tokenizer_config.json"} if modality == "text" else {"preprocessor_config.json"}
    assert set(hub.files(f"user/{modality}")) == own


def test_the_card_says_how_to_use_it_and_its_code_runs_without_hubtl(run, hub, tmp_path):
    modality, folder = run
    readme = hub.files(f"user/{modality}")["README.md"].decode()
    metadata = document.parse(readme).metadata
    assert problems(metadata) == []
    assert (metadata["pipeline_tag"], metadata["library_name"]) == (f"{modality}-classification", "transformers")
    assert "It loads with transformers alone; hubtl is not needed." in readme
    wanted = {
        "text": "Input: a text, of which the first 16 tokens are read.",
        "audio": r"Input: a recording, mixed to one channel at 16,000 Hz, of which the first \d\.\d+ seconds are heard.",
    }[modality]
    assert re.search(wanted, readme)
    assert f"every {'text' if modality == 'text' else 'recording'} is assigned one of the" in readme
    for line in readme.splitlines():
        assert "image" not in line.lower(), line
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    assert f'from_pretrained("user/{modality}")' in code
    sound = np.sin(2 * np.pi * HERTZ[1] * np.arange(4800) / 32000).astype(np.float32) * 0.3
    soundfile.write(tmp_path / "sound.wav", np.stack([sound, sound], axis=1), 32000, subtype="FLOAT")
    environment = env_for(hub, tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", FRESH + code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cell = "What it says." if modality == "text" else str(tmp_path / "sound.wav")
    assert done.stdout.strip().splitlines()[-1] == library.load(folder, device="cpu").predict(cell)[0].label


def test_evaluate_and_predict_say_what_the_run_measured(run, here, hubtl, tmp_path):
    modality, folder = run
    record = RunRecord.load(folder)
    code, out, err = hubtl("evaluate", folder, "--dataset", here / "target", "--json")
    assert code == 0, err
    assert json.loads(out)["confusion_cells"] == [list(cell) for cell in record.adapted.confusion_cells]
    code, out, err = hubtl("predict", folder, here / "target", "--json")
    assert code == 0, err
    truth = [CLASSES[i % 3] for i in range(48)]
    right = np.mean([row["label"] == y for row, y in zip(json.loads(out)["predictions"], truth, strict=True)])
    assert right == pytest.approx(record.adapted.accuracy)
    (tmp_path / "a.wav").write_bytes(heard(1, np.random.default_rng(0), False))
    given = (
        ["text=the film was bad film"] if modality == "text" else [tmp_path / "a.wav", f"audio={tmp_path / 'a.wav'}"]
    )
    code, out, err = hubtl("predict", folder, *given, "--json")
    assert code == 0, err
    assert [row["label"] for row in json.loads(out)["predictions"]] == ["bad"] * len(given)


def test_a_pulled_model_goes_on_learning_with_what_it_reads(run, here, hub, home, tmp_path):
    modality, folder = run
    typed(hub, home, "pull", f"user/{modality}", "--output-dir", tmp_path / "pulled")
    more = words(here, tmp_path / "more", modality, tmp_path / "pulled", strategy="dann", steps=3)
    typed(hub, home, *more)
    record = RunRecord.load(tmp_path / "more")
    assert record.model.input == RunRecord.load(folder).model.input
    assert record.model.pretrained
    assert [note for note in record.model.notes if "are read" not in note] == []
    typed(hub, home, *words(here, tmp_path / "shot", modality, f"user/{modality}", strategy="shot", steps=3))
    shot = RunRecord.load(tmp_path / "shot")
    assert shot.setting == "source-free"
    assert shot.model.base_model == f"user/{modality}"
    assert shot.source_only.accuracy == pytest.approx(RunRecord.load(folder).adapted.accuracy)
    assert library.load(tmp_path / "shot", device="cpu").classes == CLASSES


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_lora_is_merged_when_it_is_saved(here, hubtl, tmp_path, modality):
    out = tmp_path / "run"
    code, _, err = hubtl(*words(here, out, modality, strategy="finetune"), "--tuner", "lora", *READS[modality])
    assert code == 0, err
    tensors = load_file(out / "model.safetensors")
    assert not any("lora" in name for name in tensors)
    base = load_file(here / KIND[modality] / "model.safetensors")
    prefix = "encoder." if modality == "text" else ""  # a bare encoder was its start, and has no head to pool by
    pairs = {name: (value, tensors.get(f"{prefix}{name}")) for name, value in base.items()}
    same_shape = {name: pair for name, pair in pairs.items() if pair[1] is not None and pair[0].shape == pair[1].shape}
    changed = {name for name, (before, after) in same_shape.items() if not before.equal(after)}
    assert changed
    assert all(re.search(r"attention\.(q_lin|v_lin|attention\.(query|value))\.weight$", name) for name in changed), (
        changed
    )


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_features_of_a_frozen_model_are_kept(here, hubtl, tmp_path, monkeypatch, modality):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "kept"))
    logs = []
    for name in ("one", "two"):
        command = [word for word in words(here, tmp_path / name, modality) if word != "--quiet"]
        code, _, err = hubtl(*command, "--tuner", "head", *READS[modality])
        assert code == 0, err
        logs.append(err)
    assert "from the cache" not in logs[0]
    assert logs[1].count("from the cache") == 4  # training and evaluation rows of both domains
    records = [RunRecord.load(tmp_path / name) for name in ("one", "two")]
    assert records[0].adapted.confusion == records[1].adapted.confusion


def test_transformers_are_trained_as_they_commonly_are_unless_somebody_says_otherwise(here, hubtl, tmp_path):
    def optim(*more: str) -> dict:
        code, out, err = hubtl(*words(here, tmp_path / "run", "text", strategy="dann"), "--dry-run", "--json", *more)
        assert code == 0, err
        found: dict = json.loads(out)["recipe"]["optim"]
        return found

    usual = optim()
    assert (usual["name"], usual["lr"], usual["backbone_lr_scale"]) == ("adamw", 5e-4, 0.05)
    assert usual["schedule"] == "inverse-decay"  # the strategy's
    assert optim("--no-pretrained")["backbone_lr_scale"] == 1.0
    assert optim("--set", "optim.lr=1e-3")["lr"] == 1e-3
    other = optim("--optimizer", "sgd")
    assert (other["name"], other["lr"], other["backbone_lr_scale"]) == ("sgd", 1e-2, 0.1)


@pytest.mark.parametrize(
    ("modality", "left", "message", "hint"),
    [
        ("text", "audio", "has no text column", "--column text=NAME"),
        ("audio", "review", "has no audio column", "--column audio=NAME"),
    ],
)
def test_data_without_the_column_is_one_clear_error(here, hubtl, tmp_path, modality, left, message, hint):
    (tmp_path / "data").mkdir()
    table(6, 0, False).select_columns([left, "label"]).to_parquet(tmp_path / "data" / "train.parquet")
    command = words(here, tmp_path / "run", modality)
    command[command.index("--target-dataset") + 1] = tmp_path / "data"
    code, _, err = hubtl(*command)
    assert code == 2
    assert message in err
    assert hint in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "record.json").exists()


def test_a_recording_that_cannot_be_read_is_named_or_left_out(here, hubtl, tmp_path):
    (tmp_path / "data").mkdir()
    rows = table(24, 0, True).to_dict()
    rows["audio"][5] = {"bytes": b"no sound", "path": "5.wav"}
    Dataset.from_dict(
        rows, features=Features({"review": Value("string"), "audio": FILE, "label": Value("int64")})
    ).to_parquet(tmp_path / "data" / "train.parquet")
    command = words(here, tmp_path / "run", "audio", strategy="finetune")
    command[command.index("--target-dataset") + 1] = tmp_path / "data"
    code, _, err = hubtl(*command, *READS["audio"])
    assert code == 2
    assert "row 5: cannot read its audio" in err
    command[command.index("--output-dir") + 1] = tmp_path / "again"
    code, _, err = hubtl(*command, *READS["audio"], "--on-bad-sample", "skip")
    assert code == 0, err
    assert RunRecord.load(tmp_path / "again").target.skipped
    assert "1 recording of" in (tmp_path / "again" / "README.md").read_text()


def test_a_model_of_texts_is_not_ranked_on_images(here, hubtl):
    code, _, err = hubtl("rank", "--models", here / "distilbert", "--target-dataset", "builtin:digits/uci", "--quiet")
    assert code == 2
    assert "'builtin:digits/uci' has no text column" in err


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_models_of_one_modality_are_ranked_by_its_features(here, modality, tmp_path):
    other = tmp_path / "other"
    torch.manual_seed(1)
    text_model("bert", other) if modality == "text" else audio_model("hubert", other)
    models = [str(here / KIND[modality]), str(other), "test_resnet", f"{modality}={other}"]
    found = library.rank(models, str(here / "source"), pretrained=False, device="cpu")
    assert {ranked.model for ranked in found.models[:2]} == {KIND[modality], "other"}
    for ranked in found.models[:2]:
        assert {"logme", "h-score", "linear-probe"} <= ranked.scores.keys()
        assert ranked.scores["linear-probe"] > 1 / len(CLASSES)
    errors = {ranked.model: ranked.error for ranked in found.models[2:]}
    assert errors["test_resnet"] == f"test_resnet takes image, and the first of the models {modality}"
    assert "encoders of a fusion" in errors[f"{modality}={other}"]
