"""Image, text and audio together: fused models that hubtl adapts to another domain."""

__version__ = "0.1.0"
