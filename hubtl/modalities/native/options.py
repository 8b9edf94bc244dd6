"""Define the options of a native classifier: ``--set model.max_length=256``."""

from typing import Literal

from pydantic import ConfigDict, Field

from hubtl.errors import HubtlError
from hubtl.recipe.bounded import Bounded


class NativeOptions(Bounded):
    """Hold the options of ``--model NAME`` for transformers' models of texts or recordings."""

    model_config = ConfigDict(frozen=True)

    max_length: int | None = Field(
        None, ge=2, description="tokens to truncate a text to; default: 128, or the saved value"
    )
    seconds: float | None = Field(
        None, gt=0, description="seconds to truncate a recording to; default: 10, AST's own, or the saved value"
    )

    pooling: Literal["own", "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = Field(
        None,
        description="pooling of a text's tokens; own: the library's own head, such as BERT's pooler; default: "
        "the model's 1_Pooling, else own if it has weights, else mean",
    )
    normalize: bool | None = Field(
        None, description="normalise the vector to length 1; default: by the model's modules.json, else false"
    )

    def of(self, modality: str, shown: str) -> float | None:
        """Return the option of a modality.

        Raises:
            HubtlError: where another modality's option is given.
        """
        own, other = ("max_length", "seconds") if modality == "text" else ("seconds", "max_length")
        others = (other,) if modality == "text" else (other, "pooling", "normalize")
        for name in others:
            if getattr(self, name) is not None:
                raise HubtlError(f"{shown} is a model of {modality}: it has no {name}", hint=f"--set model.{own}=…")
        value: float | None = getattr(self, own)
        return value
