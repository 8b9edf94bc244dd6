"""Turn pretrained models of one modality into encoders: inputs to tokens."""

from hubtl_multimodal.encoders.base import EncoderInfo, ModalityEncoder, Tokens
from hubtl_multimodal.encoders.opening import MODALITIES, create, rebuild

__all__ = ["MODALITIES", "EncoderInfo", "ModalityEncoder", "Tokens", "create", "rebuild"]
