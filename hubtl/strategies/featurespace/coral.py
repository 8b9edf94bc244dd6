"""CORAL: source features with the target's covariance."""

from pydantic import Field
from torch import Tensor

from hubtl.strategies.featurespace.frame import FeatureSpace, FeatureSpaceOptions, Fit
from hubtl.strategies.featurespace.maps import recolouring


class CoralOptions(FeatureSpaceOptions):
    ridge: float = Field(1.0, ge=0, description="added to the variances before whitening and colouring")


class CoralTransform(FeatureSpace):
    """Recolour source features with the target's covariance, and classify them linearly.

    The backbone is frozen. ``A = (C_s + ridge·I)^(−1/2) (C_t + ridge·I)^(1/2)`` and ``L = task(W Aᵀ z_s + b, y_s) + λ/2
    · ‖W‖²``, solved to its optimum. ``z`` are features standardised by domain, as in the paper, so that only second
    moments are left to align; target rows are classified as they are.

    The encoder is never trained, target labels are never read; ``coral`` is the method that trains it. The deployed
    model is made for the target: on the source, which lacks the transform, it is less accurate. Deviation: logistic
    regression in place of a linear SVM.
    """

    Options = CoralOptions
    paper = "arXiv:1511.05547"

    def fit(self, source: Tensor, labels: Tensor, target: Tensor) -> Fit:
        return Fit(source @ recolouring(source, target, self.options.ridge), labels)
