"""hubtl: transfer learning and domain adaptation for pretrained models, with honest numbers and a Hub round trip."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "AdaptedModel": "hubtl.models.model",
    "Backbone": "hubtl.backbones.base",
    "Batch": "hubtl.batch",
    "Features": "hubtl.batch",
    "HubtlError": "hubtl.errors",
    "Judging": "hubtl.strategy",
    "Loss": "hubtl.strategy",
    "Phase": "hubtl.strategy",
    "Progress": "hubtl.strategy",
    "Recipe": "hubtl.recipe.schema",
    "RunRecord": "hubtl.record",
    "Strategy": "hubtl.strategy",
    "StrategyOptions": "hubtl.strategy",
    "Task": "hubtl.tasks",
    "Tuner": "hubtl.tuners",
    "Validator": "hubtl.judging.validators",
    "adapt": "hubtl.python",
    "add_plugin": "hubtl.plugins.files",
    "compare": "hubtl.python",
    "inspect": "hubtl.studies.inspection",
    "load": "hubtl.models.saved",
    "pull": "hubtl.hub.pull",
    "push": "hubtl.hub.push",
    "rank": "hubtl.studies.rank",
    "tune": "hubtl.studies.tune",
}
__all__ = [
    *sorted(_HOMES),
    "__version__",
]

if TYPE_CHECKING:  # a type checker reads these alone, and says so where a name is misspelt
    from hubtl.backbones.base import Backbone as Backbone
    from hubtl.batch import Batch as Batch
    from hubtl.batch import Features as Features
    from hubtl.errors import HubtlError as HubtlError
    from hubtl.hub.pull import pull as pull
    from hubtl.hub.push import push as push
    from hubtl.judging.validators import Validator as Validator
    from hubtl.models.model import AdaptedModel as AdaptedModel
    from hubtl.models.saved import load as load
    from hubtl.plugins.files import add_plugin as add_plugin
    from hubtl.python import adapt as adapt
    from hubtl.python import compare as compare
    from hubtl.recipe.schema import Recipe as Recipe
    from hubtl.record import RunRecord as RunRecord
    from hubtl.strategy import Judging as Judging
    from hubtl.strategy import Loss as Loss
    from hubtl.strategy import Phase as Phase
    from hubtl.strategy import Progress as Progress
    from hubtl.strategy import Strategy as Strategy
    from hubtl.strategy import StrategyOptions as StrategyOptions
    from hubtl.studies.inspection import inspect as inspect
    from hubtl.studies.rank import rank as rank
    from hubtl.studies.tune import tune as tune
    from hubtl.tasks import Task as Task
    from hubtl.tuners import Tuner as Tuner


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a public name on first use. So ``import hubtl`` alone stays cheap."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'hubtl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
