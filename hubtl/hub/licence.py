"""Read the licence on a repository's own card."""

import re
from pathlib import Path
from typing import Any

import yaml

from hubtl.io import plain

FACTS = 200_000  # keys and values: the card of a dataset may list the names of all its classes
BLOCK = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def licence_of(repo: str, commit: str, *, repo_type: str = "model") -> str | None:
    """Return the licence of a repository at a commit; None if its card names none or is missing."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import httpx

    try:
        path = hf_hub_download(repo, "README.md", revision=commit, repo_type=repo_type)
        block = BLOCK.match(plain.text_of(Path(path)))
        found = plain.parsed(block[1], FACTS) if block else None
    except (OSError, ValueError, yaml.YAMLError, httpx.HTTPError):
        return None
    return licence_in(found) if isinstance(found, dict) else None


def licence_in(metadata: dict[str, Any]) -> str | None:
    """Return the licence in a card's metadata.

    It is one, several in one line, or the name of one that the Hub has no key for.
    """
    value = metadata.get("license")
    names = [name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str) and name]
    if names == ["other"] and isinstance(own := metadata.get("license_name"), str) and own:
        return own
    return ", ".join(names) or None
