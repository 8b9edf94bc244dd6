"""Push a Space that shows a model: README, app and requirements, in one commit."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, status_of
from hubtl.hub.landing import Place, commit
from hubtl.hub.names import files_of, split_revision
from hubtl.hub.network import ready
from hubtl.hub.patience import SLOW, patiently
from hubtl.hub.push import facts_of
from hubtl.hub.readme import prepare
from hubtl.hub.theirs import text_of
from hubtl.plugins import modalities
from hubtl.record.needs import packages_in
from hubtl.settings import page

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

SDK = "6.31.0"  # the gradio that the demo was tried with; constraints.txt has the same
PYTHON = "3.12"  # the Hub's own default is older than hubtl needs
MARK = "# Written by `hubtl push --space`. Without this line the file is left as it is when that is run again."
NEW = "Check out the configuration reference at"  # what the Hub writes into the README of a new Space
FIXED = ("sdk", "sdk_version", "python_version", "app_file", "license", "license_name", "license_link")
LICENCE = ("license", "license_name", "license_link")
EXTRA = re.compile(r"hubtl\[(\w+)\]")


@dataclass(frozen=True)
class SpacePush:
    """Describe what was pushed, or would be."""

    space: str
    model: str
    files: list[tuple[str, int]]  # name, bytes
    kept: list[str] = field(default_factory=list)  # files of the Space that a person changed
    notes: list[str] = field(default_factory=list)
    dry_run: bool = False
    url: str | None = None  # of the Space, or of the pull request
    commit: str | None = None


@dataclass(frozen=True)
class Wish:
    """Hold the user's request."""

    folder: Path
    model: str  # with its revision, where one was named
    space: str
    source_only: str | None
    private: bool | None
    message: str | None
    create_pr: bool

    @property
    def repo(self) -> str:
        return self.model.partition("@")[0]

    @property
    def command(self) -> str:
        """Return the command line that repeats it."""
        words = ["hubtl", "push", str(self.folder), self.model, "--space"]
        words += [] if self.space == default_name(self.repo) else ["--space-name", self.space]
        words += ["--source-only", self.source_only] if self.source_only else []
        words += [] if self.private is None else ["--private"] if self.private else ["--public"]
        words += ["--commit-message", self.message] if self.message else []
        words += ["--create-pr"] if self.create_pr else []
        return shlex.join(words)


def default_name(repo: str) -> str:
    """Return ``user/name-demo``, since people see the bare name.

    The Hub has a separate namespace for Spaces.
    """
    return f"{repo}-demo"


def push_space(
    folder: Path | str,
    model: str,
    *,
    space: str | None = None,
    source_only: str | None = None,
    private: bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
) -> SpacePush:
    """Push a Space that shows ``user/repo[@revision]``, which must be on the Hub.

    The model itself is not pushed. The README of an existing Space keeps its text and further metadata; an app or
    requirements without ``MARK`` are left unchanged.

    Args:
        folder: the folder of the pushed model: its licence and modalities are the Space's.
        model: the pushed model.
        space: the Space's name; by default ``default_name``.
        source_only: the Hub id of the model to show beside it.
        private: create the Space as private.
        commit_message: the commit message.
        dry_run: upload nothing.
        create_pr: open a pull request instead.

    Raises:
        HubtlError: with the cause and the exact command that retries.
    """
    folder = Path(folder)
    repo, _ = split_revision(model)
    name = space or default_name(repo)
    if split_revision(name)[1] is not None:
        raise HubtlError(f"a Space has no revisions to choose from: {name}", hint=f"--space-name {name.split('@')[0]}")
    if source_only is not None:
        split_revision(source_only)
    wish = Wish(folder, model, name, source_only, private, commit_message, create_pr)
    files = written(wish, _facts(folder), _licence(folder, repo))
    if dry_run:
        return SpacePush(name, model, _sizes(files), dry_run=True)
    try:
        return _send(wish, files)
    except HubtlError:
        raise
    except Exception as error:
        raise explain(error, f"the push to the Space {name} failed", retry=wish.command) from error


def _facts(folder: Path) -> dict[str, Any]:
    """Return ``hubtl.json``.

    Raises:
        HubtlError: for a folder without a model.
    """
    names = files_of(folder) if folder.is_dir() else []
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise HubtlError(f"{folder} holds no finished model", hint="give the output directory of a finished run")
    return facts_of(folder)


def _licence(folder: Path, repo: str) -> dict[str, Any]:
    """Return the licence on the model's card."""
    from hubtl.card import document

    readme = prepare(folder, repo)
    metadata = {} if readme is None else document.parse(readme).metadata
    return {key: metadata[key] for key in LICENCE if metadata.get(key)}


def written(wish: Wish, facts: Mapping[str, Any], licence: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a new Space."""
    from hubtl import __version__

    known = [modalities.known(str(name)) for name in facts.get("modalities") or []]
    extras = [EXTRA.fullmatch(one.requires) for one in known if one is not None and one.requires]
    asked = ",".join(sorted({"demo", *(found[1] for found in extras if found)}))
    needs = [f"hubtl[{asked}]>={__version__}", *packages_in(facts)]
    call = json.dumps(wish.model) + (f", source_only={json.dumps(wish.source_only)}" if wish.source_only else "")
    front = {
        "title": wish.space.partition("/")[2],
        "sdk": "gradio",
        "sdk_version": SDK,
        "python_version": PYTHON,
        "app_file": "app.py",
        "models": [spec.partition("@")[0] for spec in (wish.model, wish.source_only) if spec],
        **licence,
    }
    link = f"[{wish.repo}]({page(wish.repo)})"
    text = f"# {front['title']}\n\nWhat {link} says of an input, and what did it. Made with hubtl.\n"
    return {
        "README.md": _readme(front, text),
        "app.py": f"{MARK}\nfrom hubtl.demo import launch\n\nlaunch({call})\n",
        "requirements.txt": "\n".join([MARK, *needs, ""]),
    }


def _readme(front: Mapping[str, Any], text: str) -> str:
    metadata = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{metadata}---\n\n{text.strip()}\n"


def merged(ours: str, theirs: str) -> str:
    """Return the Space's README: its text and further metadata, with hubtl's own keys."""
    from hubtl.card import document

    new, old = document.parse(ours).metadata, document.parse(theirs)
    fixed = {key: new[key] for key in FIXED if key in new}
    shown = old.metadata.get("models") or []
    models = [*new["models"], *(m for m in shown if isinstance(shown, list) and m not in new["models"])]
    text = old.after.strip()
    if not text or text.startswith(NEW):
        text = document.parse(ours).after
    return _readme({**new, **old.metadata, **fixed, "models": models}, text)


def _send(wish: Wish, files: Mapping[str, str]) -> SpacePush:
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if get_token() is None:
        raise LocalTokenNotFoundError("no token")
    ready()
    api = HfApi()
    notes = _notes(api, wish)
    try:
        patiently(
            lambda: api.create_repo(
                wish.space, repo_type="space", space_sdk="gradio", private=wish.private, exist_ok=True
            )
        )
    except HfHubHTTPError:
        raise
    except (KeyError, TypeError, ValueError):
        pass  # made, or there already: the answer only lacks a URL that the client can read
    now = patiently(lambda: api.space_info(wish.space, timeout=SLOW))
    there = {s.rfilename for s in now.siblings or []} & files.keys()
    theirs = {
        name: text_of(wish.space, name, now.sha, listed=True, kind="space", retry=wish.command) or ""
        for name in sorted(there)
    }
    if "README.md" in theirs:
        files = {**files, "README.md": merged(files["README.md"], theirs["README.md"])}
    kept = [name for name, text in theirs.items() if name != "README.md" and MARK not in text.splitlines()]
    files = {name: text for name, text in files.items() if name not in kept}
    parent = now.sha if there else None  # never over what nobody here has read

    def send() -> "CommitInfo":
        return api.create_commit(
            wish.space,
            [CommitOperationAdd(name, text.encode()) for name, text in files.items()],
            commit_message=wish.message or f"Show {wish.model}, by hubtl",
            repo_type="space",
            parent_commit=parent,
            create_pr=wish.create_pr,
        )

    place = Place(wish.space, None, now.sha, wish.create_pr, wish.command, "space")
    done = commit(api, place, send, {name: text.encode() for name, text in files.items()})
    url = done.url if wish.create_pr else place.page()
    return SpacePush(wish.space, wish.model, _sizes(files), kept, notes, url=url, commit=done.commit)


def _notes(api: "HfApi", wish: Wish) -> list[str]:
    """Return notes for the user.

    Raises:
        HubtlError: where a model that the Space would load is not on the Hub.
    """
    notes = []
    for spec in filter(None, (wish.model, wish.source_only)):
        repo, revision = split_revision(spec)
        try:
            info = patiently(partial(api.model_info, repo, revision=revision, timeout=SLOW))
        except Exception as error:
            if status_of(error) != 404:
                raise
            what = "the model" if spec == wish.model else "its source-only model"
            folder = str(wish.folder if spec == wish.model else wish.folder / "source-only")
            raise HubtlError(
                f"{what} {spec} is not on the Hub: the Space would have nothing to load",
                hint=f"{shlex.join(['hubtl', 'push', folder, repo])}, then: {wish.command}",
            ) from error
        if info.private:
            notes.append(f"{repo} is private: give the Space a secret HF_TOKEN that may read it, in its settings")
    return notes


def _sizes(files: Mapping[str, str]) -> list[tuple[str, int]]:
    return sorted((name, len(text.encode())) for name, text in files.items())
