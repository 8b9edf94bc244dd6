"""Define the options of a multimodal model: ``--set model.fusion=late``, and others."""

import re
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from hubtl.modalities.strengths import SoundViews, WordViews

TUNE = "freeze, full, lora, or top-k for the last k blocks"
WEIGHTS = "pretrained weights of this encoder; default: as --pretrained or --no-pretrained says of all"
RATE = "learning rate of this encoder over the run's; default: 0.1 pretrained, 1 from scratch"


class ModelOptions(WordViews, SoundViews):
    """Hold the options of ``--model image=…,text=…,audio=…``."""

    model_config = ConfigDict(frozen=True)

    fusion: Literal["late", "concat-mlp", "concat-transformer", "bottleneck"] = Field(
        "bottleneck", description="kind of fusion"
    )
    width: int = Field(128, ge=8, description="width of projected tokens and of the fused feature")
    layers: int = Field(2, ge=1, description="number of fusion blocks")
    heads: int = Field(4, ge=1, description="number of attention heads; must divide width")
    bottlenecks: int = Field(4, ge=1, description="number of bottleneck tokens")
    latents: int = Field(16, ge=1, description="number of tokens after resampling a modality with more than 64")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate of the fusion")
    modality_dropout: float = Field(
        0.2, ge=0, lt=1, description="probability of dropping a modality of a row in training"
    )
    image_pretrained: bool | None = Field(None, description=WEIGHTS)
    text_pretrained: bool | None = Field(None, description=WEIGHTS)
    audio_pretrained: bool | None = Field(None, description=WEIGHTS)
    image_tune: str = Field("full", description=f"parameters of the image encoder to train: {TUNE}")
    text_tune: str = Field("full", description=f"parameters of the text encoder to train: {TUNE}")
    audio_tune: str = Field("full", description=f"parameters of the audio encoder to train: {TUNE}")
    image_lr: float | None = Field(None, ge=0, description=RATE)
    text_lr: float | None = Field(None, ge=0, description=RATE)
    audio_lr: float | None = Field(None, ge=0, description=RATE)
    image_stage: int | None = Field(
        None, description="stage of a timm network whose map gives the tokens; default: last"
    )
    audio_stage: int | None = Field(None, description="the same of a timm network on spectrograms")
    channels: int | None = Field(
        None, ge=1, description="image channels, for timm networks; default: the network's own"
    )
    max_length: int | None = Field(
        None, ge=2, description="tokens to truncate or pad a text to; default: by the training texts"
    )
    seconds: float | None = Field(
        None, gt=0, description="seconds to truncate or pad a recording to; default: by the training recordings"
    )
    mels: int | None = Field(
        None, ge=8, description="mel bands of a timm network's spectrogram; default: its own, else 64"
    )
    corruption: tuple[int, ...] = Field((3,), description="severities, 1 to 5, of the corruptions in evaluations")

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
        """Return the options of a modality's encoder."""
        options: dict[str, dict[str, object]] = {
            "image": {"stage": self.image_stage, "channels": self.channels},
            "text": {"max_length": self.max_length},
            "audio": {"seconds": self.seconds, "mels": self.mels, "stage": self.audio_stage},
        }
        return {key: value for key, value in options[modality].items() if value is not None}

    def pretrained(self, modality: str, asked: bool) -> bool:
        """Return whether an encoder gets pretrained weights."""
        given: bool | None = getattr(self, f"{modality}_pretrained")
        return asked if given is None else given

    def tune(self, modality: str) -> str:
        """Return which parameters of an encoder learn."""
        return str(getattr(self, f"{modality}_tune"))

    def rate(self, modality: str, *, pretrained: bool) -> float:
        """Return the factor on an encoder's learning rate."""
        given: float | None = getattr(self, f"{modality}_lr")
        return (0.1 if pretrained else 1.0) if given is None else given
