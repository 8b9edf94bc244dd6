"""Adapt fused models of image, text and audio to another domain."""

__version__ = "0.2.0"
