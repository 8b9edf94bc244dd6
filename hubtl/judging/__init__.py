"""Judging models: figures, label-free validators, calibration, and the verdict between source-only and adapted."""
