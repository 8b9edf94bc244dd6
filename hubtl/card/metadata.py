"""Derive a card's metadata from the record, by the Hub's rules. They are checked before a push."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hubtl import plugins
from hubtl.card import ensemble, licenses, pipelines
from hubtl.card.names import base_ids, domain_name, is_hub_id, model_name, slug
from hubtl.card.snippet import loader
from hubtl.errors import HubtlError
from hubtl.record import DomainFacts, Evaluation, RunRecord

SOURCE_ONLY = "source-only"  # the strategy that does not adapt: there is nothing to compare it with
LONGEST_TAG = 100
# The Hub's rule: "name" or "owner/name", and no double dash or dot.
_ID = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)([\w-][\w.-]*/)?[\w-][\w.-]{0,95}", re.ASCII)
_PATH = re.compile(r"(/|~|\.{1,2}([/\\]|$)|[A-Za-z]:[/\\]|\\\\|file:)")


def of(record: RunRecord, repo: str | None = None) -> dict[str, Any]:
    """Return the metadata of a record: only known values, no empty one, no local path.

    ``model-index`` has the figures of the repository's own model only. The model that it was compared with is another
    one; its figures are in the card's text and in the record.

    Args:
        record: the record of the run.
        repo: the repository, if known.
    """
    model = record.model
    found: dict[str, Any] = {"library_name": loader(record)}
    kind = _kind(record)
    if kind in pipelines.KNOWN:  # the Hub has none for several modalities
        found["pipeline_tag"] = kind
    found.update(license_of(record))
    if bases := base_ids(model):
        found["base_model"] = bases[0] if len(bases) == 1 else bases
        found["base_model_relation"] = "finetune"
    domains = [record.target] if record.source is None else [record.source, record.target]
    if ids := _unique([d.hub_id for d in domains if d.hub_id and is_hub_id(d.hub_id)]):
        found["datasets"] = ids
    setting = "domain-adaptation" if record.setting in ("adaptation", "source-free") else "transfer-learning"
    averaged = ensemble.shipped(record)
    methods = [record.strategy, *(member.strategy for member in (averaged.members if averaged else []))]
    found["tags"] = _unique(["hubtl", setting, *map(slug, methods), model.library, *model.parts, kind])
    results = _results(record)
    if results:
        if listed := _listed(record):
            found["metrics"] = listed
        name = repo or slug(f"{model_name(model)}-{record.strategy}-{domain_name(record.target)}")
        found["model-index"] = [{"name": name, "results": results}]
    return found


def _listed(record: RunRecord) -> list[str]:
    """Return the metrics for the Hub: the primary one, and those of a narrow table that it knows."""
    figures = record.adapted.figures if record.adapted else None
    hub_names = _hub_names(record.adapted) if record.adapted else {}
    shown = [m.name for m in (*figures.rows()[:1], *figures.brief()[:1])] if figures else []
    return [hub_names.get(name, name) for name in shown]


def problems(metadata: Mapping[str, Any]) -> list[str]:
    """Return the Hub's objections to a card's metadata, in plain words; empty if nothing.

    The Hub checks a card when it is pushed, which is after training; these are its rules, offline.
    """
    if not isinstance(metadata, Mapping):
        return [f"the metadata is {type(metadata).__name__}, not a mapping"]
    found = [f"{where} is empty: give it a value or leave the key out" for where in _empty(metadata)]
    found += [f"{where} is a local path: {text!r}" for where, text in _texts(metadata) if _PATH.match(text)]
    for key in ("base_model", "datasets"):
        for where, value in _items(metadata, key):
            if not isinstance(value, str) or not (_PATH.match(value) or _ID.fullmatch(value)):
                found.append(f"{where} is {value!r}, not a Hub id such as user/name")
    for where, value in _items(metadata, "license"):
        if value not in licenses.KNOWN:
            found.append(f"{where} is {value!r}, which the Hub does not know: use 'other' with license_name")
    for where, value in _items(metadata, "tags"):
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TAG or "\n" in value:
            found.append(f"{where} is {value!r}, not a line of 1 to {LONGEST_TAG} characters")
    for key in ("language", "metrics", "library_name", "pipeline_tag", "license_name", "base_model_relation"):
        found += [
            f"{where} is {value!r}, not text" for where, value in _items(metadata, key) if not isinstance(value, str)
        ]
    return found + _index_problems(metadata.get("model-index"))


def license_of(record: RunRecord) -> dict[str, str]:
    """Return the licence's keys: the chosen one, else that of the weights.

    One that the Hub does not know becomes ``other``.
    """
    known = (record.recipe.get("hub", {}).get("license") or record.model.license or "").strip().lower()
    if known in ("", "unknown", "none"):
        return {}
    if known in licenses.KNOWN:
        return {"license": known}
    return {"license": "other", "license_name": slug(known)}


def _kind(record: RunRecord) -> str:
    """Return the modality and the Hub's name of the task, ``image-classification``; of several modalities the architecture."""
    modalities = list(record.model.parts) or record.model.modalities
    try:
        task = plugins.load("tasks", record.task)
    except HubtlError:
        return slug(record.task)
    if len(modalities) != 1:
        return f"{record.model.architecture}-{task.kind}"
    return str(task.pipeline_tags.get(modalities[0], f"{modalities[0]}-{task.pipeline or task.kind}"))


def _results(record: RunRecord) -> list[dict[str, Any]]:
    oracle = ["oracle selection"] if record.selection.oracle else []
    blocks = [(record.target, _metrics(record.adapted, oracle))]
    for later in record.evaluations:
        metrics = _metrics(later.figures, oracle)
        if later.online is not None:
            metrics += _metrics(later.online.figures, [f"{later.online.method} online", *oracle])
        blocks.append((later.data, metrics))
    kind = _kind(record)
    task = {"type": kind, "name": kind.replace("-", " ").title()}
    found: list[dict[str, Any]] = []
    for domain, metrics in blocks:
        dataset = _dataset(domain)
        here = next((result for result in found if result["dataset"] == dataset), None)
        if here is None and metrics:
            found.append({"task": task, "dataset": dataset, "metrics": metrics})
        elif here is not None:  # measured twice: the run's own figures stay, what is new joins them
            known = {(metric["type"], metric["name"]) for metric in here["metrics"]}
            here["metrics"] += [metric for metric in metrics if (metric["type"], metric["name"]) not in known]
    return found


def _metrics(evaluation: Evaluation | None, notes: list[str]) -> list[dict[str, Any]]:
    """Return the figures under plain names; a note marks figures of another kind."""
    if evaluation is None:
        return []
    label = f" ({', '.join(notes)})" if notes else ""
    figures = evaluation.figures.rows() if evaluation.figures else []
    hub_names = _hub_names(evaluation)
    return [
        {"type": hub_names.get(m.name, m.name), "value": round(m.value, 4), "name": f"{_title(m.shown)}{label}"}
        for m in figures
        if m.value is not None and math.isfinite(m.value)
    ]


def _hub_names(evaluation: Evaluation) -> Mapping[str, str]:
    """Return the Hub's names of a task's metrics."""
    try:
        found: Mapping[str, str] = plugins.load("tasks", evaluation.figures.task if evaluation.figures else "").metrics
    except HubtlError:
        return {}
    return found


def _title(shown: str) -> str:
    plain = shown.partition(" (")[0]
    return plain if plain[1:2].isupper() else plain[:1].upper() + plain[1:]  # mAP stays


def _dataset(domain: DomainFacts) -> dict[str, Any]:
    """Return the evaluated dataset; one that is not on the Hub has its own name, never a path."""
    on_hub = bool(domain.hub_id and is_hub_id(domain.hub_id))
    name = domain_name(domain) + (f" ({domain.domain})" if domain.domain else "")
    kind = "builtin" if domain.dataset.startswith("builtin:") else "local"
    found = {"type": domain.hub_id if on_hub else slug(f"{kind}-{domain_name(domain)}"), "name": name}
    optional = {"config": domain.config, "split": domain.eval_split or domain.split}
    if on_hub:
        optional["revision"] = domain.revision
    return found | {key: value for key, value in optional.items() if value}


def _index_problems(index: Any) -> list[str]:
    if index is None:
        return []
    if not isinstance(index, list) or not index:
        return ["model-index is not a list of models"]
    found = []
    for i, model in enumerate(index):
        here = f"model-index[{i}]"
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            found.append(f"{here}.name is missing")
        results = model.get("results") if isinstance(model, Mapping) else None
        if not isinstance(results, list) or not results:
            found.append(f"{here}.results is not a list of results")
            continue
        for j, result in enumerate(results):
            found += _result_problems(result, f"{here}.results[{j}]")
    return found


def _result_problems(result: Any, here: str) -> list[str]:
    if not isinstance(result, Mapping):
        return [f"{here} is not a mapping"]
    found = []
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        section = result.get(part)
        for key in keys:
            if not isinstance(section, Mapping) or not isinstance(section.get(key), str):
                found.append(f"{here}.{part}.{key} is missing or not text")
    dataset = result.get("dataset")
    for key in ("config", "split", "revision"):
        value = dataset.get(key) if isinstance(dataset, Mapping) else None
        if value is not None and not isinstance(value, str):
            found.append(f"{here}.dataset.{key} is {value!r}, not text")
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        return [*found, f"{here}.metrics is not a list of metrics"]
    seen = set()
    for k, metric in enumerate(metrics):
        there = f"{here}.metrics[{k}]"
        if not isinstance(metric, Mapping) or not isinstance(metric.get("type"), str):
            found.append(f"{there}.type is missing or not text")
            continue
        value = metric.get("value")
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number and not isinstance(value, str):
            found.append(f"{there}.value is {value!r}, not a finite number")
        name = (metric["type"], str(metric.get("name")))
        if name in seen:
            found.append(f"{there} repeats the name of another metric: {metric.get('name')!r}")
        seen.add(name)
    return found


def _items(metadata: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    """Yield a key's value, or each item of a list; empty ones are reported elsewhere."""
    value = metadata.get(key)
    if isinstance(value, list):
        yield from ((f"{key}[{i}]", item) for i, item in enumerate(value) if item is not None)
    elif value is not None:
        yield key, value


def _empty(value: Any, where: str = "") -> Iterator[str]:
    if value is None or value == "":
        yield where
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _empty(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _empty(item, f"{where}[{i}]")


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _texts(item, f"{where}[{i}]")


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
