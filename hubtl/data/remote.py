"""Load a dataset of the Hub: its splits, their commit, and the licence on its card."""

import ast
import re
from typing import NamedTuple

import datasets
from datasets import DatasetDict
from huggingface_hub import HfApi, is_offline_mode
from huggingface_hub.errors import HFValidationError

from hubtl.data import hubfiles, kept
from hubtl.errors import HubtlError
from hubtl.hub.commits import COMMIT
from hubtl.hub.faults import causes, explain, is_page, status_of
from hubtl.hub.licence import licence_in, licence_of
from hubtl.hub.network import mind_the_network
from hubtl.hub.patience import AGAIN, patiently
from hubtl.settings import logger

PATIENCE = 60.0  # seconds to wait for what the Hub says of a dataset


class Remote(NamedTuple):
    splits: DatasetDict
    name: str  # as the Hub has it now
    revision: str | None  # the commit
    license: str | None


def load(text: str, name: str, config: str | None, revision: str | None) -> Remote:
    """Load what the user called ``text``, at its revision's present commit.

    If the Hub cannot be reached, the cached data are used, at their known commit.

    Args:
        text: the text that the user typed.
        name: the repository.
        config: the configuration.
        revision: the revision.

    Raises:
        HubtlError: with the reason why the dataset cannot be loaded.
    """
    mind_the_network()
    if is_offline_mode():
        datasets.config.HF_HUB_OFFLINE = True
    try:
        info = patiently(lambda: HfApi().dataset_info(name, revision=revision, timeout=PATIENCE))
        commit = info.sha
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise TypeError(f"the commit of {name} is {commit!r}")
    except HFValidationError as error:
        raise HubtlError(
            f"{text}: there is no such file or folder, and the Hub has no datasets of such names", hint="mind the path"
        ) from error
    except Exception as error:
        status = status_of(error)
        if status is not None and status not in AGAIN:
            raise _refused(text, error) from error
        return _before(text, name, config, revision, error)
    kept.remember(name, revision, commit)
    known = str(info.id) if isinstance(info.id, str) and "/" in info.id else name
    if known != name:
        logger.info("the Hub calls the dataset %s %s", name, known)
    try:
        splits = hubfiles.load(name, config, commit)
    except Exception as error:
        raise _broken(text, name, config, error) from error
    if (came := kept.commit_of(splits)) not in (None, commit):  # datasets takes what it has, where the Hub fails it
        raise HubtlError(
            f"the dataset {text} does not load at its commit {commit}, and the cache has another one ({came})",
            hint=f"try again, or {name}@{came} for the one in the cache",
        )
    card = info.card_data.to_dict() if info.card_data else {}
    return Remote(splits, known, commit, licence_in(card) or licence_of(name, commit, repo_type="dataset"))


def _before(text: str, name: str, config: str | None, revision: str | None, away: Exception) -> Remote:
    """Load cached data, of the commit that the revision had then."""
    found = kept.load(name, config, revision)
    if found is None:
        raise _refused(text, away) from away
    splits, commit = found
    hubfiles.check(splits, name, commit)
    if not is_offline_mode():
        logger.warning("the Hub cannot be asked about %s: its commit %s is in the cache", text, commit)
    return Remote(splits, name, commit, licence_of(name, commit, repo_type="dataset"))


def _refused(text: str, error: Exception) -> HubtlError:
    """Return the error for a refusal of the Hub."""
    if type(error).__name__ == "RepositoryNotFoundError" and status_of(error) == 404:
        return HubtlError(
            f"there is no dataset {text}: neither a folder or file here, nor on the Hub (or it is private)",
            hint="mind the spelling; hf auth login for a private one",
        )
    named = {type(e).__name__ for e in causes(error)} & {"GatedRepoError", "DisabledRepoError"}
    if status_of(error) == 403 and not named and not is_page(error):
        return HubtlError(
            f"the dataset {text} cannot be had: the token may not read it (403)",
            hint="use a token that may (hf auth login), or give a folder",
        )
    missing = "" if "/" in text else f"there is no file or folder {text} here, and "
    fault = explain(error, f"{missing}the dataset {text} cannot be had")
    return HubtlError(str(fault), hint=f"{fault.hint}, or give a folder" if fault.hint else "give a folder")


def _broken(text: str, name: str, config: str | None, error: Exception) -> HubtlError:
    """Return the error for an existing dataset that does not load."""
    said = " ".join(str(error.__cause__ or error).split())[:300]
    kind = type(error).__name__
    if listed := re.search(r"(?:Available|available configs): (\[[^\]]*\])", " ".join(str(error).split())):
        names = [str(name) for name in ast.literal_eval(listed.group(1))]
        wrong = f"has no configuration {config!r}" if config else "has several configurations"
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        return HubtlError(f"the dataset {text} {wrong}: {shown}", hint=f"{name}:{names[0] if names else 'CONFIG'}")
    if "scripts are no longer supported" in said:
        return HubtlError(
            f"the dataset {text} needs its own code to load, and none is run from the Hub",
            hint="a version of it with data files, or a folder",
        )
    if kind in ("EmptyDatasetError", "DataFilesNotFoundError"):
        return HubtlError(
            f"the dataset {text} holds no data files that can be read", hint="see its page, or give a folder"
        )
    if status_of(error) is not None or kind in ("ConnectionError", "LocalEntryNotFoundError"):
        return _refused(text, error)
    return HubtlError(f"the dataset {text} does not load: {kind}: {said}", hint="--debug shows where")
