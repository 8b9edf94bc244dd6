"""Segment images: one class for each pixel."""

from hubtl.tasks.segmentation.task import Segmentation as Segmentation
