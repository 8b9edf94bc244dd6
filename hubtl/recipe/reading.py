"""Read recipes from files, mappings and flags; report all mistakes at once, with near names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hubtl import plugins
from hubtl.errors import HubtlError, RecipeError, nearest
from hubtl.hub import tokens
from hubtl.io import plain
from hubtl.recipe import bounded, columns
from hubtl.recipe.bounded import Bounded
from hubtl.recipe.schema import ModelSection, NamedSection, Recipe, Section, SourceSection

LISTED = "all of them:"  # before a command that lists names


def parse(raw: Mapping[str, Any], *, where: str = "the recipe", flags: Mapping[str, str] | None = None) -> Recipe:
    """Parse and check a raw recipe.

    Args:
        raw: the recipe as nested mappings.
        where: its name, for errors.
        flags: the typed flags, by the key that each set: a mistake in its value is named after the flag.

    Raises:
        RecipeError: with every mistake at once.
    """
    problems, recipe = [], None
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        problems += [_sentence(e) for e in error.errors()]
    problems += _name_problems(raw)
    problems += [f"{key} has a token in it, which the run would write down" for key in tokens.held(raw)]
    problems = [_typed(problem, flags or {}) for problem in problems]
    if problems and all(problem.startswith("--") for problem in problems):
        where = "the command line"
    if problems or recipe is None:
        raise RecipeError(
            [tokens.redact(p) for p in problems], where=tokens.redact(where), hint=_first_guess(problems, flags or {})
        )
    return recipe


def read(path: str | Path) -> dict[str, Any]:
    """Read a YAML recipe as plain data.

    Raises:
        HubtlError: if there is no file or it is not a mapping.
    """
    path = Path(path)
    try:
        raw = plain.parsed(plain.text_of(path))
    except OSError as error:
        raise HubtlError(
            f"cannot read the recipe {path}: {error.strerror}", hint="give the path of a YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise HubtlError(f"{path} is not YAML: {_short(error)}", hint="compare with examples/digits.yaml") from error
    except ValueError as error:
        raise HubtlError(
            f"{path} is not a recipe: {_short(error)}", hint="compare with examples/digits.yaml"
        ) from error
    if not isinstance(raw, dict):
        raise HubtlError(f"{path} holds {type(raw).__name__}, not sections", hint="compare with examples/digits.yaml")
    return raw


def merge(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a raw recipe with dotted keys changed: ``{"optim.lr": 0.1}``.

    A key without a dot is a strategy option.
    """
    merged = {k: dict(v) if isinstance(v, Mapping) else v for k, v in raw.items()}
    changed = dict(columns.single(changes))
    if any(key.startswith("data.columns.") for key in changed):
        merged["data"] = columns.settled(merged.get("data"))
    for key, value in changed.items():
        if "." not in key:
            key = key if key in Recipe.model_fields else f"strategy.options.{key}"
        node: dict[str, Any] = merged
        *parents, leaf = _normal(key)
        for parent in parents:
            child = node.get(parent)
            if isinstance(child, str):
                child = {"dataset" if parent in ("source", "target") else "name": child}
            elif child is None:
                child = {"name": "auto"} if parent == "strategy" else {}
            elif not isinstance(child, Mapping):
                raise HubtlError(
                    f"{key}: {parent} holds {child!r}, not a section", hint=f"write {parent}: as a mapping"
                )
            node[parent] = dict(child)
            node = node[parent]
        node[leaf] = value
    return merged


def parse_set(pairs: Iterable[str], *, flag: str = "--set", example: str = "optim.lr=3e-3") -> dict[str, Any]:
    """Parse ``["optim.lr=3e-3"]`` to ``{"optim.lr": 0.003}``; values are YAML.

    Args:
        pairs: texts ``KEY=VALUE``.
        flag: the flag, for errors.
        example: a right value, for errors.

    Raises:
        HubtlError: without a ``=``.
    """
    changes = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.strip():
            raise HubtlError(f"{flag} takes key=value, got {_short(repr(pair))}", hint=f"for example {flag} {example}")
        try:
            changes[key.strip()] = float(text) if _is_float(text) else plain.parsed(text)
        except plain.Refused as error:
            raise HubtlError(f"{flag} {_short(key)}: {_short(error)}", hint=f"for example {flag} {example}") from error
        except yaml.YAMLError as error:
            raise HubtlError(
                f"{flag} {_short(key)}: {_short(repr(text))} is not a YAML value", hint="quote it"
            ) from error
    return changes


def _is_float(text: str) -> bool:
    """Return whether YAML 1.1 reads a float as text. 3e-3 is one."""
    try:
        float(text)
    except ValueError:
        return False
    return any(mark in text.lower() for mark in "e.") and not text.lower().lstrip("+-").startswith(("inf", "nan"))


def _normal(key: str) -> list[str]:
    """Return the path of a dotted key; ``strategy.weight`` is short for ``strategy.options.weight``."""
    parts = key.split(".")
    named: dict[str, type[Section]] = dict.fromkeys(("strategy", "tuner", "task"), NamedSection)
    named["model"] = ModelSection
    if len(parts) == 2 and parts[0] in named and parts[1] not in named[parts[0]].model_fields:
        parts.insert(1, "options")
    return parts


def _short(said: object, most: int = 200) -> str:
    """Return a text on one line, shortened."""
    text = " ".join(str(said).split())
    return text if len(text) <= most else f"{text[:most]}…"


def _sentence(error: Any) -> str:
    """Return one pydantic error in plain words."""
    key = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "extra_forbidden":
        guess = nearest(key, _keys())
        return f"unknown key {key}" + (f" (nearest: {guess})" if guess else "")
    if error["type"] == "missing":
        return f"{key} is missing"
    said = error["msg"].removeprefix("Value error, ")  # pydantic's words before those of a validator of ours
    message = said[:1].lower() + said[1:]
    return f"{key} is {_short(repr(error['input']), 80)}: {message}"


def _typed(problem: str, flags: Mapping[str, str]) -> str:
    """Name the flag in a problem, in place of its key. A place within is replaced, too (``ensemble.seeds.0``)."""
    key, is_, rest = problem.partition(" is ")
    flag = next((flag for known, flag in flags.items() if f"{key}.".startswith(f"{known}.")), None)
    return problem if flag is None else f"{flag}{is_}{rest}"


def _keys() -> list[str]:
    sections = {name: f.annotation for name, f in Recipe.model_fields.items()}
    sections["source"] = SourceSection
    return [
        f"{name}.{key}"
        for name, section in sections.items()
        if isinstance(section, type) and issubclass(section, Section)
        for key in section.model_fields
    ] + list(sections)


def _name_problems(raw: Mapping[str, Any]) -> list[str]:
    """Return names that no package registers, and unknown options. Options are those of strategy and tuner."""
    problems = []
    for key, kind in (("strategy", "strategies"), ("tuner", "tuners"), ("task", "tasks")):
        section = raw.get(key)
        name = (
            section if isinstance(section, str) else (section or {}).get("name") if isinstance(section, dict) else None
        )
        if not isinstance(name, str) or (key == "strategy" and name == "auto"):
            continue
        known = plugins.entries(kind)
        if missing := [part for part in plugins.parts(kind, name) if part not in known]:
            problems.append(_unknown_name(key, missing[0], kind))
        elif isinstance(section, dict) and isinstance(section.get("options"), dict) and section["options"]:
            problems += option_problems(kind, name, section["options"])
    run = raw.get("run")
    rule = run.get("validator") if isinstance(run, dict) else None
    if isinstance(rule, str) and rule not in plugins.entries("validators"):
        problems.append(_unknown_name("run.validator", rule, "validators"))
    return problems + _member_problems(raw)


def _member_problems(raw: Mapping[str, Any]) -> list[str]:
    """Return names of members that are no strategies; ``auto`` picks one, and is none itself."""
    ensemble = raw.get("ensemble")
    members = ensemble.get("members") if isinstance(ensemble, Mapping) else None
    listed = members.split(",") if isinstance(members, str) else members if isinstance(members, list) else []
    known = plugins.entries("strategies")
    problems = []
    for name in (name.strip() for name in listed if isinstance(name, str)):
        parts = name.split("+") if name not in known else [name]
        if name == "auto":
            problems.append("ensemble.members names auto, which picks strategies and is none")
        elif missing := [part for part in parts if part and part not in known]:
            problems.append(_unknown_name("ensemble.members", missing[0], "strategies"))
    return problems


def option_problems(kind: str, name: str, options: Mapping[str, Any]) -> list[str]:
    """Return the mistakes in a registered plugin's options, in plain words. It is a strategy, tuner or task."""
    return problems_of(plugins.load(kind, name).Options, name, options, f"{plugins.SINGULAR[kind]}.")


def made(model: type[BaseModel], name: str, options: Mapping[str, Any], section: str) -> BaseModel:
    """Return options as an instance of their model.

    Args:
        model: the model.
        name: the name of the plugin, for errors.
        options: the options.
        section: what the keys of a recipe begin with, such as ``tuner.``, for errors.

    Raises:
        HubtlError: for mistakes in them, such as a missing option.
    """
    try:
        return model(**options)
    except ValidationError as error:
        raise HubtlError("; ".join(problems_of(model, name, options, section)), hint=f"hubtl show {name}") from error


def problems_of(model: type[BaseModel], name: str, options: Mapping[str, Any], section: str = "") -> list[str]:
    """Return the mistakes in a model's options, each with its key. The key is the one that the user sets."""
    if not issubclass(model, Bounded):  # of a plugin, with a model of its own
        fields = model.model_fields
        found = {k: bounded.odd(v, fields[k].annotation if k in fields else None) for k, v in options.items()}
        if problems := [f"{section}{k} is {_short(repr(options[k]), 80)}: {why}" for k, why in found.items() if why]:
            return problems
    try:
        model.model_validate(options)
    except ValidationError as error:
        known = list(model.model_fields)
        problems = []
        for e in error.errors():
            key = ".".join(str(part) for part in e["loc"])
            if e["type"] == "extra_forbidden":
                guess = nearest(key, known)
                listed = f"nearest: {guess}" if guess else f"it has: {', '.join(known) or 'none'}"
                problems.append(f"{name} has no option {key!r} ({listed})")
            else:
                problems.append(_sentence(e).replace(key, f"{section}{key}", 1))
        return problems
    return []


def _unknown_name(key: str, name: str, kind: str) -> str:
    guess = nearest(name, plugins.entries(kind))
    return f"unknown {key} {name!r} " + (f"(nearest: {guess})" if guess else f"({LISTED} hubtl list {kind})")


def _first_guess(problems: list[str], flags: Mapping[str, str]) -> str | None:
    """Return what to type: the nearest names, after the flag that set a wrong one, or where names are listed."""
    for mark in ("(nearest: ", f"({LISTED} "):
        if guesses := [(p, p.split(mark)[1].rstrip(")")) for p in problems if mark in p]:
            return ", ".join(dict.fromkeys(_as_typed(p, guess, flags) for p, guess in guesses))
    return None


def _as_typed(problem: str, guess: str, flags: Mapping[str, str]) -> str:
    """Return a nearest name after its flag: ``--strategy dann``."""
    key = problem.removeprefix("unknown ").partition(" ")[0]
    flag = flags.get(key) or flags.get(f"{key}.name")
    return f"{flag} {guess}" if flag and problem.startswith("unknown ") and "(nearest: " in problem else guess
