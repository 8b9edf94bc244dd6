"""What the Hub's refusals mean, in words, without ever repeating a token."""

import os
import re
from collections.abc import Callable

from hubtl.errors import HubtlError

TRANSPORT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "WriteError",
    "WriteTimeout",
}
# After a slash it may be a folder's name: only what is as long as a token counts there.
TOKEN = re.compile(r"(?<![\w/.-])hf_(?:oauth_)?[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{30,}")
LOGIN = "hf auth login (or set HF_TOKEN)"


def redact(text: str) -> str:
    """The text without anything that is, or looks like, a token."""
    from huggingface_hub import get_token

    for token in (os.environ.get("HF_TOKEN"), os.environ.get("HUGGING_FACE_HUB_TOKEN"), get_token()):
        if token and token.strip():
            text = text.replace(token.strip(), "<token>")
    text = TOKEN.sub("<token>", text)
    return re.sub(r"(?i)\bbearer\s+\S+", "Bearer <token>", text)


def causes(error: BaseException) -> list[BaseException]:
    """The exception and what led to it, outermost first: huggingface_hub wraps a refusal up to three times."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    return chain


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an exception goes back to, or None."""
    responses = (getattr(e, "response", None) for e in causes(error))
    return next((response.status_code for response in responses if response is not None), None)


def explain(error: Exception, what: str, *, retry: str) -> HubtlError:
    """The HubtlError for whatever huggingface_hub raised while doing ``what``; ``retry`` is the exact command."""
    chain = causes(error)
    kinds = {type(e).__name__ for e in chain}
    status = status_of(error)
    server = next((m for e in chain if (m := getattr(e, "server_message", None))), None)
    said = _short(server or str(error))

    def fault(reason: str, first: str = "") -> HubtlError:
        return HubtlError(redact(f"{what}: {reason}"), hint=redact(f"{first}, then: {retry}" if first else retry))

    if "LocalTokenNotFoundError" in kinds:
        return fault("there is no token", LOGIN)
    if "OfflineModeIsEnabled" in kinds:
        return _offline(fault)
    if "GatedRepoError" in kinds:
        return fault(f"the repository is gated, and this token has no access ({status})", "ask for access on its page")
    if "DisabledRepoError" in kinds:
        return fault("the repository is disabled on the Hub", "see its page")
    if "RevisionNotFoundError" in kinds:
        return fault("the repository has no such revision", "mind the revision")
    if status == 401:
        return _unauthorised(fault)
    if "RepositoryNotFoundError" in kinds:
        return fault("there is no such repository, or the token may not see it", f"mind the name, or {LOGIN}")
    if kinds & {"EntryNotFoundError", "RemoteEntryNotFoundError"}:
        return fault("the repository lacks a file that was asked for", "mind the revision")
    if kinds & {"XetAuthenticationError", "XetObjectNotFoundError"} or any(type(e) is ConnectionError for e in chain):
        return fault(f"the Hub's xet storage refuses ({said})", "export HF_HUB_DISABLE_XET=1")
    if status is not None:
        return _answered(status, said, fault)
    if kinds & TRANSPORT:
        return fault("the connection to the Hub failed or was cut", "mend the connection")
    if "LocalEntryNotFoundError" in kinds:
        return fault(f"the Hub is out of reach, and the cache does not have it ({said})", "mend the connection")
    return fault(f"{type(error).__name__}: {said}")


def _offline(fault: Callable[..., HubtlError]) -> HubtlError:
    if "HF_HUB_OFFLINE" in os.environ or "TRANSFORMERS_OFFLINE" in os.environ:
        return fault("HF_HUB_OFFLINE is set, so only what is in the cache can be had", "unset HF_HUB_OFFLINE")
    return fault("the Hub does not answer, and the cache does not have it", "mend the connection")


def _unauthorised(fault: Callable[..., HubtlError]) -> HubtlError:
    from huggingface_hub import get_token

    if get_token() is None:
        return fault("the Hub asks for a token (401), and there is none", LOGIN)
    return fault("the token was refused (401): it is wrong or expired", LOGIN)


def _answered(status: int, said: str, fault: Callable[..., HubtlError]) -> HubtlError:
    """The fault for a status that huggingface_hub has no name for."""
    if status == 403:
        return fault(f"the token may not do this (403: {said})", "use a token with write access to this namespace")
    if status == 404:
        return fault("not found (404): no such repository, revision or file, or it is private", "mind the name")
    if status == 409:
        return fault(f"the repository changed meanwhile, or exists in another form (409: {said})")
    if status == 429:
        return fault("too many requests (429)", "wait a little")
    if status >= 500:
        return fault(f"the Hub cannot answer now ({status})", "wait a little")
    return fault(f"the Hub refuses ({status}: {said})")


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
