"""Find datasets of the Hub that were loaded before: the commit of a branch, and its cached rows."""

from pathlib import Path

import datasets
from datasets import DatasetDict
from datasets.naming import camelcase_to_snakecase
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from hubtl.errors import HubtlError
from hubtl.hub.commits import COMMIT


def remember(name: str, revision: str | None, commit: str) -> None:
    """Note the commit of a branch or tag, as huggingface_hub's cache does."""
    note = _note(name, revision)
    if revision == commit:
        return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(commit, encoding="utf-8")
    except OSError:
        return


def load(name: str, config: str | None, revision: str | None) -> tuple[DatasetDict, str] | None:
    """Load the splits in the cache, and their commit; None where that revision is not in it.

    Raises:
        HubtlError: where several configurations are in it, and none was asked for.
    """
    from datasets.packaged_modules.cache.cache import Cache

    commit = revision if COMMIT.fullmatch(revision or "") else _noted(name, revision)
    found = [path for path in _folders(name) if path.name == commit and config in (None, path.parts[-3])]
    if commit is None and revision is None:  # loaded by another program, which leaves no note: the latest
        found = sorted((p for p in _folders(name) if config in (None, p.parts[-3])), key=lambda p: p.stat().st_mtime)[
            -1:
        ]
    if not found:
        return None
    if len({path.parts[-3] for path in found}) > 1:
        names = sorted(path.parts[-3] for path in found)
        raise HubtlError(
            f"the dataset {name} has several configurations in the cache: {', '.join(names)}", hint=f"{name}:{names[0]}"
        )
    where, version, commit = found[-1].parts[-3:]
    builder = Cache(repo_id=name, dataset_name=name.rpartition("/")[2], config_name=where, version=version, hash=commit)
    loaded = builder.as_dataset()
    return (loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)), commit


def commit_of(splits: DatasetDict) -> str | None:
    """Return the commit of rows, by their folder in the cache; None where it tells none."""
    files = [file["filename"] for split in splits.values() for file in split.cache_files]
    names = {part for file in files for part in Path(file).parts if COMMIT.fullmatch(part)}
    return names.pop() if len(names) == 1 else None


def _folders(name: str) -> list[Path]:
    """Return CONFIG/VERSION/COMMIT of a dataset in the cache of datasets."""
    owner, slash, last = name.rpartition("/")
    snake = camelcase_to_snakecase(last)
    root = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / (f"{owner}___{snake}" if slash else snake)
    return [
        path for path in root.glob("*/*/*") if COMMIT.fullmatch(path.name) and (path / "dataset_info.json").exists()
    ]


def _note(name: str, revision: str | None) -> Path:
    folder = repo_folder_name(repo_id=name, repo_type="dataset")
    return Path(constants.HF_HUB_CACHE) / folder / "refs" / (revision or constants.DEFAULT_REVISION)


def _noted(name: str, revision: str | None) -> str | None:
    try:
        said = _note(name, revision).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return said if COMMIT.fullmatch(said) else None
