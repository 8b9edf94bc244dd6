"""Split a README into metadata, hubtl's part, and a person's text. That text stands around hubtl's part.

Metadata is merged three ways. The generated part stores (in a comment) what hubtl wrote last, so a value that
differs from it was written by a person:

- facts of the run (library_name, pipeline_tag, base_model, base_model_relation) are hubtl's, unless a person wrote
  others: those stay, even where they are of another model;
- of the results in model-index, hubtl's own are replaced, and those that a person added stay;
- lists are united: tags, datasets, metrics keep what a person added, and lose what only an earlier run put there;
- everything else, the licence included, is the person's where a person wrote it.

YAML comments in the metadata are not kept.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from hubtl.errors import HubtlError
from hubtl.io import plain
from hubtl.record.upgrade import TITLES

START, END = "<!-- hubtl:start -->", "<!-- hubtl:end -->"
OURS = ("library_name", "pipeline_tag", "base_model", "base_model_relation", "model-index")
INDEX = "model-index"
UNITED = ("tags", "datasets", "metrics")
LICENCE = ("license", "license_name", "license_link")
_FRONT = re.compile(r"\s*---[ \t]*\n((?:.*\n)*?)---[ \t]*(?:\n|$)")
_MEMORY = re.compile(r"^<!-- hubtl:written (\{.*\}) -->$", re.MULTILINE)


FACTS = 200_000  # keys and values of a README: one may list the names of all its classes


class Document(NamedTuple):
    metadata: dict[str, Any]
    before: str  # a person's text above the generated part
    generated: str | None  # without its markers; None: there is none yet
    after: str

    @property
    def memory(self) -> dict[str, Any]:
        """Return what hubtl wrote last: ``repo`` and ``metadata``."""
        match = _MEMORY.search(self.generated or "")
        try:
            memory = json.loads(match.group(1)) if match else {}
        except (ValueError, RecursionError):
            return {}
        return memory if isinstance(memory, dict) and isinstance(memory.get("metadata", {}), dict) else {}


def parse(text: str) -> Document:
    """Parse a README.

    Raises:
        HubtlError: if its metadata or its markers are broken, since guessing would lose text.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    metadata: dict[str, Any] = {}
    if front := _FRONT.match(text):
        metadata, text = _metadata(front.group(1)), text[front.end() :]
    starts, ends = _lines(text, START), _lines(text, END)
    if not starts and not ends:
        return Document(metadata, "", None, text)
    if len(starts) != 1 or len(ends) != 1 or starts[0] > ends[0]:
        raise HubtlError(
            f"README.md has {len(starts)} lines {START} and {len(ends)} lines {END}, not one of each in this order",
            hint="put the markers back around the generated part, or remove it with both of them",
        )
    generated = text[starts[0] + len(START) : ends[0]]
    return Document(metadata, text[: starts[0]], generated, text[ends[0] + len(END) :])


def merge(memory: Mapping[str, Any], theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the metadata of a card.

    Args:
        memory: what hubtl wrote last.
        theirs: the README's metadata.
        ours: the record's metadata.
    """
    written = memory.get("metadata", {})
    merged: dict[str, Any] = {}
    licence_theirs = any(key in theirs and theirs[key] != written.get(key) for key in LICENCE)
    for key in [*ours, *(k for k in theirs if k not in ours)]:
        mine, said, old = ours.get(key), theirs.get(key), written.get(key)
        if key in UNITED:
            value: Any = list(mine or []) + [v for v in _list(said) if v not in _list(old) and v not in (mine or [])]
        elif key == INDEX:
            value = _results(mine, persons_results(said, memory))
        elif key in OURS:
            value = mine if said in (None, old) else said
        elif key in LICENCE:
            value = said if licence_theirs else mine
        else:
            value = mine if key not in theirs or said == old else said
        if value is not None and value != []:
            merged[key] = value
    return merged


def front_matter(metadata: Mapping[str, Any]) -> str:
    """Return metadata as the first lines of a README."""
    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=10_000)}---\n"


def compose(
    metadata: Mapping[str, Any], parts: Document, body: str, *, repo: str | None, ours: Mapping[str, Any]
) -> str:
    """Compose a README from metadata, the generated part and a person's text.

    Args:
        metadata: the merged metadata.
        parts: the existing README.
        body: the generated part.
        repo: the repository that it is rendered for.
        ours: the record's metadata, to store.
    """
    remembered = {key: value for key, value in ours.items() if key != INDEX}
    results = [_identity(result) for model in ours.get(INDEX) or [] for result in model["results"]]
    known = {"repo": repo, "metadata": remembered, "results": results}
    memory = json.dumps(known, ensure_ascii=True).replace("--", "-\\u002d")
    generated = f"{START}\n<!-- hubtl:written {memory} -->\n\n{body.strip()}\n\n{END}"
    pieces = [front_matter(metadata).rstrip("\n"), parts.before.strip("\n"), generated, parts.after.strip("\n")]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def persons_results(index: Any, memory: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a model-index's models with the results that hubtl did not write."""
    models = [model for model in index if isinstance(model, Mapping)] if isinstance(index, list) else []
    kept = [
        {**model, "results": [r for r in model.get("results") or [] if not _by_hubtl(r, memory)]} for model in models
    ]
    return [model for model in kept if model["results"]]


def _results(mine: Any, added: list[dict[str, Any]]) -> Any:
    """Return a model-index of the record's results and a person's own."""
    if not mine or not added:
        return mine or added or None
    first = {**mine[0], "results": [*mine[0]["results"], *(r for model in added for r in model["results"])]}
    return [first, *mine[1:]]


def _by_hubtl(result: Any, memory: Mapping[str, Any]) -> bool:
    """Return whether hubtl wrote a result.

    It remembers so, or each metric is titled in its earlier way, ``Accuracy (source-only)``.
    """
    if _identity(result) in (memory.get("results") or []):
        return True
    names = _titles(result)
    return bool(names) and all(name.startswith(tuple(f"{title} (" for title in TITLES)) for name in names)


def _identity(result: Any) -> str:
    """Return the identity of a result without its values: its dataset and metric titles."""
    dataset = result.get("dataset") if isinstance(result, Mapping) else None
    text = json.dumps([dataset, sorted(_titles(result))], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _titles(result: Any) -> list[str]:
    metrics = result.get("metrics") if isinstance(result, Mapping) else None
    return [str(metric.get("name")) for metric in metrics or [] if isinstance(metric, Mapping)]


def _metadata(front: str) -> dict[str, Any]:
    try:
        found = plain.parsed(front, FACTS) or {}
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise HubtlError(
            f"README.md: its metadata is not YAML: {reason[:300]}", hint="mend it between the --- lines"
        ) from error
    if not isinstance(found, dict):
        raise HubtlError(f"README.md: its metadata is {type(found).__name__}, not keys", hint="write key: value lines")
    return found


def _lines(text: str, marker: str) -> list[int]:
    return [match.start() for match in re.finditer(rf"^{re.escape(marker)}[ \t]*$", text, re.MULTILINE)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
