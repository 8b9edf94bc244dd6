"""Keep tokens from being printed or written."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# After a slash it may be a folder's name: only what is as long as a token counts there.
TOKEN = re.compile(r"(?<![\w/.-])hf_(?:oauth_)?[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{30,}")
WHOLE = re.compile(r"hf_(?:oauth_)?[A-Za-z0-9]{30,}")
IN_URL = re.compile(r"(\w://)[^/\s@]*:[^/\s@]*@")  # https://user:password@host
SHORTEST = 8  # a token of fewer characters could be a word
HIDDEN = "<token>"


def known() -> list[str]:
    """Return the tokens of this machine, longest first: from the environment and a login.

    They may have any form. ``huggingface_hub.get_token`` gives one of them at most, and may ask a server for it.
    """
    from huggingface_hub import constants

    found = {os.environ.get("HF_TOKEN", ""), os.environ.get("HUGGING_FACE_HUB_TOKEN", "")}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found.add(Path(constants.HF_TOKEN_PATH).read_text(encoding="utf-8"))
    return sorted({token.strip() for token in found} - {""}, key=len, reverse=True)


def hide(text: str, tokens: list[str]) -> str:
    """Return the text without these tokens."""
    for token in tokens:
        text = text.replace(token, HIDDEN)
    return text


def redact(text: str) -> str:
    """Return the text without anything that is, or looks like, a token."""
    text = IN_URL.sub(rf"\1{HIDDEN}@", hide(text, known()))
    text = TOKEN.sub(HIDDEN, text)
    return re.sub(r"(?i)\bbearer\s+\S+", f"Bearer {HIDDEN}", text)


def any_in(text: str) -> bool:
    """Return whether a text contains a token. Anything as long as one counts."""
    tokens = [token for token in known() if len(token) >= SHORTEST]
    return any(token in text for token in tokens) or bool(WHOLE.search(text) or IN_URL.search(text))


def held(values: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of nested settings whose text contains a token."""
    return [key for key, text in _texts(values) if any_in(text)]


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str | os.PathLike):
        yield key, str(value)
