"""Score the structure of the target's predictions and features; none reads a label."""

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from hubtl.judging.validators import Evidence, Validator, need

TEMPERATURE = 0.05


class SND(Validator):
    """Measure soft neighbourhood density: the entropy of similarities between predictions.

    Source: arXiv:2108.10860. It is high where predictions lie in large, tight groups. A collapsed model scores best:
    read it beside infomax.
    """

    reads = frozenset({"target_logits"})

    def score(self, evidence: Evidence) -> float:
        p = torch.nn.functional.normalize(need(evidence, "target_logits").float().softmax(dim=1), dim=1)
        similarity = (p @ p.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        log_q = similarity.log_softmax(dim=1)
        return float(torch.special.entr(log_q.exp()).sum(dim=1).mean())


class BNM(Validator):
    """Measure the nuclear norm of the target's softmax outputs over ``√(m · min(m, c))``.

    Confident and diverse predictions score 1.
    """

    reads = frozenset({"target_logits"})

    def score(self, evidence: Evidence) -> float:
        p = need(evidence, "target_logits").float().softmax(dim=1)
        return float(torch.linalg.svdvals(p).sum() / (p.shape[0] * min(p.shape)) ** 0.5)


class ClassClusterAMI(Validator):
    """Measure the adjusted mutual information of predictions and k-means clusters.

    Clusters are of the features, one a predicted class (arXiv:2208.07360). It is 0 for a model that predicts one class
    alone.
    """

    reads = frozenset({"target_logits", "target_features"})

    def score(self, evidence: Evidence) -> float:
        predicted = need(evidence, "target_logits").argmax(dim=1).numpy()
        k = len(set(predicted.tolist()))
        if k < 2:
            return 0.0
        features = torch.nn.functional.normalize(need(evidence, "target_features").float(), dim=1)
        clusters = KMeans(n_clusters=k, n_init=3, random_state=0).fit_predict(features.numpy())
        return float(adjusted_mutual_info_score(predicted, clusters))
