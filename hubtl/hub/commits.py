"""Commits have 40 hexadecimal digits, or 64 where a server's git counts by SHA-256."""

import re

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def admit_long() -> None:
    """Have huggingface_hub take commits of 64 digits for commits too: it refuses them as parents, and asks for them anew."""
    from huggingface_hub import _snapshot_download, constants, file_download

    constants.REGEX_COMMIT_OID = re.compile(r"[A-Fa-f0-9]{5,64}")
    file_download.REGEX_COMMIT_HASH = _snapshot_download.REGEX_COMMIT_HASH = COMMIT
