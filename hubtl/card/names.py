"""Name models and datasets on a card: Hub ids as they are, local things by their last name."""

import re
from typing import Any

from hubtl.card.wording import code, md
from hubtl.record import DomainFacts, ModelFacts, RunRecord, Step
from hubtl.settings import page

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_hub_id(text: str) -> bool:
    """Return whether a text is ``owner/name``."""
    return bool(_HUB_ID.fullmatch(text)) and "--" not in text and ".." not in text and len(text) <= 96


def slug(text: str) -> str:
    """Return lower case letters, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"


def base_name(model: ModelFacts) -> str:
    """Return the initial model of the run; of a local folder its last name only."""
    if model.base_model and is_hub_id(model.base_model):
        return model.base_model
    return model.weights or _last(model.name)


def model_name(model: ModelFacts) -> str:
    """Return the card's name of the model: its architecture, or its encoders' modalities.

    transformers names an architecture by its family alone, ``bert``: it is then named by its base.
    """
    if model.parts:
        return " + ".join(model.parts) + " model"
    return _last(base_name(model)) if model.library == "transformers" else model.architecture


def base_ids(model: ModelFacts) -> list[str]:
    """Return the Hub id of the base model, or of each encoder's."""
    parts = [part.get("base_model") for part in model.parts.values()]
    known = parts if model.parts and not model.base_model else [model.base_model]
    return list(dict.fromkeys(name for name in known if name and is_hub_id(name)))


def domain_name(domain: DomainFacts) -> str:
    """Return the dataset; of a local one its last name only."""
    if domain.hub_id and is_hub_id(domain.hub_id):
        return domain.hub_id
    return domain.dataset.removeprefix("builtin:") if domain.dataset.startswith("builtin:") else _last(domain.dataset)


def base_link(model: ModelFacts) -> str:
    """Return the base model in Markdown, and how earlier runs made it."""
    link = weights_link(model)
    if not model.lineage:
        return link
    chain = " → ".join(f"{_step_link(step)} → {code(step.strategy)}{_to(step)}" for step in model.lineage)
    return f"{link} (lineage: {chain})"


def step(record: RunRecord, strategy: str) -> Step:
    """Return a run as a step in its descendants' lineage.

    It may also be the step of the source-only model that the run keeps.
    """
    target = record.target
    to = domain_name(target) + (f" ({target.domain})" if target.domain else "")
    model = record.model
    return Step(base=base_name(model), revision=model.revision, strategy=strategy, target=to)


def weights_link(model: ModelFacts) -> str:
    """Return the base model in Markdown. Its link names the exact revision where there is one."""
    if model.parts and not model.base_model:
        return ", ".join(f"{part_name(part)} ({md(modality)})" for modality, part in model.parts.items())
    if model.base_model and is_hub_id(model.base_model):
        return _link(model.base_model, model.revision)
    return code(base_name(model))


def domain_link(domain: DomainFacts, *, short: bool = False) -> str:
    """Return the dataset in Markdown, with its domain.

    ``short`` leaves out where one that is not on the Hub can be found.
    """
    if domain.hub_id and is_hub_id(domain.hub_id):
        name = f"[{md(domain.hub_id)}]({page('datasets', domain.hub_id)})"
    elif domain.dataset.startswith("builtin:"):
        name = code(domain.dataset.removeprefix("builtin:")) + ("" if short else " (ships with hubtl)")
    else:
        name = code(domain_name(domain)) + ("" if short else " (not on the Hub)")
    return f"{name}, domain {code(domain.domain)}" if domain.domain else name


def part_name(part: dict[str, Any]) -> str:
    """Return an encoder in Markdown. Its link names the exact revision where there is one."""
    name = part.get("base_model")
    return _link(name, part.get("revision")) if name and is_hub_id(name) else code(_last(str(part["name"])))


def _link(repo: str, revision: str | None) -> str:
    at = f"/tree/{revision}" if re.fullmatch(r"[\w.-]+", revision or "") else ""
    return f"[{md(repo)}]({page(repo)}{at})"


def _step_link(step: Step) -> str:
    return _link(step.base, step.revision) if is_hub_id(step.base) else code(_last(step.base))


def _to(step: Step) -> str:
    return f" to {code(step.target)}" if step.target else ""


def _last(path: str) -> str:
    for prefix in ("hf-hub:", "local-dir:", "torchvision:", "timm:"):
        path = path.removeprefix(prefix)
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or "unnamed"


def is_file_name(text: str) -> bool:
    """Return whether a name has no folder, space or character of Markdown."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text))


def is_arxiv(text: str) -> bool:
    """Return whether a text is ``1505.07818``, also with a version."""
    return bool(re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?", text))
