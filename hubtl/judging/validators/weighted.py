"""The source's risk, with each row weighing as much as the target has of its like."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, Validator, need


class DEV(Validator):
    """Deep embedded validation: minus the importance-weighted risk, with a control variate (You et al., ICML 2019).

    Weights are density ratios in the space of the features, from a logistic regression that tells the domains apart.
    Deviation: weights come from the rows that they weigh, with a strong ridge, in place of a held-out split.
    """

    needs = ("features",)
    reads = frozenset({"source_logits", "source_labels", "source_features", "target_features"})

    def score(self, evidence: Evidence) -> float:
        logits, labels = need(evidence, "source_logits"), evidence.source_labels
        if labels is None:
            raise HubtlError("dev needs a labelled source", hint="--validator infomax")
        source = need(evidence, "source_features").float().numpy()
        target = need(evidence, "target_features").float().numpy()
        task = evidence.task
        if task is None:
            raise HubtlError("dev needs to know what the outputs are for", hint="--validator last")
        known = task.present(labels)
        weights = density_ratio(source, target)[known]
        losses = task.losses(logits.float()[torch.from_numpy(known)], torch.from_numpy(labels[known]))
        return -weighted_risk(weights, losses.numpy())


def density_ratio(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``p_target / p_source`` at each source row [n], from a domain classifier on both, [n, d] and [m, d]."""
    domain = np.r_[np.zeros(len(source)), np.ones(len(target))]
    critic = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    odds: np.ndarray = critic.fit(np.r_[source, target], domain).decision_function(source)
    return np.exp(odds) * len(source) / len(target)


def weighted_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """``mean wl + η mean w − η`` with ``η = −cov(wl, w) / var(w)``: the weights' mean, known to be 1, takes variance away."""
    weighted = weights * losses
    spread = float(weights.var())
    eta = 0.0 if spread < 1e-12 else -float(((weighted - weighted.mean()) * (weights - weights.mean())).mean()) / spread
    return float(weighted.mean() + eta * (weights.mean() - 1))
