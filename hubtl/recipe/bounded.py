"""Check that sections and options have finite, short values. They are of their field's type."""

import math
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

LONGEST = 4096  # characters of a text: as long as a path may be


def odd(value: Any, annotation: Any = None) -> str | None:
    """Return why a value is not meant for a field, or None. Its model may allow the value."""
    if isinstance(value, bool):
        kinds = _kinds(annotation)
        return "a number is wanted" if kinds & {int, float} and bool not in kinds else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "a finite number is wanted"
    if isinstance(value, str):
        return _odd_text(value)
    if isinstance(value, Mapping):
        return next((why for part in (*value, *value.values()) if (why := odd(part))), None)
    if isinstance(value, list | tuple | set | frozenset):
        return next((why for part in value if (why := odd(part))), None)
    return None


def _odd_text(text: str) -> str | None:
    if len(text) > LONGEST:
        return f"a text of {len(text):,} characters, more than {LONGEST:,}"
    if "\0" in text:
        return "a text has a NUL character in it"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "a text is not UTF-8"
    return None


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation names: ``int | None`` names two."""
    parts = get_args(annotation)
    return {annotation} if not parts else {kind for part in parts for kind in _kinds(part)}


class Bounded(BaseModel):
    """Hold a section of a recipe, or the options of a plugin."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _meant(cls, value: Any, info: ValidationInfo) -> Any:
        """Return the value unchanged.

        Raises:
            PydanticCustomError: for a value that is not meant for the field.
        """
        field = cls.model_fields.get(info.field_name or "")
        kinds = _kinds(field.annotation) if field else set()
        if isinstance(value, Mapping) and any(isinstance(k, type) and issubclass(k, BaseModel) for k in kinds):
            return value  # a section, which minds its own
        if why := odd(value, field.annotation if field else None):
            raise PydanticCustomError("bounds", "{why}", {"why": why})
        return value
