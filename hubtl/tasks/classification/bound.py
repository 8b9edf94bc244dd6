"""Bound the accuracy on rows without labels from below, by disagreement discrepancy.

Dis² (Rosenfeld and Garg, arXiv:2306.00312): a critic h′ agrees with the model ĥ on the source as far as it can and
contradicts it on the target. It stands for the worst possible labels of the target. δ is the drop of its agreement, on
the halves of both domains that it did not learn from. With probability 1 − α,

    accuracy_t(ĥ) ≥ accuracy_s(ĥ) − δ − sqrt((n_s + 4 n_t) ln(1/α) / (2 n_s n_t))

if the true labels are no worse than the worst critic that is found. The critic is linear on the logits of the model and
of source-only: on the model's own logits alone, a model that is confident of wrong classes can hardly be contradicted.
It minimises

    mean_s CE(h′(x), ĥ(x)) + mean_t log(1 + exp(z′_ĥ − mean_{c≠ĥ} z′_c))

from STARTS random weights at once; the largest δ counts. Deviations: full batches at ten times the paper's rate, at
most ROWS rows a domain. Written from the formulas.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hubtl.record.figures import Bound

METHOD = "Dis²"
ALPHA = 0.1  # how often the bound may be wrong by chance
STARTS = 30
STEPS = 100
RATE = 0.03
DECAY = 5e-4
ROWS = 2000  # of each domain
WORK = 300_000  # of rows times outputs, of both domains: more would take a minute


def bound(source: Tensor, labels: Tensor, target: Tensor, beside: tuple[Tensor, Tensor], beat: float) -> Bound | None:
    """Bound the accuracy on target rows from below.

    Args:
        source: logits [n, c] of labelled source rows.
        labels: classes [n] of these rows.
        target: logits [m, c] of target rows.
        beside: source-only's logits of the same rows.
        beat: the value to exceed.

    Returns:
        None where the bound cannot exceed ``beat`` for any critics, and where there are too many logits or too few
            rows.
    """
    source, labels, before = (_spread(part[labels >= 0]) for part in (source, labels, beside[0]))
    target, after = _spread(target), _spread(beside[1])
    n, m = len(source) - len(source) // 2, len(target) - len(target) // 2
    classes = source.shape[1]
    if min(n, m) < 2 or classes < 2 or (len(source) + len(target)) * classes > WORK:
        return None
    right = float((source.argmax(dim=1) == labels).float().mean())
    slack = math.sqrt((n + 4 * m) * math.log(1 / ALPHA) / (2 * n * m))
    if right - slack <= beat:
        return None
    fell = max(0.0, discrepancy((source, target), (before, after)))
    return Bound(value=max(0.0, right - fell - slack), beat=beat, level=1 - ALPHA, method=METHOD, rows=[n, m])


def discrepancy(model: tuple[Tensor, Tensor], beside: tuple[Tensor, Tensor]) -> float:
    """Return how much less the worst critic agrees on target rows. It is compared with source rows.

    It is measured on the held-out halves. Both arguments hold logits on source and on target rows. The unchanged
    source-only model, ``beside``, is one of the critics.
    """
    generator = torch.Generator().manual_seed(0)
    answers = [z.argmax(dim=1) for z in model]
    seen = [torch.cat(pair, dim=1) for pair in zip(model, beside, strict=True)]
    both = torch.cat(seen)
    inputs = [F.pad((z - both.mean(dim=0)) / (both.std(dim=0) + 1e-6), (0, 1), value=1.0) for z in seen]
    order = [torch.randperm(len(z), generator=generator) for z in inputs]
    learnt, held = [rows[: len(rows) // 2] for rows in order], [rows[len(rows) // 2 :] for rows in order]
    (xs, ys), (xt, yt) = ((x[rows], y[rows]) for x, y, rows in zip(inputs, answers, learnt, strict=True))
    size, classes = xs.shape[1], model[0].shape[1]
    with torch.enable_grad():
        weight = torch.randn(size, classes, STARTS, generator=generator) / math.sqrt(size)
        weight.requires_grad_()
        optimiser = torch.optim.AdamW([weight], lr=RATE, weight_decay=DECAY)
        for _ in range(STEPS):
            optimiser.zero_grad()
            _loss(weight, xs, ys, xt, yt).backward()
            optimiser.step()
    weight = weight.detach()
    agrees = [
        (_critics(weight, x[rows]).argmax(dim=1) == y[rows, None]).float().mean(dim=0)
        for x, y, rows in zip(inputs, answers, held, strict=True)
    ]
    alone = [(z.argmax(dim=1) == y)[rows].float().mean() for z, y, rows in zip(beside, answers, held, strict=True)]
    return max(float((agrees[0] - agrees[1]).max()), float(alone[0] - alone[1]))


def _loss(weight: Tensor, xs: Tensor, ys: Tensor, xt: Tensor, yt: Tensor) -> Tensor:
    """Return the critics' loss. It sums agreement on the source and contradiction on the target."""
    on_source, on_target = _critics(weight, xs), _critics(weight, xt)
    agree = on_source.logsumexp(dim=1) - _own(on_source, ys)
    own = _own(on_target, yt)
    rest = (on_target.sum(dim=1) - own) / (on_target.shape[1] - 1)
    return agree.mean(dim=0).sum() + F.softplus(own - rest).mean(dim=0).sum()


def _critics(weight: Tensor, x: Tensor) -> Tensor:
    """Return the logits [n, c, s] of critics [d, c, s]."""
    return (x @ weight.flatten(1)).view(len(x), *weight.shape[1:])


def _own(z: Tensor, answers: Tensor) -> Tensor:
    """Return each answer's logits [n, s]. Answers [n] pick among [n, c, s]."""
    return z[torch.arange(len(z)), answers]


def _spread(rows: Tensor) -> Tensor:
    """Return at most ROWS of the rows, spread over the set."""
    return rows if len(rows) <= ROWS else rows[torch.linspace(0, len(rows) - 1, ROWS).round().long()]
