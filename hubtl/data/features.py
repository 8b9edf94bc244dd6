"""Features of frozen backbones, kept on disk: memory-mapped, checked, and shared by runs at the same time."""

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hubtl.batch import Batch
from hubtl.settings import cache_dir, logger

FORMAT = 1


class FeatureSet:
    """Pooled features [n, d] of a stream's rows, with the interface of ``ImageSet``."""

    augment = False
    cached = True
    note: str | None = None

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray | None,
        name: str,
        bad: Sequence[str] = (),
        domains: np.ndarray | None = None,
    ) -> None:
        self._features, self.labels, self.name, self.bad, self.domains = features, labels, name, list(bad), domains
        self.plain = self

    def __len__(self) -> int:
        return len(self._features)

    def fetch(self, rows: Sequence[int], *, seed: int | None = None) -> Batch:
        """The rows as a batch: ``features`` is float32 [b, d]."""
        index = np.asarray(rows, dtype=np.int64)
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        domain = None if self.domains is None else torch.from_numpy(self.domains[index])
        features = torch.from_numpy(self._features[index])
        return Batch({"features": features}, labels, torch.from_numpy(index), domain=domain)


@dataclass(frozen=True)
class Cached:
    """One entry of the cache."""

    key: str
    facts: Mapping[str, Any]
    bytes: int
    used: float  # seconds since the epoch


def folder() -> Path:
    return cache_dir() / "features"


def key_of(facts: Mapping[str, Any]) -> str:
    """A name for everything that determines the features."""
    text = json.dumps({**facts, "format": FORMAT}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """A digest of every weight and buffer, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def get(key: str, rows: int) -> np.ndarray | None:
    """The features of an entry, memory-mapped; None where there is none, or what is there is not what was written."""
    place = folder() / key
    try:
        facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
        features: np.ndarray = np.load(place / "features.npy", mmap_mode="r", allow_pickle=False)
        good = features.dtype == np.float32 and features.ndim == 2 and len(features) == rows
        if good and facts["crc"] == zlib.crc32(features.data):
            os.utime(place / "facts.json")
            return features
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    logger.warning("the cached features %s are damaged: they are made again", key[:12])
    shutil.rmtree(place, ignore_errors=True)
    return None


def put(key: str, features: np.ndarray, facts: Mapping[str, Any]) -> None:
    """Keep features under a key. The entry appears whole or not at all; another run's, made meanwhile, stays.

    A cache that cannot be written, on a full disk for example, costs time and nothing else.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=folder()))
        try:
            np.save(made / "features.npy", features)
            text = json.dumps({**facts, "crc": zlib.crc32(np.ascontiguousarray(features).data)}, indent=2)
            (made / "facts.json").write_text(text, encoding="utf-8")
            os.rename(made, folder() / key)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        if not (folder() / key).exists():
            logger.warning("features are not kept: %s", error)


def entries() -> list[Cached]:
    """What the cache holds, the last used first."""
    found = []
    for path in folder().glob("*/facts.json"):
        if path.parent.name.startswith("."):
            continue
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            size = sum(p.stat().st_size for p in path.parent.iterdir())
            found.append(Cached(path.parent.name, facts, size, path.stat().st_mtime))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Empty the cache, and return the bytes that this freed."""
    freed = sum(path.stat().st_size for path in folder().rglob("*") if path.is_file())
    shutil.rmtree(folder(), ignore_errors=True)
    return freed
