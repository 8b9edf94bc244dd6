"""Nearest neighbours: each target row is labelled by the source rows around it."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hubtl.strategies.featurespace.frame import Propagation, PropagationOptions


class KNNOptions(PropagationOptions):
    neighbours: int = Field(5, ge=1, description="number of source rows that vote on each target row")
    metric: Literal["euclidean", "cosine"] = Field("cosine", description="distance between standardised features")


class KNN(Propagation):
    """Label target rows by nearest source rows, then fit a linear classifier.

    The share of a class in a target row is that of its ``neighbours`` nearest source rows which have it;
    ``L = CE(W z_t + b, shares) + λ/2 · ‖W‖²`` is solved to its optimum.

    The encoder is never trained, target labels are never read. Deviation from plain nearest neighbours: the linear
    classifier, which needs no source row to predict with, and can be saved as a plain model.
    """

    Options = KNNOptions

    def propagate(self, source: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        from sklearn.neighbors import KNeighborsClassifier

        k = min(self.options.neighbours, len(source))
        voters = KNeighborsClassifier(n_neighbors=k, metric=self.options.metric, algorithm="brute")
        voters.fit(source.float().numpy(), labels.numpy())
        votes = torch.from_numpy(voters.predict_proba(target.float().numpy()))
        found = votes.new_zeros(len(target), self.classifier.out_features)
        found[:, torch.from_numpy(voters.classes_)] = votes
        return target, found
