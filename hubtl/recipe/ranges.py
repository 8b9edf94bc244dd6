"""Define the search space of ``hubtl tune``: derived from a strategy's options or written by hand."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hubtl import plugins
from hubtl.errors import HubtlError, nearest
from hubtl.recipe.reading import option_problems
from hubtl.recipe.schema import OptimSection, Recipe

RATE = 30.0  # a rate is searched from a thirtieth of what the recipe says to thirty times that
WEIGHT = 10.0  # an option without an upper bound: from a tenth to ten times
COUNT = 2.0  # a whole number: from half to twice
DECAY = (1e-5, 1e-1)
EDGE = 0.05  # of a range, off a bound that is not itself allowed
OPTIM = tuple(k for k, f in OptimSection.model_fields.items() if f.annotation in (int, float, float | None))


@dataclass(frozen=True)
class Axis:
    """Hold one key and its range, both ends included."""

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False  # whole numbers only

    def __str__(self) -> str:
        return f"{self.key}={self.low:g}:{self.high:g}" + (":log" if self.log else "")

    def suggest(self, trial: Any) -> float | int:
        """Suggest a value for an Optuna trial."""
        if self.whole:
            number: int = trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
            return number
        value: float = trial.suggest_float(self.key, self.low, self.high, log=self.log)
        return value

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def derived(recipe: Recipe) -> list[Axis]:
    """Derive ranges of learning rate, weight decay, and the strategy's numeric options.

    The recipe is decided. A range follows the option's bounds, where there are two; otherwise it lies around the
    recipe's value. Options of value 0 are switched off, and stay so.
    """
    assert recipe.optim.lr is not None
    rate = Axis("optim.lr", recipe.optim.lr / RATE, recipe.optim.lr * RATE, log=True)
    axes = [rate, Axis("optim.weight_decay", *DECAY, log=True)]
    for key, field in _options(recipe).model_fields.items():
        value = recipe.strategy.options.get(key, field.get_default(call_default_factory=True))
        if (axis := _around(key, value, field)) is not None:
            axes.append(axis)
    return axes


def _around(key: str, value: Any, field: FieldInfo) -> Axis | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or not math.isfinite(value):
        return None
    low, high = _bounds(field)
    if isinstance(value, int):
        least, most = math.ceil(max(low, value / COUNT)), math.floor(min(high, value * COUNT))
        return Axis(key, least, most, log=least >= 8, whole=True) if least < most else None
    if math.isfinite(low) and math.isfinite(high):
        return Axis(key, low, high)
    return Axis(key, max(low, value / WEIGHT), min(high, value * WEIGHT), log=True)


def _bounds(field: FieldInfo) -> tuple[float, float]:
    """Return the bounds of a field; exclusive ones are moved inwards by EDGE of the range."""
    found: dict[str, float] = {}
    for rule in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            if getattr(rule, name, None) is not None:
                found[name] = float(getattr(rule, name))
    low, high = found.get("ge", found.get("gt", -math.inf)), found.get("le", found.get("lt", math.inf))
    edge = EDGE * (high - low) if math.isfinite(high - low) else 0.0
    return low + edge * ("ge" not in found), high - edge * ("le" not in found)


def written(ranges: Iterable[tuple[str, str]], recipe: Recipe) -> list[Axis]:
    """Return axes from pairs of ``KEY`` and ``LOW:HIGH[:log]``.

    Raises:
        HubtlError: for a range or a key that cannot be searched.
    """
    return [_axis(key.strip(), text, recipe) for key, text in ranges]


def pairs(texts: Iterable[str], mapping: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Return the pairs of ``--search KEY=LOW:HIGH[:log]`` and a ``tune:`` mapping; flags win."""
    found = {str(key): str(value) for key, value in (mapping or {}).items()}
    for text in texts:
        key, separator, rest = text.partition("=")
        if not separator or not key.strip():
            raise HubtlError(f"--search takes KEY=LOW:HIGH[:log], got {text!r}", hint="--search optim.lr=1e-4:1e-1:log")
        found[key.strip()] = rest
    return list(found.items())


def _axis(key: str, text: str, recipe: Recipe) -> Axis:
    hint = f"--search {key}=LOW:HIGH, or LOW:HIGH:log"
    parts = text.strip().split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
    except (IndexError, ValueError):
        raise HubtlError(f"--search {key}: {text!r} is no range", hint=hint) from None
    if len(parts) > 3 or (len(parts) == 3 and parts[2] != "log"):
        raise HubtlError(f"--search {key}: {text!r} ends in neither a number nor log", hint=hint)
    log = len(parts) == 3
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise HubtlError(f"--search {key}: {low:g} is not below {high:g}", hint=hint)
    if log and low <= 0:
        raise HubtlError(f"--search {key}: a logarithmic range does not begin at {low:g}", hint=hint)
    short, field = _field(key, recipe)
    whole = field.annotation in (int, int | None)
    if whole and (low != round(low) or high != round(high)):
        raise HubtlError(f"--search {key}: it takes whole numbers, not {low:g} to {high:g}", hint=hint)
    axis = Axis(short, low, high, log=log, whole=whole)
    for value in (low, high):
        _check(axis, int(value) if whole else value, recipe)
    return axis


def _field(key: str, recipe: Recipe) -> tuple[str, FieldInfo]:
    """Return a key as trials name it, and its field. Trials say ``optim.lr``, or a bare option."""
    own = {k: f for k, f in _options(recipe).model_fields.items() if f.annotation in (int, float, float | None)}
    short = key.removeprefix("strategy.").removeprefix("options.")
    if short in own:
        return short, own[short]
    leaf = key.removeprefix("optim.")
    if key.startswith("optim.") and leaf in OPTIM:
        return key, OptimSection.model_fields[leaf]
    known = [*(f"optim.{name}" for name in OPTIM), *own]
    guess = nearest(key, known)
    raise HubtlError(
        f"--search {key}: tune searches numbers of optim and of the strategy {recipe.strategy.name}, and this is none",
        hint=guess or f"one of: {', '.join(known)}",
    )


def _check(axis: Axis, value: float, recipe: Recipe) -> None:
    """Raise HubtlError for an end of a range. The key does not allow it."""
    if axis.key.startswith("optim."):
        try:
            OptimSection(**{axis.key.removeprefix("optim."): value})
        except ValueError as error:
            said = str(error).splitlines()[2].strip().split(" [")[0]
            raise HubtlError(f"--search {axis.key}: {value:g} is not allowed: {said}", hint="another range") from error
    elif problems := option_problems("strategies", recipe.strategy.name, {axis.key: value}):
        raise HubtlError(f"--search {axis}: {problems[0]}", hint=f"hubtl show {recipe.strategy.name}")


def _options(recipe: Recipe) -> type[BaseModel]:
    options: type[BaseModel] = plugins.load("strategies", recipe.strategy.name).Options
    return options
