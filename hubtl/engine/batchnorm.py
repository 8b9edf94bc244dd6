"""Detect BatchNorm on batches of a single row before training starts."""

from collections.abc import Mapping

from torch.nn.modules.batchnorm import _BatchNorm

from hubtl.data.rows import Rows
from hubtl.data.viewed import fetch
from hubtl.engine.faults import explain
from hubtl.engine.modes import freeze_all_but, learning_groups, set_modes
from hubtl.errors import HubtlError
from hubtl.strategy import Progress, Strategy


def check_single(strategy: Strategy, streams: Mapping[str, Rows]) -> None:
    """Try each phase on batches of one row.

    The strategy is changed by it and should be discarded. Other errors are left for the training to report.

    Args:
        strategy: a strategy to discard.
        streams: the rows of each stream.

    Raises:
        HubtlError: where a BatchNorm has a single value of each channel.
    """
    if not any(isinstance(module, _BatchNorm) for module in strategy.modules()):
        return
    tunable = {p for p in strategy.parameters() if p.requires_grad}
    for number, phase in enumerate(strategy.phases()):
        learning = {p for group in learning_groups(phase.learns, tunable).values() for p in group}
        freeze_all_but(strategy, learning)
        set_modes(strategy, learning)
        try:
            rows = {name: fetch(streams[name], [0], seed=0, views=views) for name, views in phase.views.items()}
            for _ in phase.step(**rows, at=Progress(number, 0, 0, 0.0)):
                pass
        except ValueError as error:
            if isinstance(known := explain(error), HubtlError):
                raise known from error
        except Exception:  # noqa: BLE001 - it may need what a sweep over the data prepares
            continue
