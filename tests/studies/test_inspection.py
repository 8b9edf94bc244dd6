"""``hubtl data inspect``: columns, splits, sizes, duplicates, doubtful labels, and the relation to other data."""

import json
import shutil

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image as Picture

import hubtl
from hubtl.data.opening import opened
from hubtl.errors import HubtlError
from hubtl.tasks.fit import chances
from tests.data.classic.grown import folders, listed, office, picture, text, voc, voc_labels
from tests.data.trees import WAV
from tests.tiny import hubtl_command


@pytest.fixture
def photos(tmp_path):
    """Cats and dogs, one image damaged, one there three times."""
    root = tmp_path / "photos"
    folders(root / "train", rows=6)
    folders(root / "test", rows=3, start=20)
    (root / "train" / "cat" / "5.jpg").write_bytes(b"\xff\xd8 no picture")
    shutil.copy(root / "train" / "dog" / "0.jpg", root / "train" / "dog" / "again.jpg")
    shutil.copy(root / "train" / "dog" / "0.jpg", root / "test" / "cat" / "0.jpg")
    return root


def test_columns_splits_sizes_and_rows_that_cannot_be_read(photos):
    found = hubtl.inspect(str(photos))
    assert (found.task, found.label_columns) == ("classification", ["label"])
    assert {column.name: column.read_as for column in found.columns} == {"image": "image", "label": "label"}
    train, test = found.splits
    assert (train.name, train.rows, train.labelled, train.counts) == ("train", 13, 13, {"cat": 6, "dog": 7})
    assert (test.name, test.counts) == ("test", {"cat": 4, "dog": 3})
    width = train.sizes["image"]["width"]
    assert (width.least, width.median, width.most, width.values) == (32, 32, 32, {"32": 12})
    assert train.sizes["image"]["channels"].values == {"3": 12}
    (bad,) = train.unreadable
    assert (bad.row, bad.name, bad.label, train.unreadable_rows, test.unreadable_rows) == (5, "5.jpg", "cat", 1, 0)
    assert "image: " in bad.reason


def test_equal_rows_are_found_within_and_across_splits_by_content(photos):
    found = hubtl.inspect(str(photos)).duplicates
    assert (found.groups, found.rows, found.across_splits, found.contradicting) == (1, 2, 1, 1)
    (group,) = found.examples
    assert [(row.split, row.name, row.label) for row in group] == [
        ("train", "0.jpg", "dog"),
        ("train", "again.jpg", "dog"),
        ("test", "0.jpg", "cat"),
    ]


def test_labels_that_were_exchanged_are_mostly_the_doubted_ones(tmp_path):
    rows = opened("builtin:digits/mnist").splits["train"].select(range(1000))
    labels, rng = np.array(rows["label"][:]), np.random.default_rng(0)
    wrong = rng.choice(1000, 20, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 20)) % 10
    feature = rows.features["label"]
    noisy = rows.remove_columns("label").add_column("label", labels.tolist(), feature=feature)
    DatasetDict(train=noisy).save_to_disk(tmp_path / "noisy")
    hints = hubtl.inspect(str(tmp_path / "noisy")).hints
    hits = [hint.row in wrong for hint in hints.examples]
    assert len(hits) >= 8
    assert np.mean(hits) > 0.5  # a label that was not exchanged is one of 50
    assert hints.right > 0.85
    assert hints.certain > 400
    assert all(hint.suggested != hint.label and hint.probability >= 0.9 for hint in hints.examples)


def test_a_probe_that_knows_nothing_doubts_no_label(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(120):
        pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        path = tmp_path / "noise" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(pixels).save(path)
    found = hubtl.inspect(str(tmp_path / "noise"))
    assert (found.hints.doubted, found.hints.examples) == (0, [])
    assert found.hints.right < 0.75


def test_probabilities_of_a_probe_are_of_rows_it_was_not_fitted_on():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    known = chances(np.eye(3)[labels] + 0.1 * rng.standard_normal((90, 3)), labels)
    np.testing.assert_allclose(known.sum(axis=1), 1)
    assert (known.argmax(axis=1) == labels).all()
    assert (chances(rng.standard_normal((90, 60)), labels).argmax(axis=1) == labels).mean() < 0.6
    with pytest.raises(ValueError, match="two rows of each of two groups"):
        chances(np.eye(3), np.array([0, 1, 1]))


def test_a_split_that_joins_others_is_left_out_unless_asked_for(tmp_path):
    root = tmp_path / "data"
    folders(root / "photo", rows=8)
    for split, rows in (("train", range(6)), ("crossval", (6, 7)), ("test", range(8))):
        listed(root, "photo", split, "{domain}_{split}_kfold.txt", {"cat": 1, "dog": 2}, rows)
    found = hubtl.inspect(str(root), domain="photo")
    assert [(split.name, split.rows) for split in found.splits] == [("train", 12), ("validation", 4)]
    assert found.duplicates.groups == 0
    assert any("split all; --split inspects it" in note for note in found.notes)
    assert found.dataset == "data [photo]"
    assert [split.rows for split in hubtl.inspect(str(root / "photo"), split="all").splits] == [16]


def test_of_equal_rows_one_is_probed(photos):
    found = hubtl.inspect(str(photos))
    assert (found.hints.rows, found.duplicates.rows) == (17, 2)  # of 20 one cannot be read


def test_two_domains_are_compared_by_labels_rows_and_shift(tmp_path):
    root = office(tmp_path / "office", inner="")
    (root / "webcam" / "dog").rename(root / "webcam" / "owl")
    shutil.copy(root / "amazon" / "cat" / "0.jpg", root / "webcam" / "cat" / "same.jpg")
    found = hubtl.inspect(str(root / "amazon"), against=str(root / "webcam")).against
    assert (found.relation.setting, found.relation.source_only, found.relation.target_only) == (
        "open-partial",
        ["dog"],
        ["owl"],
    )
    assert found.counts == {"cat": (5, 6), "dog": (5, 0), "mug": (5, 5), "owl": (0, 5)}
    assert found.shared_rows == 1
    assert found.features == "cheap features"
    named = hubtl.inspect(str(root), domain="amazon", against=str(root), against_domain="webcam").against
    assert named.counts == found.counts


def test_the_shift_is_small_between_halves_and_large_between_colours(tmp_path):
    for number in range(40):
        picture(tmp_path / "a" / "cat" / f"{number}.jpg", "cat", number)
        picture(tmp_path / "b" / "cat" / f"{number}.jpg", "cat", 100 + number)
        picture(tmp_path / "c" / "cat" / f"{number}.jpg", "dog", number)
    near, far = (hubtl.inspect(str(tmp_path / "a"), against=str(tmp_path / other)).against for other in "bc")
    assert near.a_distance < 1.0
    assert far.a_distance > 1.9


@pytest.mark.slow
def test_the_features_of_a_model_are_probed_in_place_of_cheap_ones(photos):
    (photos / "train" / "cat" / "5.jpg").unlink()
    options = {"model": "lenet", "pretrained": False, "image_size": 32}
    found = hubtl.inspect(str(photos), against=str(photos / "test"), **options)
    assert found.hints.features == found.against.features == "frozen features of lenet"


def test_texts_recordings_and_numbers_have_sizes_of_their_own(tmp_path):
    texts = {"text": ["one two three four", "five six seven eight nine", "", "a b c d"], "label": ["x", "y", "x", "y"]}
    Dataset.from_dict(texts).to_json(tmp_path / "texts.jsonl")
    (split,) = hubtl.inspect(str(tmp_path / "texts.jsonl")).splits
    words = split.sizes["text"]["words"]
    assert (words.least, words.median, words.most, split.unreadable_rows) == (4, 4, 5, 1)
    for number in range(2):
        for name in ("yes", "no"):
            (tmp_path / "sounds" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "sounds" / name / f"{number}.wav").write_bytes(WAV)
    found = hubtl.inspect(str(tmp_path / "sounds"))
    sizes = found.splits[0].sizes["audio"]
    assert (sizes["seconds"].most, sizes["rate"].values) == (0.01, {"8000": 4})
    assert found.duplicates.contradicting == 1
    numbers = {"text": ["one two three four"] * 3, "target": [0.5, 1.5, 4.0]}
    Dataset.from_dict(numbers).to_json(tmp_path / "numbers.jsonl")
    values = hubtl.inspect(str(tmp_path / "numbers.jsonl"), task="regression").splits[0].values["target"]
    assert (values.least, values.median, values.most) == (0.5, 1.5, 4.0)


def test_sets_of_labels_are_counted_without_difficult_ones(tmp_path):
    found = hubtl.inspect(str(voc(tmp_path / "VOC2007", voc_labels())))
    assert (found.task, found.label_columns) == ("multi-label", ["labels"])
    assert found.splits[0].counts == {"cat": 5, "dog": 4}
    assert found.hints is None


def test_masks_of_a_devkit_are_read_where_their_task_is_named(tmp_path):
    year = voc(tmp_path / "VOC2007", voc_labels(("train",), rows=4))
    text(year / "ImageSets" / "Segmentation" / "train.txt", "000000", "000001")
    (year / "SegmentationClass").mkdir()
    for number in range(2):
        mask = np.zeros((32, 32), np.uint8)
        mask[:8] = 1 + number
        Picture.fromarray(mask).save(year / "SegmentationClass" / f"00000{number}.png")
    found = hubtl.inspect(str(year), task="segmentation")
    (train,) = found.splits
    assert (found.task, train.rows) == ("segmentation", 2)
    assert sorted(train.counts.values())[-3:] == [256, 256, 1536]


def test_the_sheet_shows_rows_of_each_label_on_a_light_page(photos, tmp_path):
    found = hubtl.inspect(str(photos), output_dir=tmp_path / "out")
    page = np.asarray(Picture.open(found.sheet))
    assert (page[:8] > 250).all()
    reds = (page[..., 0] > 150) & (page[..., 1] < 80)
    greens = (page[..., 1] > 150) & (page[..., 0] < 80)
    cats, dogs = np.flatnonzero(greens.any(axis=1)), np.flatnonzero(reds[:, 600:].any(axis=1))
    assert cats.mean() < dogs.mean()  # a line for each label, in their order
    assert reds.any(axis=0).sum() > 5 * 90  # pictures of 32 pixels are enlarged to 96
    kept = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert kept["splits"] == found.model_dump(mode="json")["splits"]


def test_long_names_and_many_labels_stay_on_the_page(tmp_path):
    for number in range(45):
        picture(tmp_path / "data" / f"{number:02} a very long name of a label that would not fit" / "0.png", "dog")
    found = hubtl.inspect(str(tmp_path / "data"), output_dir=tmp_path / "out")
    page = np.asarray(Picture.open(found.sheet))
    assert page.shape[1] == 1080
    assert (page[100:-40, 210:222] > 200).all()  # nothing is written between names and pictures


def test_the_command_prints_tables_or_json_and_writes_nothing_unasked(photos, capsys, tmp_path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    code, out, err = hubtl_command(
        ["data", "inspect", str(photos), "--against", str(photos), "--split", "train"], capsys
    )
    assert code == 0, err
    for part in ("train\t13\t13\t", "cat\t6", "unreadable: train 5 5.jpg [cat]", "labels: closed; 2 shared"):
        assert part in out
    code, out, err = hubtl_command(["data", "inspect", str(photos), "--rows", "4", "--json"], capsys)
    assert (code, [split["examined"] for split in json.loads(out)["splits"]]) == (0, [4, 4])
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["nowhere/at-all.csv"], "there is no file or folder nowhere/at-all.csv"),
        (["{photos}", "--split", "dev"], "split"),
        (["{photos}", "--label-column", "kind"], "'kind'"),
        (["{photos}", "--task", "guess"], "task 'guess'"),
        (["{photos}", "--column", "sound"], "is not MODALITY=NAME"),
        (["{photos}", "--output-dir", "{photos}/train/cat/0.jpg"], "is a file"),
        (["{photos}", "--rows", "-1"], "rows"),
    ],
)
def test_bad_input_is_one_error(photos, capsys, flags, why):
    typed = [flag.format(photos=photos) for flag in flags]
    code, out, err = hubtl_command(["data", "inspect", *typed], capsys)
    assert (code, err.count("error:"), out) == (2, 1, "")
    assert why in err


def test_python_takes_what_the_command_takes():
    with pytest.raises(HubtlError, match="-1 rows are asked for"):
        hubtl.inspect("builtin:digits/mnist", rows=-1)
