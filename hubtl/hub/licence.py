"""The licence that a repository's own card names."""

from pathlib import Path
from typing import Any


def licence_of(repo: str, commit: str, *, repo_type: str = "model") -> str | None:
    """The licence of a repository at a commit; None where its card names none or cannot be had."""
    from huggingface_hub import RepoCard, hf_hub_download
    from huggingface_hub.utils import httpx

    try:
        path = hf_hub_download(repo, "README.md", revision=commit, repo_type=repo_type)
        text = Path(path).read_text(encoding="utf-8-sig")
        return licence_in(RepoCard(text, ignore_metadata_errors=True).data.to_dict())
    except (OSError, ValueError, httpx.HTTPError):
        return None


def licence_in(metadata: dict[str, Any]) -> str | None:
    """The licence that a card's metadata names: one, several in one line, or the name of one that the Hub has no key for."""
    value = metadata.get("license")
    names = [name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str) and name]
    if names == ["other"] and isinstance(own := metadata.get("license_name"), str) and own:
        return own
    return ", ".join(names) or None
