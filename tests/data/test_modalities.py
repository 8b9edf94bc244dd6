"""The core knows several modalities: columns, files, names of models, rates, and rows that lack one.

No model of several modalities is needed for it, and no package that brings one.
"""

import json
import wave
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Picture
from torch import nn

from hubtl import backbones, plugins
from hubtl.backbones.base import BackboneRequest
from hubtl.backbones.reference import ModelRef
from hubtl.batch import Batch
from hubtl.data.inputs import each_row
from hubtl.data.joint import JointSet
from hubtl.data.opening import opened
from hubtl.data.sources import open_domain
from hubtl.engine.optimise import make_optimizer
from hubtl.errors import HubtlError
from hubtl.judging.subsets import dominance, variants
from hubtl.judging.validators.probes import MIX, mixture
from hubtl.modalities.audio.columns import column as audio_column
from hubtl.modalities.text.columns import column as text_column
from hubtl.plugins import modalities
from hubtl.recipe.reading import parse
from hubtl.recipe.schema import DataSection, DomainSection, OptimSection
from hubtl.record import SubsetScore
from hubtl.run.prepare import default_output_dir
from hubtl.tasks.classification import Classification

FILE = {"bytes": Value("binary"), "path": Value("string")}
SAYINGS = ["it was a very good film", "it was a very bad film", "", "nobody liked it at all"]


def tone(path, seconds=0.05):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((3000 * np.sin(np.arange(int(8000 * seconds)))).astype(np.int16).tobytes())


def dot(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Picture.fromarray(pixels).save(path)


def sounds(names):
    """Columns of recordings, none of them decoded."""
    columns = {name: [{"bytes": b"RIFF", "path": None}, None] for name in names}
    made = Dataset.from_dict(columns, features=Features(dict.fromkeys(names, FILE)))
    for name in names:
        made = made.cast_column(name, Audio(decode=False))
    return made


# columns


def test_an_audio_column_is_told_by_its_feature_else_by_name_and_cells():
    assert audio_column(sounds(["heard"]), None, "it") == "heard"
    assert audio_column(sounds(["heard", "audio"]), None, "it") == "audio"
    assert audio_column(sounds(["heard", "other"]), "other", "it") == "other"
    paths = Dataset.from_dict({"recording": [None, "a.wav"], "n": [1, 2]})
    assert audio_column(paths, None, "it") == "recording"
    raw = Dataset.from_dict({"sound": [{"bytes": b"x", "path": None}]}, features=Features({"sound": FILE}))
    assert audio_column(raw, None, "it") == "sound"


@pytest.mark.parametrize(
    ("dataset", "asked", "message", "hint"),
    [
        (sounds(["left", "right"]), None, "it has several audio columns: left, right", "--column audio=left"),
        (sounds(["heard"]), "herad", "unknown audio column of it 'herad'", "--column audio=heard"),
        (Dataset.from_dict({"audio": ["no file"]}), None, "it has no audio column; its columns: audio (Value)", "NAME"),
    ],
)
def test_an_audio_column_that_is_missing_or_not_alone(dataset, asked, message, hint):
    with pytest.raises(HubtlError) as caught:
        audio_column(dataset, asked, "it")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_text_column_is_told_by_name_else_by_its_prose():
    n = len(SAYINGS)
    other = {"id": ["a b c d e f"] * n, "label": ["of many words in a row"] * n, "kind": ["short"] * n}
    assert text_column(Dataset.from_dict({**other, "caption": ["x"] * n, "what": SAYINGS}), None, "it") == "caption"
    assert text_column(Dataset.from_dict({**other, "what": SAYINGS}), None, "it") == "what"
    assert text_column(Dataset.from_dict({**other, "what": SAYINGS}), "kind", "it") == "kind"
    with pytest.raises(HubtlError, match="several text columns: one, two"):
        text_column(Dataset.from_dict({"one": SAYINGS, "two": SAYINGS}), None, "it")
    with pytest.raises(HubtlError, match="it has no text column; its columns: id"):
        text_column(Dataset.from_dict(other), None, "it")


def test_the_modalities_are_registered_and_their_files_lead_rows_in_this_order():
    assert modalities.names() == ["image", "text", "audio"]
    assert [one.name for one in modalities.media()] == ["image", "audio"]


def test_a_domain_opens_with_the_modalities_that_are_asked_for(tmp_path):
    n = 12
    features = Features({"image": FILE, "said": Value("string"), "audio": FILE, "label": ClassLabel(names=["x", "y"])})
    rows = {
        "image": [{"bytes": b"png", "path": None}] * n,
        "said": SAYINGS * 3,
        "audio": [{"bytes": b"RIFF", "path": None}, None] * 6,
        "label": [0, 1] * 6,
    }
    made = Dataset.from_dict(rows, features=features).cast_column("image", Image(decode=False))
    made.cast_column("audio", Audio(decode=False)).to_parquet(tmp_path / "train.parquet")

    def domain(modalities, **data):
        where = DomainSection(dataset=str(tmp_path))
        return open_domain(where, DataSection(**data), Classification(), role="source", modalities=modalities)

    three = domain(("image", "text", "audio"))
    assert three.columns == {"image": "image", "text": "said", "audio": "audio"}
    assert three.facts.columns == {**three.columns, "label": "label"}
    assert domain(("text",)).columns == {"text": "said"}
    assert domain(("image",)).columns == {"image": "image"}
    with pytest.raises(HubtlError, match="unknown text column of the source"):
        domain(("text",), text_column="nothing")
    with pytest.raises(HubtlError, match="--column text=said: the model takes image, and no text"):
        domain(("image",), text_column="said")


def test_an_evaluation_split_without_a_modality_is_an_error(tmp_path):
    columns = {"text": SAYINGS, "label": ["x", "y"] * 2}
    less = Dataset.from_dict({"label": ["x", "y"]})
    DatasetDict(train=Dataset.from_dict(columns), test=less).save_to_disk(tmp_path / "data")
    with pytest.raises(HubtlError, match="split test has no column text"):
        open_domain(
            DomainSection(dataset=str(tmp_path / "data")),
            DataSection(),
            Classification(),
            role="source",
            modalities=("text",),
        )


# files


def test_names_of_files_in_a_table_become_pictures_and_recordings(tmp_path):
    for i in range(3):
        tone(tmp_path / f"{i}.wav")
        dot(tmp_path / f"{i}.png", i)
    table = "image,audio,text,label\n" + "".join(f"{i}.png,{i}.wav,{SAYINGS[0]},x\n" for i in range(3))
    (tmp_path / "rows.csv").write_text(table + f",2.wav,{SAYINGS[1]},y\n0.png,,,y\n")
    split = opened(str(tmp_path / "rows.csv")).splits["train"]
    assert isinstance(split.features["image"], Image)
    assert isinstance(split.features["audio"], Audio)
    cells = split.cast_column("image", Image(decode=False))
    assert [c and c["path"] for c in cells["audio"]] == [str(tmp_path / f"{i}.wav") for i in (0, 1, 2, 2)] + [None]
    assert cells[3]["image"] is None
    assert cells[0]["image"]["path"] == str(tmp_path / "0.png")


@pytest.mark.parametrize("where", [".", "train"])
@pytest.mark.parametrize("column", ["audio", "audio_file_name"])
def test_a_folder_whose_metadata_name_pictures_sounds_and_texts(tmp_path, where, column):
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    for i in range(3):
        tone(folder / f"{i}.wav")
        dot(folder / f"{i}.png", i)
    lines = [{"file_name": f"{i}.png", column: f"{i}.wav", "text": SAYINGS[0], "label": "xy"[i % 2]} for i in range(3)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    split = opened(str(tmp_path)).splits["train"]
    where = "the folder"
    found = {m: modalities.of(m).column(split, None, where) for m in ("image", "text", "audio")}
    assert found == {"image": "image", "text": "text", "audio": "audio"}
    assert [c["path"] for c in split["audio"]] == [str(folder / f"{i}.wav") for i in range(3)]


def test_a_folder_of_recordings_and_their_metadata(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for i in range(2):
            tone(tmp_path / split / f"{i}.wav")
        text = "file_name,label\n" + "".join(f"{i}.wav,{'xy'[i]}\n" for i in range(2))
        (tmp_path / split / "metadata.csv").write_text(text)
    splits = opened(str(tmp_path)).splits
    assert set(splits) == {"train", "test"}
    for name, split in splits.items():
        column = audio_column(split, None, "it")
        assert [c["path"] for c in split[column]] == [str(tmp_path / name / f"{i}.wav") for i in range(2)]


# rows


def test_rows_of_a_dataset_have_the_modalities_that_it_has():
    dataset = Dataset.from_dict({"text": SAYINGS[:2], "n": [1, 2]})
    rows = list(each_row(dataset, ("image", "text")))
    assert rows == [("row 0", {"text": SAYINGS[0]}), ("row 1", {"text": SAYINGS[1]})]
    assert list(each_row([{"text": "a"}, {"text": "b"}], ("text",))) == [
        ("row 0", {"text": "a"}),
        ("row 1", {"text": "b"}),
    ]
    with pytest.raises(HubtlError, match="no column for image or audio"):
        list(each_row(dataset, ("image", "audio")))
    with pytest.raises(HubtlError, match="unknown modality of this model 'txt'"):
        list(each_row({"txt": "a"}, ("image", "text")))


class Present:
    """Rows that say of each which modalities it has."""

    domains, note, augment, cached, bad = None, None, False, True, []

    def __init__(self, first, n):
        self.name, self.first, self.n, self.labels = f"from {first}", first, n, np.zeros(n, dtype=np.int64)
        self.plain = self

    def __len__(self):
        return self.n

    def fetch(self, rows, *, seed=None):
        number = torch.tensor([self.first + row for row in rows])
        own = {"text": number % 2 == 0, "audio": number % 3 == 0}
        return Batch({"n": number}, torch.from_numpy(self.labels[list(rows)]), torch.tensor(rows), present=own)


def test_two_domains_as_one_stream_keep_what_each_row_has():
    batch = JointSet([Present(0, 4), Present(10, 5)], [0, 1]).fetch([5, 0, 8, 3, 4])
    assert batch.inputs["n"].tolist() == [11, 0, 14, 3, 10]
    assert batch.present["text"].tolist() == [False, True, True, False, True]
    assert batch.present["audio"].tolist() == [False, True, False, True, False]


def test_what_are_no_quantities_do_not_mix():
    ids, other = torch.tensor([[5, 9]]), torch.tensor([[7, 2]])
    assert mixture(ids, other).equal(ids)
    mask = torch.tensor([True, False])
    assert mixture(mask, ~mask).equal(mask)
    assert mixture(torch.tensor([1.0]), torch.tensor([0.0])).item() == pytest.approx(MIX)


@pytest.mark.parametrize(
    ("modalities", "names"),
    [
        (("image",), ["image corrupted, severity 2"]),
        (("image", "text"), ["image only", "text only", "image corrupted, severity 2", "text corrupted, severity 2"]),
        (
            ("image", "text", "audio"),
            ["without image", "without text", "without audio", "image only", "text only", "audio only"]
            + [f"{m} corrupted, severity 2" for m in ("image", "text", "audio")],
        ),
    ],
)
def test_subsets_are_each_left_out_each_alone_and_each_corrupted(modalities, names):
    given = SimpleNamespace(as_dict=lambda: {"options": {"corruption": [2]}})
    info = SimpleNamespace(modalities=modalities, input=given)
    model = SimpleNamespace(encoder=SimpleNamespace(backbone=SimpleNamespace(info=info)))
    rows = SimpleNamespace(without=lambda gone: set(modalities) - set(gone), corrupted=lambda m, s: (m, s))
    found = dict(variants(model, rows))
    assert list(found) == names
    for name, seen in found.items():
        if name.endswith("only"):
            assert seen == {name.split()[0]}
        elif name.startswith("without"):
            assert seen == set(modalities) - {name.split()[1]}
    assert list(variants(model, object())) == []


# names of models


def test_a_name_of_several_encoders_is_taken_apart(tmp_path, monkeypatch):
    assert backbones.parts_of("image=a/b@c, text=d,audio=timm:e") == {"image": "a/b@c", "text": "d", "audio": "timm:e"}
    assert backbones.parts_of("resnet50") == backbones.parts_of("user/repo") == {}
    assert ModelRef("text=d,image=e").modalities == ("text", "image")
    assert ModelRef("resnet50").modalities == ("image",)
    (tmp_path / "image=x").mkdir()
    monkeypatch.chdir(tmp_path)
    assert backbones.parts_of("image=x") == {}  # a folder that is called so


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("imagee=a", "unknown modality 'imagee'", "image"),
        ("image=a,image=b", "image is given twice", "one model for each"),
        ("image=a,text", "'text' is not MODALITY=NAME", "text=NAME"),
        ("image=,text=b", "'image=' is not MODALITY=NAME", "image=NAME"),
    ],
)
def test_a_name_of_several_encoders_that_is_wrong(name, message, hint):
    with pytest.raises(HubtlError) as caught:
        backbones.parts_of(name)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_saved_model_says_what_it_takes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "multimodal", "modalities": ["text", "audio"]}))
    assert ModelRef(str(tmp_path)).modalities == ("text", "audio")
    assert ModelRef(f"local-dir:{tmp_path}").modalities == ("text", "audio")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    assert ModelRef(str(tmp_path)).modalities == ("image",)
    assert ModelRef(str(tmp_path / "nowhere")).modalities == ("image",)
    assert ModelRef("user/nowhere").modalities == ("image",)  # the Hub is out of reach: loading says so


@pytest.fixture
def alone(monkeypatch):
    """No package but hubtl itself."""
    monkeypatch.setenv("HUBTL_PLUGINS", "")
    plugins.entries.cache_clear()
    yield
    monkeypatch.undo()
    plugins.entries.cache_clear()


def test_without_the_package_for_it_the_error_names_it(alone, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "multimodal", "modalities": ["text"]}))
    for name in ("image=test_resnet,text=user/bert", str(tmp_path)):
        with pytest.raises(HubtlError, match="hubtl-multimodal, which is not installed") as caught:
            backbones.resolve(name, BackboneRequest(["a", "b"], pretrained=False))
        assert caught.value.hint == "pip install hubtl-multimodal"


def test_an_option_that_a_model_does_not_have_is_an_error():
    with pytest.raises(HubtlError, match="timm models have no option 'fusion'"):
        backbones.resolve("test_resnet", BackboneRequest(["a", "b"], pretrained=False, options={"fusion": "late"}))
    with pytest.raises(HubtlError, match="timm models have no option 'pretraind'") as caught:
        ModelRef("test_resnet").check_options({"pretraind": True})
    assert caught.value.hint == "model.pretrained"
    ModelRef("test_resnet").check_options({})


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("resnet50", "resnet50-dann-webcam"),
        ("image=timm/resnet18,text=google/bert-base,audio=/home/me/ast", "resnet18-bert-base-ast-dann-webcam"),
    ],
)
def test_the_default_folder_is_named_by_the_encoders(model, folder):
    recipe = parse({"model": model, "strategy": "dann", "source": "amazon", "target": "office/webcam"})
    assert default_output_dir(recipe).name == folder


# rates


def test_a_parameter_with_a_rate_of_its_own_learns_at_it_whatever_its_group():
    one, two, head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    optim = OptimSection(name="sgd", lr=0.1, backbone_lr_scale=0.5)
    groups = {"backbone": [*one.parameters(), *two.parameters()], "head": list(head.parameters())}
    rates = dict.fromkeys(one.parameters(), 0.2)
    optimizer = make_optimizer(groups, optim, {"backbone": 2.0}, rates=rates)
    lr = {p: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    base = {p: g["base_lr"] for g in optimizer.param_groups for p in g["params"]}
    assert lr == base
    assert [lr[p] for p in one.parameters()] == pytest.approx([0.04, 0.04])  # 0.1 x 2 x 0.2
    assert [lr[p] for p in two.parameters()] == pytest.approx([0.1, 0.1])  # 0.1 x 2 x 0.5
    assert [lr[p] for p in head.parameters()] == pytest.approx([0.1, 0.1])
    assert {g["name"] for g in optimizer.param_groups} == {"backbone", "head"}


def each_alone(**sure):
    return [SubsetScore(name=f"{m} only", n=10, confidence=value) for m, value in sure.items()]


def test_a_modality_that_decides_nearly_alone_is_named():
    said = dominance(each_alone(image=0.95, text=0.30, audio=0.6), 4)
    assert said.startswith("image dominates, and text contributes little")
    assert "text 30 %" in said
    assert dominance(each_alone(image=0.9, text=0.55), 4) is None  # 65 against 30 points over chance
    assert dominance(each_alone(image=0.9), 4) is None
    assert dominance([], 4) is None
    assert dominance(each_alone(image=0.9, text=0.2), 4) is not None  # less sure than chance


def test_a_model_of_one_modality_takes_its_cells_as_they_are():
    tone_of = {"array": np.zeros(8), "sampling_rate": 8000}
    assert list(each_row("It was bad.", ("text",))) == [("row", {"text": "It was bad."})]
    assert list(each_row(["a", "b"], ("text",))) == [("row 0", {"text": "a"}), ("row 1", {"text": "b"})]
    assert list(each_row("a.wav", ("audio",))) == [("a.wav", {"audio": "a.wav"})]
    for cell in (tone_of, (np.zeros(8), 8000), b"RIFF"):
        ((name, row),) = each_row(cell, ("audio",))
        assert name == "row"
        assert row["audio"] is cell
    assert list(each_row({"audio": tone_of}, ("audio",))) == [("row", {"audio": tone_of})]
    with pytest.raises(HubtlError, match="takes rows, not str"):
        list(each_row("It was bad.", ("text", "audio")))
    with pytest.raises(HubtlError, match="unknown modality"):
        list(each_row({"image": "a.jpg"}, ("text",)))
