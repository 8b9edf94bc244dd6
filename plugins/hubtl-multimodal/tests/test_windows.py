"""Long texts and recordings are read whole: in windows of a chosen length, whose features are averaged."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import ClassLabel, Dataset, Features, Value
from test_native_classifiers import CLASSES, FRESH, META, model_folder, native, trained
from tiny_encoders import text_model, tone, wav

import hubtl as library
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.modalities.lengths import MOST, Lengths, chosen, said, starts
from hubtl.modalities.windows import WindowsReader
from hubtl.models import saved as api
from hubtl.modules import Classifier, Encoder, fold
from hubtl.record import RunRecord

WORDS = ["good", "bad", "film", "the", "a", "was", "very", "boring"]
LONG = " ".join(WORDS[i] for i in np.random.default_rng(0).integers(len(WORDS), size=40))
SPEC = Lengths("max_length", "tokens", read=16, limit=64, least=8, step=8, covers=0.9, batch=1024, around=2)
OPTIONS = {
    "distilbert": {"max_length": 12, "windows": 4},
    "bert-own": {"max_length": 12, "windows": 4, "pooling": "own"},
    "ast": {"seconds": 0.3, "windows": 3},
    "hubert": {"seconds": 0.2, "windows": 5},
    "whisper": {"seconds": 0.3, "windows": 3},
}


def cell(kind: str):
    return LONG if "bert" in kind and kind != "hubert" else (tone(0.85), 16000)


@pytest.mark.parametrize("size", [1, 9, 10, 11, 20, 21, 29, 39, 40, 41, 400])
def test_windows_are_full_and_leave_nothing_out(size):
    places = starts(size, 10, 4)
    inside = sorted({token for place in places for token in range(place, min(place + 10, size))})
    assert inside == list(range(min(size, 40)))
    assert all(place + 10 <= size for place in places) or len(places) == 1
    assert len(places) == min(4, max(1, -(-size // 10)))


def test_the_length_is_chosen_by_the_rows_the_model_and_the_batch():
    short = [10.0] * 95 + [30.0] * 5
    assert chosen(SPEC, short, 8, windowed=True) == (16, 2)  # nine rows of ten fit; 28 words in windows of 14
    assert chosen(SPEC, short, 8, windowed=False) == (32, 1)
    assert chosen(SPEC, [500.0] * 10, 8, windowed=True) == (64, MOST)
    assert chosen(SPEC, [50.0] * 10, 32, windowed=True) == (32, 2)  # 1,024 tokens of 32 rows


def test_what_is_read_is_said():
    assert said("texts", SPEC, [10.0] * 96 + [41.0] * 4, 1) == "texts: 96 % whole, the longest 41 tokens; 16 are read"
    whole = "texts: all whole, the longest 41 tokens; up to 3 windows of 16 tokens are read"
    assert said("texts", SPEC, [10.0] * 96 + [41.0] * 4, 3) == whole
    assert said("texts", SPEC, [10.0] * 999 + [41.0], 1).startswith("texts: 99 % whole")


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_features_are_the_mean_over_windows(kind, tmp_path):
    built = native(kind, tmp_path, options=OPTIONS[kind])
    long, short = cell(kind), "the film" if isinstance(cell(kind), str) else (tone(0.1), 16000)
    with torch.no_grad():
        both = built(built.collate([long, short])).pooled
        single = [
            built.logits(built.reader.tensors({k: v[None] for k, v in one.items()}))
            for one in built.reader.windows(long, MOST)
        ]
        one = built.reader.tensors({k: v[None] for k, v in built.reader.read(short).items()})
        alone = built.logits(one)
    assert len(single) == OPTIONS[kind]["windows"]
    assert not torch.allclose(single[0], single[-1], atol=1e-3)
    torch.testing.assert_close(both[:1], torch.stack(single).mean(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-4)


def test_a_training_step_draws_windows_and_a_seed_draws_the_same(tmp_path):
    built = native("distilbert", tmp_path, options=OPTIONS["distilbert"])
    inputs = built.collate([LONG, "the film"])
    with torch.no_grad():
        single = [
            built.logits({k: v[:1, place] for k, v in inputs.items() if k != "text.present"}) for place in range(4)
        ]
        built.training = True  # alone: its dropout stays off
        drawn = []
        for seed in (*range(12), 3):
            torch.manual_seed(seed)
            drawn.append(built(inputs).pooled)
    places = [min(range(4), key=lambda p: float((single[p] - one[:1]).abs().max())) for one in drawn]
    for place, one in zip(places, drawn, strict=True):
        torch.testing.assert_close(one[:1], single[place], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one[1:], drawn[0][1:], rtol=1e-4, atol=1e-4)
    assert len(set(places)) > 1
    assert places[3] == places[-1]


def test_views_change_windows_and_keep_empty_ones(tmp_path):
    reader = native("distilbert", tmp_path, options={"max_length": 12, "windows": 6, "strong_masking": 0.5}).readers[
        "text"
    ]
    assert isinstance(reader, WindowsReader)
    read = reader.read(LONG)
    seen = reader.view(read, "strong", np.random.default_rng(0))
    again = reader.view(read, "strong", np.random.default_rng(0))
    used = read["text.mask"].any(axis=1)
    assert used.tolist() == [True] * 4 + [False] * 2
    assert (seen["text.mask"].any(axis=1) == used).all()
    assert all((seen["text"][place] != read["text"][place]).any() for place in range(4))
    assert all(np.array_equal(seen[key], again[key]) for key in seen)


@pytest.mark.parametrize("kind", ["distilbert", "bert-own", "ast", "hubert"])
def test_a_saved_model_reads_whole_rows_and_its_code_does_without_hubtl(kind, tmp_path):
    built = native(kind, tmp_path / "base", options=OPTIONS[kind])
    bottleneck, head = trained(built.info.width)
    folder = tmp_path / "run"
    api.save(folder, built, fold(bottleneck, head), CLASSES, META)
    live = api.AdaptedModel(Classifier(Encoder(built, bottleneck), head), built.info, CLASSES).logits([cell(kind)])
    again = library.load(folder, device="cpu")
    torch.testing.assert_close(again.logits([cell(kind)]), live, rtol=1e-4, atol=1e-4)
    assert again.info.input.as_dict()["windows"] == OPTIONS[kind]["windows"]
    more = backbones.resolve(str(folder), BackboneRequest(CLASSES))
    assert more.lengths_open == ()
    assert more.info.input.as_dict() == built.info.input.as_dict()

    code = built.snippet(str(folder)).replace("What it says.", LONG)
    if not isinstance(cell(kind), str):
        soundfile.write(tmp_path / "sound.wav", cell(kind)[0], 16000, subtype="FLOAT")
    code = FRESH + code + "import json\nprint(json.dumps(logits[0].tolist()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    torch.testing.assert_close(theirs, live[0], rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """Texts of up to 90 words, whose last word says the class."""
    root = tmp_path_factory.mktemp("long")
    text_model("distilbert", root / "model")
    rng = np.random.default_rng(0)
    for name in ("source", "target"):
        (root / name).mkdir()
        for split, n in (("train", 60), ("test", 30)):
            filling = [["the", "film", "was", "a"][: rng.integers(1, 5)] * int(rng.integers(2, 22)) for _ in range(n)]
            rows = {
                "text": [" ".join([*f, CLASSES[i % 3]]) for i, f in enumerate(filling)],
                "label": [i % 3 for i in range(n)],
            }
            features = Features({"text": Value("string"), "label": ClassLabel(names=CLASSES)})
            Dataset.from_dict(rows, features=features).to_parquet(root / name / f"{split}.parquet")
    return root


def words(here: Path, out: Path, *more: object) -> list[object]:
    data = ["--source-dataset", here / "source", "--target-dataset", here / "target"]
    found = ["adapt", "--model", here / "model", *data, "--strategy", "source-only", "--steps", 2]
    return [*found, "--device", "cpu", "--quiet", "--set", "run.plots=false", "--output-dir", out, *more]


@pytest.mark.slow
def test_a_run_chooses_the_length_says_it_and_the_model_keeps_it(here, hubtl, tmp_path):
    code, _, err = hubtl(*words(here, tmp_path / "run", "--batch-size", 512, "--set", "model.train_windows=2"))
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    decided = {one.key: one for one in record.decisions}
    assert decided["model.options.max_length"].value == 64  # the least: a batch of 512 has 16,384 tokens
    assert decided["model.options.windows"].value == 2
    assert "the longest has" in decided["model.options.max_length"].because
    (said_,) = [note for note in record.model.notes if note.startswith("texts:")]
    assert "all whole" in said_
    assert "up to 2 windows of 64 tokens" in said_
    assert record.model.input["windows"] == 2
    readme = (tmp_path / "run" / "README.md").read_text()
    assert "read in up to 2 windows of 64 tokens, whose outputs are averaged" in readme
    assert "starts = [place * spare" in readme
    model = library.load(tmp_path / "run", device="cpu")
    end = [" ".join(["the"] * 80 + [last]) for last in ("good", "boring")]
    one, other = model.logits(end)
    assert not torch.allclose(one, other)  # the last word is read


@pytest.mark.slow
def test_a_length_that_is_given_cuts_and_plan_and_predict_say_so(here, hubtl, tmp_path):
    code, _, err = hubtl(*words(here, tmp_path / "run", "--set", "model.max_length=16"))
    assert code == 0, err
    record = RunRecord.load(tmp_path / "run")
    assert not any("options" in one.key for one in record.decisions)
    (said_,) = [note for note in record.model.notes if note.startswith("texts:")]
    assert "16 are read" in said_
    assert "all whole" not in said_
    code, _, err = hubtl("predict", tmp_path / "run", "text=the film was good")
    assert code == 0
    assert "left out" not in err
    code, _, err = hubtl("predict", tmp_path / "run", f"text={LONG}")
    assert code == 0
    assert "16 tokens are read, and one input has 42" in err


def test_seconds_are_told_by_the_header(tmp_path):
    reader = native("hubert", tmp_path, options={"seconds": 0.2}).reader
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(0.7, rate=8000), 8000))
    forms = [
        path,
        str(path),
        path.read_bytes(),
        {"bytes": path.read_bytes(), "path": None},
        {"bytes": None, "path": str(path)},
    ]
    forms += [(tone(0.7), 16000), {"array": np.stack([tone(0.7)] * 2), "sampling_rate": 16000}]
    assert [reader.size(form) for form in forms] == pytest.approx([0.7] * len(forms))
    with pytest.raises(ValueError, match="soundfile"):
        reader.size(b"no sound")


def test_a_tokenizers_special_tokens_frame_every_window(tmp_path):
    folder = model_folder("bert", tmp_path)
    reader = backbones.resolve(str(folder), BackboneRequest(CLASSES, options={"max_length": 12})).reader
    assert reader.around == (1, 1)
    pieces = [reader.pieces(one["text"][one["text.mask"]]) for one in reader.windows(LONG, 8)]
    assert {(piece[0], piece[-1], len(piece)) for piece in pieces} == {("[CLS]", "[SEP]", 12)}
    assert pieces[0][1:-1] == LONG.split()[:10]
    assert pieces[-1][1:-1] == LONG.split()[-10:]
