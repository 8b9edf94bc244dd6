"""The form of a suite: checks in an order, each with a claim and with what to do where it does not hold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from hubtl.errors import HubtlError
from hubtl.plugins import SINGULAR, contract


@dataclass(frozen=True)
class Check:
    """One claim about a plugin."""

    name: str
    claim: str  # in a sentence
    run: Callable[[], None]  # raises AssertionError with what is amiss, HubtlError where hubtl refuses the plugin
    mend: str  # what to do then


class Suite:
    """The checks of one plugin. Each method named in ``mends`` is one; its docstring is what it claims."""

    kind: ClassVar[str]
    mends: ClassVar[Mapping[str, str]]  # by the name of a method, in the order of the checks

    def checks(self) -> Iterator[Check]:
        """Iterate over the checks, cheap ones first."""
        for name, mend in self.mends.items():
            method = getattr(self, name)
            claim = " ".join((method.__doc__ or name).split())
            yield Check(name, claim, method, mend)

    def judge(self) -> None:
        """Run every check. Raises AssertionError at the first that does not hold."""
        for check in self.checks():
            check.run()


def declared(kind: str, thing: Any) -> None:
    """Raise AssertionError for something that is no plugin of a kind."""
    wrong = contract.problem(kind, thing)
    assert wrong is None, f"it is no {SINGULAR[kind]}: {wrong}"


def documented(thing: Any) -> None:
    """Raise AssertionError for a class or function without a docstring. Options need a description."""
    name = getattr(thing, "__name__", type(thing).__name__)
    own = thing.__dict__.get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
    assert str(own or "").strip(), f"{name} has no docstring"
    options: type[BaseModel] | None = getattr(thing, "Options", None)
    if options is None:
        return
    bare = [n for n, f in options.model_fields.items() if not (f.description or "").strip()]
    assert not bare, f"options without a description: {', '.join(bare)}"
    try:
        made = options()
    except ValidationError as error:
        odd = [e["msg"] for e in error.errors() if e["type"] != "missing"]  # one without a default is asked for
        if odd:
            raise AssertionError(f"its options do not take their own defaults: {odd[0]}") from error
        return
    try:
        options.model_validate(made.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        raise AssertionError(
            f"the default of option {'.'.join(map(str, first['loc']))} is refused by its own bounds: {first['msg']}"
        ) from error


def refused(call: Callable[[], Any]) -> HubtlError | None:
    """Call something; return the HubtlError that it raised, None where it raised nothing."""
    try:
        call()
    except HubtlError as error:
        return error
    return None
