"""Predict one class for each input."""

from hubtl.tasks.classification.answer import Prediction
from hubtl.tasks.classification.figures import ClassificationFigures, ClassScore, ReliabilityBin
from hubtl.tasks.classification.task import Classification

__all__ = ["ClassScore", "Classification", "ClassificationFigures", "Prediction", "ReliabilityBin"]
