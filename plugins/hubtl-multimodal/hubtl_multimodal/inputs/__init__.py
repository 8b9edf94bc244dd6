"""Read cells of a table as arrays of fixed shapes, and as tensors of an encoder."""

from hubtl_multimodal.inputs.base import Reader

__all__ = ["Reader"]
