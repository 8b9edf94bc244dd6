"""What a user can say of a model of several modalities: ``--set model.fusion=late``, ``--set model.text_tune=freeze``."""

import re
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from hubtl.recipe.bounded import Bounded

TUNE = "freeze, full, lora, or top-k for the last k blocks"
WEIGHTS = "pretrained weights of this encoder; default: as --pretrained or --no-pretrained says of all"
RATE = "learning rate of this encoder over the run's; default: 0.1 pretrained, 1 from scratch"


class ModelOptions(Bounded):
    """Options of ``--model image=…,text=…,audio=…``."""

    model_config = ConfigDict(frozen=True)

    fusion: Literal["late", "concat-mlp", "concat-transformer", "bottleneck"] = Field(
        "bottleneck", description="how modalities meet"
    )
    width: int = Field(128, ge=8, description="of every modality's tokens after projection, and of the fused feature")
    layers: int = Field(2, ge=1, description="fusion blocks")
    heads: int = Field(4, ge=1, description="attention heads; divides width")
    bottlenecks: int = Field(4, ge=1, description="tokens through which modalities see each other (bottleneck)")
    latents: int = Field(16, ge=1, description="tokens to which a modality with more than 64 is resampled")
    dropout: float = Field(0.1, ge=0, lt=1)
    modality_dropout: float = Field(0.2, ge=0, lt=1, description="chance that a row trains without a modality it has")
    image_pretrained: bool | None = Field(None, description=WEIGHTS)
    text_pretrained: bool | None = Field(None, description=WEIGHTS)
    audio_pretrained: bool | None = Field(None, description=WEIGHTS)
    image_tune: str = Field("full", description=f"what of the image encoder learns: {TUNE}")
    text_tune: str = Field("full", description=f"what of the text encoder learns: {TUNE}")
    audio_tune: str = Field("full", description=f"what of the audio encoder learns: {TUNE}")
    image_lr: float | None = Field(None, ge=0, description=RATE)
    text_lr: float | None = Field(None, ge=0, description=RATE)
    audio_lr: float | None = Field(None, ge=0, description=RATE)
    image_stage: int | None = Field(
        None, description="stage of a timm network whose map gives the tokens; default: last"
    )
    audio_stage: int | None = Field(None, description="the same of a timm network on spectrograms")
    channels: int | None = Field(None, ge=1, description="of the images, for timm networks; default: the network's own")
    max_length: int = Field(128, ge=2, description="tokens that a text is cut or padded to")
    seconds: float | None = Field(
        None, gt=0, description="that a recording is cut or padded to; default: the encoder's"
    )
    mels: int | None = Field(
        None, ge=8, description="mel bands of the spectrogram that a timm network hears; default: its own, else 64"
    )
    corruption: tuple[int, ...] = Field(
        (3,), description="severities, 1 to 5, at which each modality is corrupted when the model is evaluated"
    )

    @field_validator("image_tune", "text_tune", "audio_tune")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("freeze", "full", "lora") and not re.fullmatch(r"top-[1-9]\d*", value):
            raise ValueError(f"it is {TUNE}")
        return value

    @field_validator("corruption")
    @classmethod
    def _severities(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= severity <= 5 for severity in value):
            raise ValueError("severities are 1 to 5")
        return value

    def of_encoder(self, modality: str) -> dict[str, object]:
        """The options that an encoder of a modality is made with."""
        options: dict[str, dict[str, object]] = {
            "image": {"stage": self.image_stage, "channels": self.channels},
            "text": {"max_length": self.max_length},
            "audio": {"seconds": self.seconds, "mels": self.mels, "stage": self.audio_stage},
        }
        return {key: value for key, value in options[modality].items() if value is not None}

    def pretrained(self, modality: str, asked: bool) -> bool:
        """Whether an encoder gets pretrained weights."""
        given: bool | None = getattr(self, f"{modality}_pretrained")
        return asked if given is None else given

    def tune(self, modality: str) -> str:
        """What of an encoder learns."""
        return str(getattr(self, f"{modality}_tune"))

    def rate(self, modality: str, *, pretrained: bool) -> float:
        """The learning rate of an encoder over the run's."""
        given: float | None = getattr(self, f"{modality}_lr")
        return (0.1 if pretrained else 1.0) if given is None else given
