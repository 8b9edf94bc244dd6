"""From the flags of ``hubtl plugin check`` to the suite of a plugin's kind."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from hubtl import plugins
from hubtl.backbones.reference import ModelRef
from hubtl.errors import HubtlError
from hubtl.recipe.reading import parse_set, problems_of
from hubtl.testing.kinds import Check, suite_of
from hubtl.testing.kinds.modalities import ModalitySuite
from hubtl.testing.kinds.tables import taken_by

OWN = {
    "strategies": ("setting",),
    "backbones": ("model",),
    "modalities": ("model", "dataset"),
    "tasks": ("dataset", "label_column"),
}
REQUIRES = 'in pyproject.toml: dependencies = ["hubtl>=0.1,<0.2"], with the versions that its tests ran with'
ROWS = 80  # of a dataset that are looked at
FLAGS = ("model", "dataset", "label_column", "setting")


def checks_of(entry: plugins.Entry, given: Mapping[str, Any]) -> Iterator[Check]:
    """Return the checks of an entry. Raises HubtlError for a flag that is for another kind, and for options that are wrong."""
    thing, own = entry.load(), OWN.get(entry.kind, ())
    for flag in FLAGS:
        if given.get(flag) is not None and flag not in own:
            kind = plugins.SINGULAR[entry.kind]
            raise HubtlError(f"--{flag.replace('_', '-')} is not for a {kind}", hint=f"leave it out for {entry.name}")
    options = parse_set(given.get("options") or [], example="weight=0.5")
    model: type[BaseModel] | None = getattr(thing, "Options", None)
    if entry.kind == "modalities" and options and (reads := given.get("model") or taken_by(entry.name)):
        ModelRef(reads).check_options(options)  # a modality has none of its own
    elif options and model is None:
        raise HubtlError(f"{entry.name} has no options", hint="leave --set out")
    elif options and model is not None and (problems := problems_of(model, entry.name, options)):
        raise HubtlError("; ".join(problems), hint=f"hubtl show {entry.name}")
    more: dict[str, Any] = dict(options)
    if entry.kind == "strategies" and given.get("setting"):
        if given["setting"] not in thing.settings:
            raise HubtlError(f"{entry.name} is not for {given['setting']}", hint=f"--setting {thing.settings[0]}")
        more["setting"] = given["setting"]
    if entry.kind == "backbones":
        more["model"] = given.get("model") or entry.name
    if entry.kind == "modalities":
        more["model"] = given.get("model")
    if given.get("dataset"):
        from hubtl.data.opening import opened

        splits = opened(given["dataset"]).splits
        dataset = splits["train"] if "train" in splits else next(iter(splits.values()))
        more["dataset"] = dataset.select(range(min(ROWS, len(dataset))))
    if entry.kind == "tasks" and given.get("dataset"):
        more["column"] = given.get("label_column")
    suite = suite_of(thing, **more)
    for one in suite.checks():
        if isinstance(suite, ModalitySuite) and one.name in suite.needs:
            _ = suite.backbone  # one error where there is no model, before the checks that need it
        yield one
    if not (entry.builtin or entry.sha256):
        yield Check(
            "requires", "Its package says which versions of hubtl it is for.", lambda: _requires(entry), REQUIRES
        )


def _requires(entry: plugins.Entry) -> None:
    """Raise AssertionError for a package that does not bound its hubtl.

    It has to name hubtl, and an end of the versions.
    """
    spec = entry.requires
    assert spec is not None, f"{entry.package} does not require hubtl"
    assert spec, f"{entry.package} requires any hubtl"
    assert any(mark in spec for mark in ("<", "==", "~=")), f"{entry.package} requires hubtl {spec}, without end"
