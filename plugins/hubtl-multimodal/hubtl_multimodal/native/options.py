"""What a user can say of a native classifier: ``--set model.max_length=256``."""

from typing import Literal

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

    pooling: Literal["own", "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = Field(
        None,
        description="from a text's tokens to one vector; own: by the library's own head, such as BERT's pooler; default: "
        "as the model's 1_Pooling says, else own where it came with weights, else mean",
    )
    normalize: bool | None = Field(
        None, description="that vector to length 1; default: as the model's modules.json says, else false"
    )

    def of(self, modality: str, shown: str) -> float | None:
        """The one option that is for a modality. Raises HubtlError where another's is given."""
        own, other = ("max_length", "seconds") if modality == "text" else ("seconds", "max_length")
        others = (other,) if modality == "text" else (other, "pooling", "normalize")
        for name in others:
            if getattr(self, name) is not None:
                raise HubtlError(f"{shown} is a model of {modality}: it has no {name}", hint=f"--set model.{own}=…")
        value: float | None = getattr(self, own)
        return value
