"""Explain why weights cannot be loaded."""

import os

from hubtl.errors import HubtlError
from hubtl.hub.faults import causes, explain, is_page, status_of

UNREACHED = {
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ConnectError",
    "ConnectionError",
    "ConnectTimeout",
    "URLError",
    "ProxyError",
}
ODD = {"FileMetadataError", "TooManyRedirects", "DecodingError"}  # answers of what is no Hub
DAMAGED = {"SafetensorError", "UnpicklingError", "EOFError", "JSONDecodeError", "UnicodeDecodeError", "BadZipFile"}


def out_of_reach(name: str, error: Exception) -> HubtlError:
    """Return the HubtlError for a failed load, by the library's exception."""
    if isinstance(error, HubtlError):
        return error
    chain = causes(error)
    kinds = {type(e).__name__ for e in chain}
    first = " ".join(str(error).split())[:200]
    if "GatedRepoError" in kinds:
        return HubtlError(f"{name} is gated: its weights need a token with access", hint="hf auth login, or HF_TOKEN")
    if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        return HubtlError(
            f"the Hub has no {name}, or it is private", hint="mind the spelling; hf auth login for a private one"
        )
    if kinds & {"EntryNotFoundError", "RemoteEntryNotFoundError"}:
        return HubtlError(f"{name} has no model files: {first}", hint="choose one with config.json and weights")
    status = status_of(error)
    if is_page(error) or kinds & ODD or (status is not None and (status == 429 or status >= 500)):
        return explain(error, f"the weights of {name} cannot be fetched")
    if refusal := next((code for e in chain if type(e).__name__ == "HTTPError" and (code := getattr(e, "code", 0))), 0):
        return HubtlError(  # of urllib, as torch fetches weights
            f"the weights of {name} cannot be fetched: the server answers {refusal}",
            hint="wait a little, or --no-pretrained for random weights",
        )
    if kinds & DAMAGED:
        return HubtlError(f"the files of {name} are damaged: {first}", hint="download or save the model again")
    offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
    if offline and (kinds & UNREACHED or isinstance(error, OSError)):
        return HubtlError(
            f"the weights of {name} are not in the cache, and HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or --no-pretrained for random weights",
        )
    if kinds & UNREACHED:
        return HubtlError(
            f"the weights of {name} are out of reach: no network, or the Hub does not answer, and the cache lacks them",
            hint="mend the connection, or --no-pretrained for random weights",
        )
    return HubtlError(f"{name} does not load: {type(error).__name__}: {first}", hint="--debug shows where")
