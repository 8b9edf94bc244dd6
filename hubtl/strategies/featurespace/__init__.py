"""Implement methods on frozen features: linear algebra and one linear classifier, in seconds."""
