"""Fit a linear classifier to its optimum. Labels are classes or class shares."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

ITERATIONS = 300
LossOf = Callable[[Tensor, Tensor], Tensor]  # of logits [n, c] and labels [n] or shares [n, c]


def regress(rows: Tensor, labels: Tensor, classes: int, loss: LossOf, penalty: float) -> tuple[nn.Linear, float]:
    """Fit the linear layer that minimises ``loss + penalty/2 · ‖W‖²``; return the loss, too.

    With cross-entropy this is multinomial logistic regression: from three classes on, scikit-learn's with ``C = 1 /
    (penalty · n)``, which accepts neither class shares nor a class without rows. L-BFGS starts at zero on the CPU: no
    random number, equal on every process.

    Args:
        rows: features [n, k].
        labels: classes [n], or class shares [n, c].
        classes: the number of outputs.
        loss: the loss of outputs and labels.
        penalty: weight of the squared norm.

    Returns:
        The layer and the loss that it reaches.
    """
    rows, labels = rows.float(), labels if labels.dtype == torch.long else labels.float()
    linear = nn.Linear(rows.shape[1], classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    solver = torch.optim.LBFGS(
        linear.parameters(), max_iter=ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        total = loss(linear(rows), labels) + penalty / 2 * linear.weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        solver.step(objective)
    with torch.no_grad():
        return linear, float(loss(linear(rows), labels))
