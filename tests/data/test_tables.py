"""Tables that name files, and splits by tables' names. Metadata beside files count."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from datasets import Audio, ClassLabel, Dataset, Image

from hubtl.data.cells import Wanted
from hubtl.data.opening import opened
from hubtl.data.sources import open_domain
from hubtl.data.splits import split_names
from hubtl.errors import HubtlError
from hubtl.recipe.schema import DataSection, DomainSection
from hubtl.tasks.classification import Classification
from tests.data.trees import WAV, grow, listed


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def read(path: Path, *modalities: str, skip: bool = False, **columns: str) -> Dataset:
    splits = opened(str(path), Wanted(modalities, columns, skip)).splits
    assert len(splits) == 1
    return next(iter(splits.values()))


def paths(rows: Dataset, column: str) -> list[str | None]:
    rows = rows.cast_column(column, type(rows.features[column])(decode=False))
    return [cell and cell["path"] for cell in rows[column][:]]


# columns of file names


@pytest.mark.parametrize("column", ["img_path", "filepath", "id", "Bild", "file name", "image", "x.y", "名前"])
@pytest.mark.parametrize("asked", [False, True])
def test_names_in_a_column_of_any_name_are_relative_to_the_table(tmp_path, monkeypatch, column, asked):
    grow(tmp_path / "sub", *(f"img/{i}.png" for i in range(4)))
    lines = (f"img/{i}.png,{('cat', 'dog')[i % 2]}" for i in range(4))
    table = write(tmp_path / "sub" / "rows.csv", f"{column},label", *lines)
    monkeypatch.chdir(tmp_path)
    data = DataSection(image_column=column if asked else None)
    domain = open_domain(DomainSection(dataset="sub/rows.csv"), data, Classification(), role="target")
    assert domain.columns["image"] == column
    found = {p for part in (domain.train, domain.eval) for p in paths(part, column)}
    assert found == {str(table.parent / "img" / f"{i}.png") for i in range(4)}
    assert domain.train[0][column].size == (4, 4)


def test_names_may_be_absolute_addresses_of_files_or_written_with_backslashes(tmp_path):
    folder = grow(tmp_path / "da ta", "a b.png", "img/1.png", "%41.png")
    names = [f"{folder}/a b.png", f"file://{quote(str(folder / '%41.png'))}", "img\\1.png", "./img/../a b.png"]
    rows = read(write(folder / "rows.jsonl", *(json.dumps({"image": name}) for name in names)))
    assert [Path(p).name for p in paths(rows, "image")] == ["a b.png", "%41.png", "1.png", "a b.png"]
    assert all(Path(p).is_file() for p in paths(rows, "image"))


def test_recordings_named_by_any_column(tmp_path):
    grow(tmp_path, "clips/0.wav", "clips/1.wav")
    table = write(tmp_path / "rows.tsv", "clip\tlabel", "clips/0.wav\tyes", "clips/1.wav\tno")
    rows = read(table, "audio")
    assert isinstance(rows.features["clip"], Audio)
    assert paths(rows, "clip") == [str(tmp_path / "clips" / f"{i}.wav") for i in (0, 1)]
    table = write(tmp_path / "rows.csv", "clip,label", "clips/0.wav,yes", "clips/9.wav,no")
    with pytest.raises(HubtlError, match=r"column 'clip', row 1: there is no file clips/9\.wav"):
        read(table, "audio", audio="clip")


@pytest.mark.parametrize("column", ["image", "img_path"])
@pytest.mark.parametrize("asked", [False, True])
def test_a_name_of_no_file_is_an_error_that_names_the_row_or_is_skipped(tmp_path, caplog, column, asked):
    grow(tmp_path, "0.png", "2.png")
    table = write(tmp_path / "rows.csv", f"{column},label", "0.png,a", "lost.png,b", "2.png,a", "gone.png,b")
    columns = {"image": column} if asked else {}
    with pytest.raises(HubtlError) as caught:
        read(table, "image", **columns)
    assert f"column '{column}', row 1: there is no file lost.png (2 of 4 rows name no file)" in str(caught.value)
    assert "--on-bad-sample skip" in caught.value.hint
    assert len(read(table, "image", skip=True, **columns)) == 4
    assert len(read(table, "image", "text", **columns)) == 4  # there a row may lack one
    assert "row 1: there is no file lost.png" in caplog.text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("https://example.org/0.png", "is an address, and files alone are read"),
        ("s3://bucket/0.png", "is an address, and files alone are read"),
        ("0", "there is no file 0"),
    ],
)
def test_a_column_that_names_no_file_at_all_is_an_error_where_it_is_asked_for(tmp_path, cell, message):
    table = write(tmp_path / "rows.csv", "where,label", f"{cell},a", f"{cell},b")
    with pytest.raises(HubtlError, match="row 0") as caught:
        read(table, "image", image="where", skip=True)
    assert message in str(caught.value)


def test_a_column_of_former_names_beside_the_files_stays_text(tmp_path):
    grow(tmp_path, "0.png", "1.png")
    table = write(tmp_path / "rows.csv", "image,file_name,label", "0.png,DSC_1.png,a", "1.png,DSC_2.png,b")
    rows = read(table, "image")
    assert isinstance(rows.features["image"], Image)
    assert rows["file_name"][:] == ["DSC_1.png", "DSC_2.png"]


def test_each_table_of_a_split_has_its_own_folder(tmp_path):
    for name in ("a", "b"):
        grow(tmp_path / "data" / "train" / name, f"{name}.png", "0.png")
        write(tmp_path / "data" / "train" / name / "rows.csv", "image,label", f"{name}.png,x", "0.png,y")
    for place in [*tmp_path.rglob("*.png")]:
        assert place.is_file()
    from hubtl.data import tables

    files = {"train": sorted((tmp_path / "data").rglob("rows.csv"))}
    rows = tables.from_files(files, tmp_path / "data", Wanted())["train"]
    wanted = [f"train/{n}/{f}.png" for n in "ab" for f in (n, "0")]
    assert [str(Path(p).relative_to(tmp_path / "data")) for p in paths(rows, "image")] == wanted


@pytest.mark.parametrize("name", ["photos[1]", "a*b", "{a}", "__x__", "100 %", "a:b"])
def test_tables_in_folders_of_any_name(tmp_path, name):
    table = write(tmp_path / name / "rows[0].csv", "text,label", "one,a", "two,b")
    write(tmp_path / "photos1" / "rows0.csv", "text,label", "three,c")
    assert read(table)["text"][:] == ["one", "two"]
    assert read(table.parent)["text"][:] == ["one", "two"]


def test_a_path_that_would_be_a_chain_of_addresses_is_an_error(tmp_path):
    with pytest.raises(HubtlError, match="a path with :: in it holds no table") as caught:
        read(write(tmp_path / "a::b" / "rows.jsonl", '{"text": "one"}'))
    assert "rename" in caught.value.hint


def test_a_table_of_names_alone(tmp_path):
    grow(tmp_path, "0.png", "1.png")
    assert len(read(write(tmp_path / "rows.csv", "image", "0.png", "1.png"), "image")) == 2


# splits


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"], ["train", "train", "test"]),
        (["Train", "TEST", "Val"], ["train", "test", "validation"]),
        (["train/0", "Test/0", "dev/part-1"], ["train", "test", "validation"]),
        (["data/train", "data/test"], ["train", "test"]),
        (["bullet_train", "test_tube"], ["bullet_train", "test_tube"]),
        (["bullet_train"], ["bullet_train"]),
        (["training_wheels", "rows"], ["training_wheels", "rows"]),
        (["mnist_train", "mnist_test"], ["train", "test"]),
        (["a-train", "a-Validation", "a-dev2"], ["a-train", "a-Validation", "a-dev2"]),
        (["part-00000-0e1f", "part-00001-aa12"], ["part", "part"]),
        (["0", "1"], ["train", "train"]),
        (["a"], ["train"]),
    ],
)
def test_splits_by_the_names_of_tables(names, wanted):
    root = Path("/data")
    files = [root / f"{name}.csv" for name in names]
    assert list(split_names(files, root).values()) == wanted


def test_tables_of_several_kinds_are_not_mixed(tmp_path, caplog):
    write(tmp_path / "data" / "Train.csv", "text,label", "one,a", "two,b")
    write(tmp_path / "data" / "TEST.CSV", "text,label", "three,a")
    write(tmp_path / "data" / "class_indices.json", '{"0": "a"}')
    splits = opened(str(tmp_path / "data")).splits
    assert {name: rows["text"][:] for name, rows in splits.items()} == {"train": ["one", "two"], "test": ["three"]}
    assert "2 .csv tables used; left out: 1 .json" in caplog.text


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 2], [0.5, 1.5]), ([0.5, 1.5], [1, 2]), ([None, None], [0.5, 1.5]), ([None, None], [["a"], []])],
)
@pytest.mark.parametrize("folders", [("", ""), ("one/", "two/")])
def test_files_of_one_split_may_have_no_labels_or_whole_numbers_alone(tmp_path, first, second, folders):
    for folder, name, cells in zip(folders, ("a", "b"), (first, second), strict=True):
        place = tmp_path / "train" / folder / f"{name}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(json.dumps({"text": f"{name}{i}", "y": cell}) for i, cell in enumerate(cells)))
    rows = opened(str(tmp_path)).splits["train"]
    assert rows["y"][:] == first + second
    assert rows["text"][:] == ["a0", "a1", "b0", "b1"]


def test_tables_of_one_split_that_do_not_fit_are_an_error(tmp_path):
    write(tmp_path / "data" / "train" / "a" / "rows.csv", "text,label", "one,a")
    write(tmp_path / "data" / "train" / "b" / "rows.csv", "n", "1")
    assert opened(str(tmp_path / "data")).splits["train"].num_rows == 2


# metadata beside files


def metadata(root: Path, *lines: str, name: str = "metadata.csv") -> Path:
    write(root / name, *lines)
    return root


def test_metadata_beside_classes_are_more_columns(tmp_path):
    root = grow(tmp_path / "data", "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
    metadata(root, "file_name,camera,n", "dog/0.png,m,1", "cat/1.png,k,2", "cat/0.png,k,3", "dog/1.png,k,4")
    assert listed(root) == {
        "train": [("cat/0.png", "cat"), ("cat/1.png", "cat"), ("dog/0.png", "dog"), ("dog/1.png", "dog")]
    }
    rows = read(root)
    assert isinstance(rows.features["label"], ClassLabel)
    assert (rows["camera"][:], rows["n"][:]) == (["k", "k", "m", "k"], [3, 2, 1, 4])
    domain = open_domain(
        DomainSection(dataset=str(root), domain="k"),
        DataSection(domain_column="camera"),
        Classification(),
        role="target",
    )
    assert len(domain.train) + len(domain.eval) == 3


def test_metadata_in_each_class_and_each_split(tmp_path):
    root = grow(
        tmp_path / "data", *(f"{s}/{c}/{i}.png" for s in ("train", "test") for c in ("cat", "dog") for i in (0, 1))
    )
    metadata(root / "train", "file_name,n", *(f"{c}/{i}.png,{i}" for c in ("cat", "dog") for i in (0, 1)))
    for c in ("cat", "dog"):
        metadata(
            root / "test" / c, '{"file_name": "0.png", "n": 7}', '{"file_name": "1.png", "n": 8}', name="metadata.jsonl"
        )
    splits = opened(str(root)).splits
    assert splits["train"]["n"][:] == [0, 1, 0, 1]
    assert splits["test"]["n"][:] == [7, 8, 7, 8]
    assert splits["test"]["label"][:] == [0, 0, 1, 1]


def test_rows_without_a_file_and_files_without_a_row_are_counted(tmp_path, caplog):
    caplog.set_level("INFO", logger="hubtl")
    root = grow(tmp_path / "data", "0.png", "1.png", "2.png")
    metadata(root, "file_name,label", "0.png,cat", "1.png,dog", "9.png,dog")
    assert listed(root) == {"train": [("0.png", "cat"), ("1.png", "dog")]}
    assert "metadata.csv names files that are not there, in 1 row: 9.png, for example" in caplog.text
    assert "left out: 1 file of train without a row in metadata.csv" in caplog.text
    assert "2 of 3 image files used" in caplog.text
    metadata(root, "file_name,note", "0.png,x")
    assert read(root)["note"][:] == ["x", None, None]


def test_two_rows_of_one_file_are_an_error_where_they_differ(tmp_path):
    root = grow(tmp_path / "data", "cat/0.png", "dog/0.png")
    metadata(root, "file_name,n", "cat/0.png,1", "dog/0.png,1", "./cat/0.png,1")
    assert read(root)["n"][:] == [1, 1]
    metadata(root, "file_name,n", "cat/0.png,1", "dog/0.png,1", "./cat/0.png,2")
    with pytest.raises(HubtlError, match=r"metadata\.csv: rows 0 and 2 are both of \./cat/0\.png, and differ"):
        read(root)


def test_labels_of_metadata_are_beside_those_of_folders(tmp_path, caplog):
    names = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]
    root = grow(tmp_path / "data", *names)
    metadata(root, "file_name,label", *(f"{name},{'tabby' if 'cat' in name else 'pug'}" for name in names))
    rows = read(root)
    assert rows.features["label"].names == ["cat", "dog"]
    assert rows["metadata_label"][:] == ["tabby"] * 3 + ["pug"] * 3
    assert "the classes of train are those of the folders; those of metadata.csv are beside them" in caplog.text
    data = DataSection(label_column="metadata_label")
    assert open_domain(DomainSection(dataset=str(root)), data, Classification(), role="target").outputs.names == [
        "pug",
        "tabby",
    ]


def test_labels_of_all_splits_come_from_the_folders_or_from_the_metadata(tmp_path):
    root = grow(tmp_path / "data", "train/cat/0.png", "train/dog/0.png", "test/cat/0.png")
    metadata(root, "file_name,label", "train/cat/0.png,a", "train/dog/0.png,b", "test/cat/0.png,c")
    splits = opened(str(root)).splits
    assert {name: rows["label"][:] for name, rows in splits.items()} == {"train": [0, 1], "test": [0]}
    assert splits["test"]["metadata_label"][:] == ["c"]


def test_two_metadata_files_in_one_folder_are_an_error(tmp_path):
    root = metadata(grow(tmp_path / "data", "cat/0.png", "dog/0.png"), "File_Name,n", "cat/0.png,1")
    assert read(root)["n"][:] == [1, None]
    metadata(root, '{"file_name": "cat/0.png", "n": 2}', name="metadata.jsonl")
    with pytest.raises(HubtlError, match=r"metadata\.csv and metadata\.jsonl lie in one folder"):
        read(root)


def test_labels_of_metadata_count_where_there_is_one_folder_alone(tmp_path, caplog):
    root = grow(tmp_path / "data", "crops/0.png", "crops/1.png")
    metadata(root, "file_name,label", "crops/0.png,cat", "crops/1.png,dog")
    assert listed(root) == {"train": [("crops/0.png", "cat"), ("crops/1.png", "dog")]}
    assert "those of metadata.csv: crops/ is read as none" in caplog.text


def test_a_metadata_table_without_file_names_is_left_out(tmp_path, caplog):
    root = metadata(grow(tmp_path / "data", "cat/0.png", "dog/0.png"), "a,b", "1,2")
    assert read(root).column_names == ["image", "label"]
    assert "metadata.csv has no column file_name, and is left out" in caplog.text


def test_metadata_that_do_not_load_are_an_error(tmp_path):
    root = grow(tmp_path / "data", "cat/0.png", "dog/0.png")
    (root / "metadata.parquet").write_bytes(b"no parquet")
    with pytest.raises(HubtlError, match=r"metadata\.parquet does not load"):
        read(root)


def test_more_files_that_metadata_name_are_columns_too(tmp_path):
    root = grow(tmp_path / "data", "0.png", "0b.png", "0.wav", "1.png")
    lines = [
        "file_name,mask_file_name,audio_file_name,path,label",
        "0.png,0b.png,0.wav,/gone/0.png,x",
        "1.png,,,/gone/1.png,y",
    ]
    rows = read(metadata(root, *lines), "image")
    assert isinstance(rows.features["mask"], Image)
    assert paths(rows, "mask") == [str(root / "0b.png"), None]
    assert paths(rows, "audio") == [str(root / "0.wav"), None]
    assert rows["path"][:] == ["/gone/0.png", "/gone/1.png"]
    assert paths(rows, "image") == [str(root / "0.png"), str(root / "1.png")]


def test_recordings_with_metadata(tmp_path):
    root = grow(tmp_path / "data", "Train/0.wav", "Train/1.wav", "Test/0.wav")
    metadata(root / "Train", "file_name,label", "0.wav,yes", "1.wav,no")
    metadata(root / "Test", "file_name,label", "0.wav,no")
    assert listed(root, "audio") == {
        "train": [("Train/0.wav", "yes"), ("Train/1.wav", "no")],
        "test": [("Test/0.wav", "no")],
    }
    assert (root / "Test" / "0.wav").read_bytes() == WAV


def test_a_folder_of_saved_datasets_is_no_dataset(tmp_path):
    for split in ("train", "test"):
        Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "all" / split))
    with pytest.raises(HubtlError, match="all holds folders that save_to_disk wrote: test, train"):
        opened(str(tmp_path / "all"))
    assert opened(str(tmp_path / "all" / "train")).splits["train"]["text"][:] == ["a"]
