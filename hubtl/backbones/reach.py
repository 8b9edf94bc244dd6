"""Why weights could not be had, in words that name the cause."""

import os

from hubtl.errors import HubtlError

UNREACHED = {
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ConnectError",
    "ConnectionError",
    "ConnectTimeout",
    "URLError",
    "ProxyError",
}
DAMAGED = {"SafetensorError", "UnpicklingError", "EOFError", "JSONDecodeError", "UnicodeDecodeError", "BadZipFile"}


def out_of_reach(name: str, error: Exception) -> HubtlError:
    """The HubtlError for a failed load, by what huggingface_hub or a library raised."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
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
