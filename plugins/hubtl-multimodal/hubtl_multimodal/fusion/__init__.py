"""Fuse tokens of several modalities to the features of one linear head."""

from hubtl_multimodal.fusion.network import KINDS, Fused, Fusion
from hubtl_multimodal.fusion.norm import MaskedBatchNorm

__all__ = ["KINDS", "Fused", "Fusion", "MaskedBatchNorm"]
