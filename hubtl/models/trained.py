"""Load a trained model in parts. It comes from a folder, a repository or timm's pretrained weights."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hubtl import backbones, plugins
from hubtl.backbones import own
from hubtl.backbones.base import Backbone, BackboneRequest, ImageInput, PixelRanges
from hubtl.backbones.loader import given_loader, reopened
from hubtl.backbones.reference import ModelRef
from hubtl.backbones.saved import lineage, output_count, output_names, outputs_of, read_config, read_facts, task_of
from hubtl.backbones.weights import check_finite, named
from hubtl.errors import HubtlError
from hubtl.io.places import there
from hubtl.io.shown import plural
from hubtl.models.needed import check_needed
from hubtl.plugins import modalities
from hubtl.record import Outputs
from hubtl.settings import logger
from hubtl.tasks import Task

KEPT = "ensemble"  # in hubtl.json: the models that are loaded together
DEFAULT = "classification"  # the task of what does not say any
LOST = "train or download the model again"
SCHEMES = ("local", "local-dir", "hub", "hf-hub", "transformers")  # of what may have a classifier of its own


@dataclass(frozen=True)
class Trained:
    """Hold a trained model in parts."""

    backbone: Backbone
    head: nn.Linear
    outputs: Outputs
    named: bool = True  # False: its outputs are numbers, LABEL_0 and so on
    unknown: str | None = None  # the output for what is none of the others, if it has one
    task: str = DEFAULT

    def for_task(self) -> Task:
        """Return the task of the model, which knows its outputs.

        Raises:
            HubtlError: where no package registers it.
        """
        made: Task = plugins.load("tasks", self.task)(self.outputs)
        made.unknown = None if self.unknown is None else self.outputs.names.index(self.unknown)
        return made


def trained_classifier(
    name: str, *, image_size: int | None = None, options: Mapping[str, Any] | None = None
) -> Trained:
    """Load a trained model in parts, for source-free adaptation.

    Args:
        name: a folder (of hubtl, transformers or timm), also as ``local-dir:FOLDER``; a Hub id, also as ``hf-hub:ID``
            or ``transformers:ID``; or a timm name, with its pretrained classifier.
        image_size: another image size.
        options: options of its loader.

    Raises:
        HubtlError: for anything else, and for missing weights.
    """
    ModelRef(name).check_options(options or {})
    scheme, colon, rest = name.partition(":")
    where = rest if colon and scheme in SCHEMES and not there(name) else name
    folder = Path(where).expanduser()
    if there(folder) and folder.is_dir():
        trained = opened(folder, image_size, options or {})
        known: dict[str, Any] = {"name": folder.resolve().name}
    elif where in plugins.entries("backbones") or ":" in where:
        raise HubtlError(
            f"{name} is an architecture without a classifier of its own, and there is no source to train one on",
            hint="a folder, a Hub id or a timm name with pretrained weights; or --source-dataset",
        )
    elif is_timm(where):
        from hubtl.backbones import timm

        backbone, head, names = timm.trained(where.removeprefix("timm/"), image_size)
        _check_trained(backbone, where)
        check_finite({**backbone.state_dict(), **head.state_dict()}, f"the weights of {where}", hint=LOST)
        return Trained(backbone, head, Outputs(names=names or _numbered(head.out_features)), names is not None)
    elif where.startswith((".", "/", "~")):
        raise HubtlError(f"there is no folder {where}", hint="RUN_DIR, user/repo, or a timm name")
    else:
        from hubtl.backbones.hub import license_of
        from hubtl.hub import pull

        snapshot = pull(where)
        trained = opened(snapshot, image_size, options or {})
        repo, commit = where.partition("@")[0], snapshot.name
        known = {"name": where, "base_model": repo, "revision": commit, "license": license_of(repo, commit)}
        folder = snapshot
    known["lineage"] = lineage(read_config(folder))
    trained.backbone.info = dataclasses.replace(trained.backbone.info, **known)
    return trained


def _check_trained(backbone: Backbone, shown: str) -> None:
    """Raise HubtlError for weights without a part of the classifier. They would predict at random."""
    if backbone.drawn:
        lost = named(sorted(backbone.drawn))
        raise HubtlError(f"the weights of {shown} lack {len(backbone.drawn)} tensors ({lost})", hint=LOST)


def is_timm(name: str) -> bool:
    """Return whether a name is timm's, or unknown to all others. So timm's error is shown."""
    plain = name.removeprefix("timm/")
    return "/" not in plain and not name.startswith((".", "~"))


def _numbered(count: int) -> list[str]:
    """Return transformers' names of outputs without names."""
    return [f"LABEL_{i}" for i in range(count)]


def opened(folder: Path, image_size: int | None = None, options: Mapping[str, Any] | None = None) -> Trained:
    """Return the classifier of a folder; with ``options``, one to be adapted further."""
    facts = read_facts(folder)
    if KEPT in facts:
        raise HubtlError(f"{folder} holds several models, which are loaded together", hint=f"one of them: {folder}/0")
    check_needed(facts, folder)
    config = read_config(folder)
    configured = output_names(config, f"{folder}/config.json")
    outputs = outputs_of(facts, f"{folder}/hubtl.json")
    names = outputs.names if outputs else configured
    if facts and not outputs:
        told = f"those of config.json are taken ({len(configured)})" if configured else "they are numbers"
        logger.warning("%s/hubtl.json names no outputs: %s", folder, told)
    if len(configured) == len(names) and configured != names:
        raise HubtlError(
            f"{folder}: hubtl.json and config.json name the outputs differently", hint="save or pull the model again"
        )
    names = names or _numbered(output_count(config))
    if not names:
        raise HubtlError(f"{folder} does not say what its outputs are", hint="a model with label names")
    backbone, head = _parts(folder, config, names, image_size, options)
    check_finite(
        {**backbone.state_dict(), **head.state_dict(prefix="classifier.")}, f"the weights in {folder}", hint=LOST
    )
    if "input" in facts and isinstance(backbone.info.input, ImageInput):
        spec = own.image_input(facts["input"], folder / "hubtl.json")
        spec = dataclasses.replace(spec, size=image_size or spec.size)
        built, backbone.info = backbone.info.input, dataclasses.replace(backbone.info, input=spec)
        if (built.size, built.channels) != (spec.size, spec.channels):
            _try_input(backbone, f"{folder}/hubtl.json")
    backbone.ranges = PixelRanges.read(facts.get("pixels"))
    named = list(names) != _numbered(len(names))
    details = outputs.details if outputs else {}
    return Trained(
        backbone, head, Outputs(names=list(names), details=details), named, facts.get("unknown"), task_in(folder)
    )


def members_in(folder: Path) -> list[tuple[Path, float]]:
    """Return an ensemble's member folders with their outputs' factors; empty for one model.

    Raises:
        HubtlError: for a file that says something else.
    """
    if KEPT not in (facts := read_facts(folder)):
        return []
    try:
        found = [(folder / str(part["folder"]), float(part["count"])) for part in facts[KEPT]]
    except (TypeError, KeyError, ValueError) as error:
        raise HubtlError(f"{folder}/hubtl.json does not say which models it holds", hint="run it again") from error
    strange = [part for part, _ in found if part.parent != folder or not part.is_dir()]
    if strange or not found:
        raise HubtlError(
            f"{folder} lacks a model that its hubtl.json names", hint="copy the whole folder, or run it again"
        )
    return found


def task_in(folder: Path) -> str:
    """Return the task of a folder's model.

    It is in ``hubtl.json``, in hubtl's part of ``config.json``, or follows from ``problem_type`` there; by default
    classification.

    Raises:
        HubtlError: where the two files differ.
    """
    if parts := members_in(folder):
        return task_in(parts[0][0])
    facts, config = read_facts(folder), read_config(folder)
    own = config.get("hubtl")
    told = task_of(own) if isinstance(own, dict) and "task" in own else None
    given = task_of(facts) if "task" in facts else told
    if told is not None and given != told:
        raise HubtlError(
            f"{folder}: hubtl.json is of a model for {given}, config.json of one for {told}",
            hint="save or pull the model again",
        )
    problem = config.get("problem_type")
    if given is None and problem:
        given = task_called(problem)
    if not facts and given is not None and given != DEFAULT:
        logger.warning(
            "%s has no hubtl.json: thresholds, intervals and units of a model for %s are there", folder, given
        )
    return given or DEFAULT


def task_called(problem_type: object) -> str | None:
    """Return the task of transformers' name for a problem; hubtl's own are asked before a plugin is imported."""
    known = sorted(plugins.entries("tasks").items(), key=lambda pair: not pair[1].builtin)
    return next((name for name, _ in known if _is_called(name, problem_type)), None)


def _is_called(task: str, problem_type: object) -> bool:
    """Return whether transformers' name for a problem is that of a task."""
    with contextlib.suppress(HubtlError):  # of a package that does not load
        return bool(plugins.load("tasks", task).problem_type == problem_type)
    return False


def _try_input(backbone: Backbone, where: str) -> None:
    """Raise HubtlError where a model cannot take its declared images."""
    spec = backbone.info.input
    try:
        with torch.no_grad():
            backbone.eval()(modalities.of(backbone.info.modalities[0]).trial(spec))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise HubtlError(
            f"{where}: its input does not fit the model: {spec.channels} channels of {spec.size} pixels",
            hint="save or pull the model again",
        ) from error


def _parts(
    folder: Path,
    config: Mapping[str, Any],
    names: Sequence[str],
    image_size: int | None,
    options: Mapping[str, Any] | None,
) -> tuple[Backbone, nn.Linear]:
    """Return backbone and classifier of a folder. Raises HubtlError where the names and the classifier's outputs differ."""
    facts = read_facts(folder)
    if given_loader(config, facts) is not None:
        further = None
        if options is not None or image_size is not None:
            further = BackboneRequest(names, image_size=image_size, options=options or {})
        backbone, head = reopened(config, facts, folder, str(folder), Outputs(names=list(names)), further)
    else:
        request = BackboneRequest(names, image_size=image_size, options=options or {})
        backbone = backbones.resolve(f"local:{folder}", request)
        head = own.linear_of(own.read_tensors(folder), str(backbone.classifier_name), folder)
    if head.out_features != len(names):
        raise HubtlError(
            f"{folder} names {plural(len(names), 'output')}, and its last layer has {head.out_features}",
            hint="save the model again with a name for each output",
        )
    _check_trained(backbone, str(folder))
    return backbone, head
