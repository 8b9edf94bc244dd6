"""``--column MODALITY=NAME``, and the older flags and keys."""

import json

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

import hubtl
from hubtl.cli.olden import renewed
from hubtl.errors import HubtlError
from hubtl.plugins.modalities import of
from hubtl.recipe.reading import merge, parse
from hubtl.recipe.schema import DataSection
from tests.tiny import hubtl_command

RUN = [
    *("adapt", "--model", "lenet", "--no-pretrained", "--dry-run", "--json", "--strategy", "coral"),
    *("--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci"),
    *("--source-split", "train[:40]", "--target-split", "train[:40]"),
]


def test_old_flags_are_typed_as_the_new_one_and_others_stay_as_they_are():
    words = [
        "adapt",
        "--image-column",
        "photo",
        "--text-column=said",
        "--label-column",
        "kind",
        "--",
        "--audio-column",
        "x",
    ]
    new, said = renewed(words)
    assert new == [
        *("adapt", "--column", "image=photo", "--column", "text=said", "--label-column", "kind"),
        *("--", "--audio-column", "x"),
    ]
    assert said == [
        "--image-column goes with the next version: --column image=photo",
        "--text-column goes with the next version: --column text=said",
    ]


def test_an_old_flag_works_and_a_line_on_stderr_says_what_to_type(capsys):
    code, old, err = hubtl_command([*RUN, "--image-column", "image"], capsys)
    assert code == 0, err
    assert "deprecated: --image-column goes with the next version: --column image=image" in err
    code, new, err = hubtl_command([*RUN, "--column", "image=image"], capsys)
    assert (code, "deprecated" in err) == (0, False)
    assert json.loads(old)["recipe"] == json.loads(new)["recipe"]
    assert json.loads(new)["recipe"]["data"]["columns"] == {"image": "image"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("image", "image is not MODALITY=NAME"),
        ("imgae=photo", "there is no modality imgae (nearest: image)"),
        ("text=image", "--column text=image: the model takes image, and no text"),
        ("image=label", "column 'label' holds no image files: its type is ClassLabel"),
        ("image=nowhere", "unknown image column of the source 'builtin:digits/mnist' 'nowhere'"),
    ],
)
def test_what_is_no_column_is_one_error(capsys, typed, said):
    code, _, err = hubtl_command([*RUN, "--column", typed], capsys)
    assert code == 2
    assert said in err


def test_recipes_with_the_keys_of_version_0_1_load():
    data = {"image_column": "photo", "text_column": None, "audio_column": None, "label_column": "kind"}
    assert DataSection.model_validate(data).columns == {"image": "photo"}
    raw = {"model": "lenet", "target": "builtin:digits/uci", "data": data}
    assert parse(merge(raw, {"data.columns": {"text": "said"}})).data.columns == {"text": "said", "image": "photo"}
    with pytest.raises(HubtlError, match=r"unknown key data\.imgae_column"):
        parse({**raw, "data": {"imgae_column": "photo"}})


@pytest.mark.parametrize(
    "written", [{"image_column": "photo"}, {"columns": {"image": "photo"}}, {"columns": "image=photo"}]
)
@pytest.mark.parametrize("key", ["data.columns", "data.image_column", "data.columns.image"])
def test_a_flag_changes_the_column_of_its_modality_and_leaves_the_others(written, key):
    raw = {"model": "lenet", "target": "builtin:digits/uci", "data": {**written, "text_column": "said"}}
    value = ["image=scan"] if key == "data.columns" else "scan"
    assert parse(merge(raw, {key: value})).data.columns == {"image": "scan", "text": "said"}
    assert raw["data"] == {**written, "text_column": "said"}


def test_wrong_columns_of_a_recipe_are_an_error_of_the_recipe_whatever_a_flag_says():
    raw = {"model": "lenet", "target": "builtin:digits/uci", "data": {"columns": {"smell": "photo"}}}
    with pytest.raises(HubtlError, match="there is no modality smell"):
        parse(merge(raw, {"data.columns": ["image=scan"]}))


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
def test_a_column_of_a_modality_that_a_saved_model_does_not_take_is_refused(trained, command, capsys):
    data = ["--dataset", "builtin:digits/uci"] if command == "evaluate" else ["builtin:digits/uci"]
    row = ["--row", "1"] if command == "explain" else []
    code, _, err = hubtl_command([command, str(trained), *data, *row, "--column", "audio=image"], capsys)
    assert code == 2
    assert "--column audio=image: the model takes image, and no audio" in err
    assert "--column image=image" in err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns") / "run"
    splits = {"source_split": "train[:40]", "target_split": "train[:40]"}
    hubtl.adapt(
        model="lenet",
        pretrained=False,
        strategy="coral",
        steps=2,
        output_dir=str(folder),
        **{"source_dataset": "builtin:digits/mnist", "target_dataset": "builtin:digits/uci", **splits},
        options={"run.plots": False},
    )
    return folder


@pytest.mark.parametrize("feature", [List(Value("float32")), Value("int64"), ClassLabel(names=["a"])])
@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_column_of_another_type_holds_no_files_of_a_modality(modality, feature):
    cells = [[0.5]] if isinstance(feature, List) else [0]
    dataset = Dataset.from_dict({"odd": cells}, features=Features({"odd": feature}))
    with pytest.raises(HubtlError, match=f"column 'odd' holds no {modality} files: its type is"):
        of(modality).column(dataset, "odd", "the target")


def test_an_old_flag_without_its_value_is_reported_as_the_new_one(capsys):
    code, _, err = hubtl_command([*RUN, "--image-column"], capsys)
    assert code == 2
    assert "option '--column' requires an argument" in err
