"""Opening datasets: every kind that is documented, their splits and columns, and what is said when they are not there."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from hubtl.data.sources import open_domain
from hubtl.errors import HubtlError
from hubtl.recipe.schema import DataSection, DomainSection
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification import matching as labels
from hubtl.tasks.classification import reading as classes


def picture(seed: int, size=(12, 10)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))


def dataset(n=20, classes=("cat", "dog"), **columns) -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(classes))})
    rows = {"image": [picture(i) for i in range(n)], "label": [i % len(classes) for i in range(n)]}
    made = datasets.Dataset.from_dict(rows, features=features)
    for name, values in columns.items():
        made = made.add_column(name, values)
    return made


def opened(text, role="source", *, data=None, **section):
    return open_domain(
        DomainSection(dataset=str(text), **section), DataSection(**(data or {})), Classification(), role=role
    )


def test_an_image_folder_with_splits(tmp_path):
    for split, n in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(n):
                picture(i).save(tmp_path / split / name / f"{i}.png")
    domain = opened(tmp_path)
    assert (len(domain.train), len(domain.eval)) == (8, 4)
    assert domain.outputs.names == ["cat", "dog"]
    assert domain.facts.columns == {"image": "image", "label": "label"}
    assert domain.facts.label_counts == {"cat": 4, "dog": 4}
    assert domain.facts.dataset == tmp_path.name, "a private path is nobody's business"


def test_an_image_folder_without_splits_is_cut_the_same_way_each_time(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            picture(i + 100 * (name == "dog")).save(tmp_path / name / f"{i}.png")
    one, two = opened(tmp_path), opened(tmp_path)
    assert (len(one.train), len(one.eval)) == (16, 4)
    assert sorted(one.eval["label"]) == [0, 0, 1, 1]
    names = [[r["image"].tobytes() for r in d.eval] for d in (one, two)]
    assert names[0] == names[1]
    assert not set(names[0]) & {r["image"].tobytes() for r in one.train}
    assert one.facts.eval_split == "20% of train"


def test_parquet_csv_jsonl_and_saved_folders_hold_the_same(tmp_path):
    whole = dataset()
    (tmp_path / "parquet").mkdir()
    whole.to_parquet(tmp_path / "parquet" / "train-00000-of-00001.parquet")
    whole.select(range(6)).to_parquet(tmp_path / "parquet" / "test-00000-of-00001.parquet")
    datasets.DatasetDict(train=whole, test=whole.select(range(6))).save_to_disk(tmp_path / "saved")
    (tmp_path / "tables").mkdir()
    lines = ["file_name,label"]
    for i in range(20):
        picture(i).save(tmp_path / "tables" / f"{i}.png")
        lines.append(f"{i}.png,{('cat', 'dog')[i % 2]}")
    (tmp_path / "tables" / "rows.csv").write_text("\n".join(lines) + "\n")
    rows = [f'{{"file_name": "{i}.png", "label": "{("cat", "dog")[i % 2]}"}}' for i in range(20)]
    (tmp_path / "tables" / "rows.jsonl").write_text("\n".join(rows) + "\n")
    for source in ("parquet", "saved"):
        domain = opened(tmp_path / source)
        assert (len(domain.train), len(domain.eval)) == (20, 6), source
    for file in ("rows.csv", "rows.jsonl"):
        domain = opened(tmp_path / "tables" / file)
        assert len(domain.train) + len(domain.eval) == 20
        assert domain.outputs.names == ["cat", "dog"]
        assert domain.train[0][domain.columns["image"]].size == (10, 12)
        indices = labels.indices(domain.labels, domain.outputs.names, ["dog", "cat"])
        assert set(indices) == {0, 1}


def test_one_dataset_with_several_domains(tmp_path):
    dataset(24, domain=["photo", "sketch", "photo"] * 8).to_parquet(tmp_path / "all.parquet")
    data = {"domain_column": "domain"}
    photo = opened(tmp_path / "all.parquet", data=data, domain="photo")
    sketch = opened(tmp_path / "all.parquet", "target", data=data, domain="sketch")
    assert (len(photo.train) + len(photo.eval), len(sketch.train) + len(sketch.eval)) == (16, 8)
    with pytest.raises(HubtlError, match=r"'phot'.*photo, sketch") as caught:
        opened(tmp_path / "all.parquet", data=data, domain="phot")
    assert caught.value.hint == "--source-domain photo"


def test_slices_and_unknown_splits():
    half = opened("builtin:digits/uci", split="train[:50%]", eval_split="test[10:30]")
    assert (len(half.train), len(half.eval)) == (598, 20)
    with pytest.raises(HubtlError, match="unknown split") as caught:
        opened("builtin:digits/uci", split="tran")
    assert caught.value.hint == "--source-split train"


def test_a_target_without_labels_is_fine_and_a_source_is_not(tmp_path):
    dataset().remove_columns("label").to_parquet(tmp_path / "plain.parquet")
    target = opened(tmp_path / "plain.parquet", "target")
    assert target.label_columns == []
    assert not target.facts.eval_labelled
    names, relation = labels.match(["cat", "dog"], None if target.outputs is None else target.outputs.names)
    assert (names, relation.setting) == (["cat", "dog"], "unknown")


def test_labels_out_of_range_name_the_row():
    broken = datasets.Dataset.from_dict({"label": [0, 1, 7, 1]})
    with pytest.raises(HubtlError, match=r"row 2: label 7 is out of range; the classes are cat, dog"):
        classes.read([_with_class_label(broken)], "label", "the source")


def _with_class_label(rows: datasets.Dataset) -> datasets.Dataset:
    """Labels that the feature's names do not cover. Files in the wild have them."""
    features = datasets.Features({"label": datasets.ClassLabel(names=["cat", "dog"])})
    return datasets.Dataset(rows.data, info=datasets.DatasetInfo(features=features))


def test_several_image_columns_ask_for_a_choice(tmp_path):
    rows = {"left": [picture(0)] * 4, "right": [picture(1)] * 4, "label": [0, 1, 0, 1]}
    features = datasets.Features(
        {"left": datasets.Image(), "right": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(HubtlError, match="several image columns: left, right") as caught:
        opened(tmp_path / "two.parquet")
    assert caught.value.hint == "--column image=left"
    assert opened(tmp_path / "two.parquet", data={"image_column": "right"}).columns["image"] == "right"


def test_encoded_bytes_are_images(tmp_path):
    buffer = io.BytesIO()
    picture(3).save(buffer, "PNG")
    cells = [{"bytes": buffer.getvalue(), "path": None}] * 10
    datasets.Dataset.from_dict({"img": cells, "label": ["a", "b"] * 5}).to_parquet(tmp_path / "raw.parquet")
    domain = opened(tmp_path / "raw.parquet")
    assert domain.columns["image"] == "img"
    assert domain.outputs.names == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "target", "setting"),
    [
        (["a", "b"], ["B", "a"], "closed"),
        (["a", "b", "c"], ["a", "b"], "partial"),
        (["a", "b"], ["a", "b", "c"], "open"),
        (["back pack", "x"], ["back_pack", "y"], "open-partial"),
    ],
)
def test_label_sets_are_told_apart(source, target, setting):
    names, relation = labels.match(source, target)
    assert names == source
    assert relation.setting == setting
    if setting != "closed":
        for name in {*relation.source_only, *relation.target_only}:
            assert name in labels.describe(relation)
