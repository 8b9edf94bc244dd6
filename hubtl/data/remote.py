"""A dataset of the Hub: its splits, the commit that they are of, and the licence that its card names."""

import os
import re
from typing import NamedTuple

import datasets
from datasets import DatasetDict
from huggingface_hub import is_offline_mode

from hubtl.errors import HubtlError
from hubtl.hub.network import mind_the_network


class Remote(NamedTuple):
    splits: DatasetDict
    revision: str | None
    license: str | None


def load(text: str, name: str, config: str | None, revision: str | None) -> Remote:
    """Load what the user called ``text``. Raises HubtlError naming why it cannot be had."""
    mind_the_network()
    if is_offline_mode():
        datasets.config.HF_HUB_OFFLINE = True
    try:
        loaded = datasets.load_dataset(name, config, revision=revision)
    except Exception as error:
        raise _unreachable(text, name, error) from error
    splits = loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)
    info = next(iter(splits.values())).info
    commit = next(iter(info.download_checksums or {}), "")
    found = re.search(r"@([0-9a-f]{40})", commit)
    return Remote(splits, found.group(1) if found else revision, info.license or None)


def _unreachable(text: str, name: str, error: Exception) -> HubtlError:
    said = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    if "config" in said.lower() and kind == "ValueError":
        return HubtlError(f"{text}: {said}", hint=f"{name}:CONFIG")
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        return HubtlError(
            f"the dataset {text} is not in the cache, and HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or give a folder",
        )
    if kind == "DatasetNotFoundError" or "doesn't exist" in said:
        return HubtlError(
            f"there is no dataset {text}: neither a folder or file here, nor on the Hub (or it is private)",
            hint="mind the spelling; hf auth login for a private one",
        )
    if isinstance(error, ConnectionError) or "OfflineMode" in said or "Connect" in kind:
        return HubtlError(
            f"the Hub is out of reach for the dataset {text}", hint="mend the connection, or give a folder"
        )
    return HubtlError(f"the dataset {text} does not load: {kind}: {said}", hint="--debug shows where")
