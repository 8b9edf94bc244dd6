"""Make a phase's optimiser with named groups, and schedule its rates."""

import math
from collections.abc import Iterable, Mapping

from torch import nn
from torch.optim import Optimizer

from hubtl._compat import ensure_torchvision
from hubtl.errors import HubtlError, unknown
from hubtl.recipe.schema import OptimSection


def group_lrs(groups: Iterable[str], optim: OptimSection, factors: Mapping[str, float]) -> dict[str, float]:
    """Return the base learning rate of each group.

    ``backbone`` and groups whose name begins with it learn at the backbone's own.

    Args:
        groups: names of the groups.
        optim: the section ``optim`` of the recipe.
        factors: the phase's factor of each group; missing: 1.
    """
    assert optim.lr is not None
    assert optim.backbone_lr_scale is not None
    own = {name: optim.backbone_lr_scale if name.split("/")[0] == "backbone" else 1.0 for name in groups}
    return {name: optim.lr * scale * factors.get(name, 1.0) for name, scale in own.items()}


def make_optimizer(
    groups: Mapping[str, list[nn.Parameter]],
    optim: OptimSection,
    factors: Mapping[str, float] | None = None,
    momenta: Mapping[str, float] | None = None,
    rates: Mapping[nn.Parameter, float] | None = None,
) -> Optimizer:
    """Make one optimiser with a parameter group for each name. It comes from timm's factory.

    Groups learn at the rates of ``group_lrs``. Biases and norms decay like everything else, as in the reference
    recipes.

    Args:
        groups: parameters of each group.
        optim: the section ``optim`` of the recipe.
        factors: the phase's factor of each group's rate.
        momenta: a group's own momentum in place of the run's, where the optimiser has momentum.
        rates: a parameter's own multiple of the run's rate, which replaces its group's.

    Raises:
        HubtlError: for a name that the factory does not have.
    """
    ensure_torchvision()
    from timm.optim import create_optimizer_v2, list_optimizers

    assert optim.lr is not None
    if optim.name not in list_optimizers():
        raise unknown("optimiser", optim.name, list_optimizers())
    lrs = group_lrs(groups, optim, factors or {})
    parameters = [
        {"params": same, "lr": lr, "name": name}
        for name, ps in groups.items()
        for lr, same in _by_rate(ps, lrs[name], optim.lr * (factors or {}).get(name, 1.0), rates or {}).items()
    ]
    if not parameters:
        raise HubtlError("nothing learns in this phase", hint="choose another --tuner")
    name = (
        "momentum" if optim.name == "sgd" and optim.momentum == 0 else optim.name
    )  # sgd is Nesterov's, which needs some
    try:
        optimizer: Optimizer = create_optimizer_v2(
            parameters, opt=name, lr=optim.lr, weight_decay=optim.weight_decay, momentum=optim.momentum
        )
    except (ImportError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise HubtlError(f"optimiser {optim.name} does not start: {error}", hint="--optimizer sgd") from error
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
        own = (momenta or {}).get(group["name"])
        if own is not None and "momentum" in group:
            group["momentum"] = own
            group["nesterov"] = own > 0 and group.get("nesterov", False)
    return optimizer


def _by_rate(
    parameters: list[nn.Parameter], lr: float, base: float, rates: Mapping[nn.Parameter, float]
) -> dict[float, list[nn.Parameter]]:
    """Split a group's parameters by their learning rate."""
    parts: dict[float, list[nn.Parameter]] = {}
    for p in parameters:
        parts.setdefault(base * rates[p] if p in rates else lr, []).append(p)
    return parts


def lr_factor(step: int, total: int, optim: OptimSection) -> float:
    """Return the factor on the learning rate at an update. It holds for 0 ≤ step < total.

    Args:
        step: updates done.
        total: updates of the phase.
        optim: the section ``optim`` of the recipe.
    """
    if step < optim.warmup_steps:
        return (step + 1) / (optim.warmup_steps + 1)
    done = step - optim.warmup_steps
    match optim.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done / max(1, total - optim.warmup_steps)))
        case "step":
            return math.pow(optim.step_factor, done // optim.step_every)
        case "inverse-decay":
            return math.pow(1 + optim.gamma * done, -optim.power)
        case _:
            return 1.0


def set_lr(optimizer: Optimizer, factor: float) -> None:
    """Scale every group's own base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
