"""Define the options of a native classifier: ``--set model.max_length=256``."""

from typing import Literal

from pydantic import ConfigDict, Field

from hubtl.errors import HubtlError
from hubtl.modalities.strengths import SoundViews, WordViews


class NativeOptions(WordViews, SoundViews):
    """Hold the options of ``--model NAME`` for transformers' models of texts or recordings."""

    model_config = ConfigDict(frozen=True)

    max_length: int | None = Field(
        None, ge=2, description="tokens of a window; default: by the training texts, or the saved value"
    )
    seconds: float | None = Field(
        None, gt=0, description="seconds of a window; default: by the training recordings, or the saved value"
    )
    windows: int | None = Field(
        None,
        ge=1,
        le=64,
        description="windows of a long text or recording, whose features are averaged; what is longer is cut; "
        "default: by the training rows, 1 where the length is given, or the saved value",
    )
    train_windows: int = Field(
        1, ge=1, le=64, description="windows of a row in a training step, drawn at random; predictions use all"
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
        others = {other, *(SoundViews if modality == "text" else WordViews).model_fields}
        others |= set() if modality == "text" else {"pooling", "normalize"}
        for name in sorted(others & self.model_fields_set):
            if getattr(self, name) is not None:
                raise HubtlError(f"{shown} is a model of {modality}: it has no {name}", hint=f"--set model.{own}=…")
        value: float | None = getattr(self, own)
        return value
