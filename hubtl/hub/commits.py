"""Accept commits of 40 or 64 hexadecimal digits. They are 64 where a server's git uses SHA-256."""

import re

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def admit_long() -> None:
    """Make huggingface_hub accept commits of 64 digits.

    It refuses them as parents, and looks them up again.
    """
    from huggingface_hub import _snapshot_download, constants, file_download

    constants.REGEX_COMMIT_OID = re.compile(r"[A-Fa-f0-9]{5,64}")
    file_download.REGEX_COMMIT_HASH = _snapshot_download.REGEX_COMMIT_HASH = COMMIT
