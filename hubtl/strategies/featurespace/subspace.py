"""Align the source's principal subspace with the target's."""

from pydantic import Field
from torch import Tensor

from hubtl.strategies.featurespace.frame import FeatureSpace, FeatureSpaceOptions, Fit
from hubtl.strategies.featurespace.maps import principal


class SubspaceOptions(FeatureSpaceOptions):
    dimension: int = Field(80, ge=1, description="dimension of both subspaces")


class SubspaceAlignment(FeatureSpace):
    """Align the source's principal subspace with the target's, and classify linearly.

    ``M = P_sᵀ P_t``, where the columns of ``P`` [d, k] are the first principal directions of a domain's standardised
    features ``z``. ``L = task(W Mᵀ P_sᵀ z_s + b, y_s) + λ/2 · ‖W‖²``, solved to its optimum; target rows are
    classified by ``W P_tᵀ z_t + b``.

    The encoder is never trained, target labels are never read. ``dimension`` is that of the authors' code, and no more
    than both domains' rows and one less than the features allow: with all directions ``M`` is a rotation and nothing is
    aligned. Deviations: logistic regression in place of a linear SVM; the paper chooses the dimension by
    cross-validation on the source.
    """

    Options = SubspaceOptions
    paper = "arXiv:1409.5241"

    def fit(self, source: Tensor, labels: Tensor, target: Tensor) -> Fit:
        most = min(len(source) - 1, len(target) - 1, source.shape[1] - 1)
        k = max(1, min(self.options.dimension, most))
        of_source, of_target = principal(source, k), principal(target, k)
        return Fit(source @ of_source @ (of_source.T @ of_target), labels, basis=of_target)
