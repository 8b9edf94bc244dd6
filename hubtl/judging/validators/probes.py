"""Score models by probes: predictions on mixed inputs, and pseudo labels that lead back."""

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, Validator, need

MIX = 0.55  # of the image whose label a mixture should get; 0.45 of its partner


class MixVal(Validator):
    """Measure accuracy on mixtures of two target images. It is MixVal (Hu et al., NeurIPS 2023).

    The label of a mixture is the prediction for its larger part. The score is the mean over pairs with equal
    predictions and over pairs with different ones, so that neither dense clusters nor wide margins suffice. A kind of
    pair that does not occur counts 0: a model that predicts one class has no margins. Deviation: the two are averaged,
    not ranked separately, and each image has one partner.
    """

    reads = frozenset({"target_logits", "target_mixed_logits"})

    def score(self, evidence: Evidence) -> float:
        predicted = need(evidence, "target_logits").argmax(dim=1).numpy()
        mixed = need(evidence, "target_mixed_logits").argmax(dim=1).numpy()
        alike = predicted == predicted[partners(len(predicted))]
        right = mixed == predicted
        return float(np.mean([right[kind].mean() if kind.any() else 0.0 for kind in (alike, ~alike)]))


class Reverse(Validator):
    """Measure a classifier trained on target predictions, on the source's labels.

    Reverse validation (Zhong et al., ECML 2010): the classifier is linear on the model's features. Deviation: it is
    refitted on the model's own features; the encoder is not trained a second time.
    """

    reads = frozenset({"source_labels", "source_features", "target_logits", "target_features"})

    def score(self, evidence: Evidence) -> float:
        labels = evidence.source_labels
        if labels is None:
            raise HubtlError("reverse needs a labelled source", hint="--validator infomax")
        predicted = need(evidence, "target_logits").argmax(dim=1).numpy()
        known = labels >= 0
        if len(set(predicted.tolist())) < 2:
            return float((labels[known] == predicted[0]).mean())
        back = make_pipeline(StandardScaler(), RidgeClassifier())  # a closed form: nothing to converge
        back.fit(need(evidence, "target_features").float().numpy(), predicted)
        answered = back.predict(need(evidence, "source_features").float().numpy())
        return float((answered == labels)[known].mean())


def partners(rows: int) -> np.ndarray:
    """Return the partner of each of ``rows``: a cycle through a fixed shuffle.

    No row is its own partner.
    """
    order = np.random.default_rng(0).permutation(rows)
    partner = np.empty(rows, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def mixture(of: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """Return ``MIX · of + (1 − MIX) · partner``, of equal shapes.

    Tokens and masks do not mix: they stay those of the larger part.
    """
    return torch.lerp(partner, of, MIX) if of.is_floating_point() else of
