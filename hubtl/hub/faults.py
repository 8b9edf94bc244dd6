"""Explain the Hub's refusals in words, without ever repeating a token."""

import errno
import os
from collections.abc import Callable

from hubtl.errors import HubtlError
from hubtl.hub.patience import spoken, wished
from hubtl.hub.tokens import redact

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
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
CARD = "Invalid metadata in README.md."  # how the client begins the Hub's words about a card
LFS = "LFS batch API returned errors:"
LOGIN = "hf auth login (or set HF_TOKEN)"
UNREADABLE = {"KeyError", "TypeError", "AttributeError", "AssertionError"}  # what an answer of another form leads to


def causes(error: BaseException) -> list[BaseException]:
    """Return the exception and its causes, outermost first.

    huggingface_hub wraps a refusal up to three times.
    """
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    return chain


def failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of a call of the Hub: refusals, lost connections, malformed answers."""
    from huggingface_hub.utils import httpx

    return (OSError, ValueError, LookupError, TypeError, AttributeError, httpx.HTTPError)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an exception, or None."""
    responses = (getattr(e, "response", None) for e in causes(error))
    return next((response.status_code for response in responses if response is not None), None)


def is_page(error: BaseException) -> bool:
    """Return whether an answer is a web page. A proxy or a login sends such pages.

    The Hub's own answers are for programs.
    """
    if any(str(getattr(e, "doc", "")).lstrip().startswith("<") for e in causes(error)):  # of a JSONDecodeError
        return True
    for answer in filter(None, (getattr(e, "response", None) for e in causes(error))):
        html = str(answer.headers.get("content-type", "")).startswith("text/html")
        ours = "x-error-code" in answer.headers or "x-error-message" in answer.headers
        return html and not ours and answer.status_code < 500 and answer.status_code not in (413, 429)
    return False


def explain(error: Exception, what: str, *, retry: str = "") -> HubtlError:
    """Return the HubtlError for an exception of huggingface_hub.

    Args:
        error: the exception.
        what: what was being done.
        retry: the exact command that retries.
    """
    chain = causes(error)
    kinds = {type(e).__name__ for e in chain}
    status = status_of(error)
    server = next((m for e in chain if (m := getattr(e, "server_message", None))), None)
    said = _short(server or str(error))

    def fault(reason: str, first: str = "") -> HubtlError:
        hint = f"{first}, then: {retry}" if first and retry else first or retry
        return HubtlError(redact(f"{what}: {reason}"), hint=redact(hint) or None)

    if isinstance(error, HubtlError):
        return error
    if is_page(error):
        return _no_hub(fault, f"it answers {status or 200} with a web page")
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
    if words := _after(chain, CARD):
        return fault(f"the Hub refuses the card's metadata: {words}", "mend the top of README.md")
    if words := _after(chain, LFS):
        return fault(f"the Hub does not take a file: {words}")
    if disk := next((e for e in chain if isinstance(e, OSError) and e.errno in FULL | UNWRITABLE), None):
        return _unwritten(disk, fault)
    if by_xet(error):
        return fault(f"the Hub's xet storage refuses ({said})", "export HF_HUB_DISABLE_XET=1")
    if status is not None:
        return _answered(error, status, said, fault)
    if kinds & TRANSPORT:
        return fault("the connection to the Hub failed or was cut", "mend the connection")
    if kinds & {"TooManyRedirects", "DecodingError", "UnsupportedProtocol", "InvalidURL"}:
        return _no_hub(fault, said)
    if "JSONDecodeError" in kinds:
        return _no_hub(fault, "its answer is not JSON")
    if type(error).__name__ in UNREADABLE or "FileMetadataError" in kinds:
        return _no_hub(fault, f"its answer lacks what a Hub's has: {said}")
    if "LocalEntryNotFoundError" in kinds:
        return fault(f"the Hub is out of reach, and the cache does not have it ({said})", "mend the connection")
    return fault(f"{type(error).__name__}: {said}")


def _no_hub(fault: Callable[..., HubtlError], how: str) -> HubtlError:
    from huggingface_hub import constants

    return fault(
        f"{constants.ENDPOINT} is no Hub ({how})",
        "mind HF_ENDPOINT, a proxy, or a network that wants a login first (open a page in a browser)",
    )


def by_xet(error: BaseException) -> bool:
    """Return whether the client of the xet storage failed.

    It raises Python's own ConnectionError, or a Xet… of its own.
    """
    return any(type(e) is ConnectionError or type(e).__name__.startswith("Xet") for e in causes(error))


def _after(chain: list[BaseException], beginning: str) -> str:
    """Return an exception's text after its beginning. Its list of points is in one line."""
    texts = (str(e) for e in chain if isinstance(e, ValueError) and str(e).startswith(beginning))
    points = (line.strip().removeprefix("- ") for line in next(texts, "").removeprefix(beginning).splitlines())
    return _short("; ".join(point for point in points if point))


def _unwritten(error: OSError, fault: Callable[..., HubtlError]) -> HubtlError:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in FULL:
        return fault(
            f"the disk is full{where and ' at' + where} ({error.strerror})", "make room, or set HF_HOME elsewhere"
        )
    return fault(f"cannot write{where} ({error.strerror})", "mend its permissions, or set HF_HOME elsewhere")


def _offline(fault: Callable[..., HubtlError]) -> HubtlError:
    if "HF_HUB_OFFLINE" in os.environ or "TRANSFORMERS_OFFLINE" in os.environ:
        return fault("HF_HUB_OFFLINE is set, so only what is in the cache can be had", "unset HF_HUB_OFFLINE")
    return fault("the Hub does not answer, and the cache does not have it", "mend the connection")


def _unauthorised(fault: Callable[..., HubtlError]) -> HubtlError:
    from huggingface_hub import get_token

    if get_token() is None:
        return fault("the Hub asks for a token (401), and there is none", LOGIN)
    return fault("the token was refused (401): it is wrong or expired", LOGIN)


def _answered(error: Exception, status: int, said: str, fault: Callable[..., HubtlError]) -> HubtlError:
    """Return the error for a status that huggingface_hub has no name for."""
    if status == 403:
        return fault(f"the token may not do this (403: {said})", "use a token with write access to this namespace")
    if status == 404:
        return fault("not found (404): no such repository, revision or file, or it is private", "mind the name")
    if status in (409, 412):
        return fault(f"the repository changed meanwhile, or exists in another form ({status}: {said})")
    if status == 413:
        return fault(f"the Hub finds it too large (413: {said})", "see what --dry-run lists")
    wait = f"wait {spoken(wish)}" if (wish := _wished(error)) else "wait a little"
    if status == 429:
        return fault("too many requests (429)", wait)
    if status == 501:
        return fault("the Hub cannot do this (501)", "another Hub, or without what it lacks")
    if status >= 500:
        return fault(f"the Hub cannot answer now ({status})", wait)
    return fault(f"the Hub refuses ({status}: {said})")


def _wished(error: BaseException) -> float | None:
    """Return the waiting time that the Hub's answer asks for. The answer is behind an exception."""
    answers = (getattr(e, "response", None) for e in causes(error))
    return next((wished(answer.headers) for answer in answers if answer is not None), None)


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
