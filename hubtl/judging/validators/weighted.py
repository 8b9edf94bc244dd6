"""Score the source's risk, with rows weighted by target density. Each row has its own weight."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, Validator, need


class DEV(Validator):
    """Measure minus the importance-weighted source risk, with a control variate.

    Deep embedded validation (You et al., ICML 2019). Weights are density ratios in the space of the features, from a
    logistic regression that discriminates the domains. Deviation: weights come from the rows that they weigh, with a
    strong ridge, in place of a held-out split.
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
    """Return ``p_target / p_source`` [n] at each source row, from a domain classifier.

    Args:
        source: features [n, d].
        target: features [m, d].
    """
    domain = np.r_[np.zeros(len(source)), np.ones(len(target))]
    critic = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    odds: np.ndarray = critic.fit(np.r_[source, target], domain).decision_function(source)
    weights: np.ndarray = np.exp(odds) * len(source) / len(target)
    return weights


def weighted_risk(weights: np.ndarray, losses: np.ndarray) -> float:
    """Return ``mean wl + η mean w − η`` with ``η = −cov(wl, w) / var(w)``.

    The mean of the weights is known to be 1, which reduces the variance.

    Args:
        weights: weights [n].
        losses: losses [n].
    """
    weighted = weights * losses
    spread = float(weights.var())
    eta = 0.0 if spread < 1e-12 else -float(((weighted - weighted.mean()) * (weights - weights.mean())).mean()) / spread
    return float(weighted.mean() + eta * (weights.mean() - 1))
