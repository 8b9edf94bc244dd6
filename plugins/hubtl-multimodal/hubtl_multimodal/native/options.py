"""What a user can say of a native classifier: ``--set model.max_length=256``."""

from pydantic import ConfigDict, Field

from hubtl.errors import HubtlError
from hubtl.recipe.bounded import Bounded


class NativeOptions(Bounded):
    """Options of ``--model NAME`` where NAME is transformers' model of texts or of recordings."""

    model_config = ConfigDict(frozen=True)

    max_length: int | None = Field(
        None, ge=2, description="tokens that a text is cut to; default: 128, or what it was saved with"
    )
    seconds: float | None = Field(
        None, gt=0, description="that a recording is cut to; default: 10, AST's own, or what it was saved with"
    )

    def of(self, modality: str, shown: str) -> float | None:
        """The one option that is for a modality. Raises HubtlError where the other is given."""
        own, other = ("max_length", "seconds") if modality == "text" else ("seconds", "max_length")
        if getattr(self, other) is not None:
            raise HubtlError(f"{shown} is a model of {modality}: it has no {other}", hint=f"--set model.{own}=…")
        value: float | None = getattr(self, own)
        return value
