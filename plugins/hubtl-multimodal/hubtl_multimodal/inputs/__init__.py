"""Cells of a table to arrays of fixed shapes, and on to the tensors that an encoder takes."""

from hubtl_multimodal.inputs.base import Reader

__all__ = ["Reader"]
