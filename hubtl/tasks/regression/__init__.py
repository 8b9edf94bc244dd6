"""Predict one number for each input, or several."""

from hubtl.tasks.regression.answer import Estimate
from hubtl.tasks.regression.figures import OutputScore, RegressionFigures, Residual
from hubtl.tasks.regression.task import Regression

__all__ = ["Estimate", "OutputScore", "Regression", "RegressionFigures", "Residual"]
