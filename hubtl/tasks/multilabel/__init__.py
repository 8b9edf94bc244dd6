"""Predict any number of classes for each input."""

from hubtl.tasks.multilabel.answer import LabelledAs
from hubtl.tasks.multilabel.figures import LabelScore, MultiLabelFigures
from hubtl.tasks.multilabel.task import MultiLabel

__all__ = ["LabelScore", "LabelledAs", "MultiLabel", "MultiLabelFigures"]
