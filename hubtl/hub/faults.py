"""What the Hub's refusals mean, in words, without ever repeating a token."""

import os
import re

from hubtl.errors import HubtlError


def redact(text: str) -> str:
    """The text without anything that is, or looks like, a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name):
            text = text.replace(token, "<token>")
    text = re.sub(r"hf_\w{4,}", "<token>", text)
    return re.sub(r"(?i)(bearer|authorization:?)\s+\S+", r"\1 <token>", text)


def explain(error: Exception, what: str, *, retry: str) -> HubtlError:
    """The HubtlError for whatever huggingface_hub raised while doing ``what``; ``retry`` is the exact command."""
    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    kinds = {type(e).__name__ for e in chain}
    said = redact(" ".join(str(error).split()))[:300]
    status = next((r.status_code for e in chain if (r := getattr(e, "response", None)) is not None), None)

    def fault(reason: str, first: str = "") -> HubtlError:
        return HubtlError(f"{what}: {reason}", hint=redact(f"{first}, then: {retry}" if first else retry))

    if "GatedRepoError" in kinds:
        return fault("the repository is gated, and this token has no access", "ask for access on its page")
    if "LocalTokenNotFoundError" in kinds:
        return fault("there is no token", "hf auth login (or set HF_TOKEN)")
    if "OfflineModeIsEnabled" in kinds:
        return fault("HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    if "disabled" in said.lower() and "DisabledRepoError" in kinds | {"DisabledRepoError"} and status in (403, None):
        return fault("the repository is disabled on the Hub", "see its page")
    if "RevisionNotFoundError" in kinds:
        return fault("the repository has no such revision", "mind the revision")
    if status == 401 or "Invalid credentials" in said or "Invalid user token" in said:
        return fault("the token was refused (401): it is wrong or expired", "hf auth login (or set HF_TOKEN)")
    if "RepositoryNotFoundError" in kinds:
        return fault("there is no such repository, or the token may not see it", "mind the name; hf auth login")
    if "EntryNotFoundError" in kinds or "RemoteEntryNotFoundError" in kinds:
        return fault("the repository lacks a file that was asked for", "mind the revision")
    if status == 403:
        return fault("the token may not do this (403)", "use a token with write access to this namespace")
    if status == 404:
        return fault("not found (404): no such repository, or it is private", "mind the name; hf auth login")
    if status == 409:
        return fault("the repository changed or exists in another form (409)")
    if status is not None and status >= 500:
        return fault(f"the Hub does not answer as it should ({status})", "wait a little")
    if "xet" in said.lower() or any(type(e) is ConnectionError for e in chain):
        return fault(f"the Hub's xet storage does not answer ({said})", "export HF_HUB_DISABLE_XET=1")
    if kinds & {
        "ConnectError",
        "ConnectTimeout",
        "ReadTimeout",
        "ReadError",
        "WriteError",
        "RemoteProtocolError",
        "ProxyError",
    }:
        return fault("the connection to the Hub failed or was cut", "mend the connection")
    if "LocalEntryNotFoundError" in kinds:
        return fault(f"the Hub is out of reach, and the cache does not have it ({said})", "mend the connection")
    return fault(f"{type(error).__name__}: {said}")
