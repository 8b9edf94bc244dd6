"""Load a saved model. It is in a run directory, a folder, or the Hub."""

from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.models.ensemble import EnsembleModel
from hubtl.models.model import AdaptedModel
from hubtl.models.model import save as save
from hubtl.models.trained import members_in, opened
from hubtl.modules import Classifier, Encoder
from hubtl.plugins.blame import minded


@minded()
def load(name: str | Path, *, revision: str | None = None, device: str | None = None) -> AdaptedModel:
    """Load a model: a run directory, another folder of timm's or transformers' format, or a Hub id.

    The folder ``ensemble`` of a run that kept its members is loaded as their average. Outputs without names are called
    as in transformers: ``LABEL_0``.

    Args:
        name: the folder or Hub id.
        revision: the revision on the Hub.
        device: by default the GPU if there is one.

    Raises:
        HubtlError: for a folder without a model, a newer format, and an unavailable repository.
    """
    folder = folder_of(name, revision=revision)
    if parts := members_in(folder):
        return EnsembleModel([(load(part, device=device), count) for part, count in parts], folder)
    trained = opened(folder)
    classifier = Classifier(Encoder(trained.backbone), trained.head)
    return AdaptedModel(classifier, trained.backbone.info, trained.for_task(), device, folder)


def folder_of(name: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a model; one on the Hub is pulled into the cache.

    Args:
        name: the folder or Hub id.
        revision: the revision on the Hub.

    Raises:
        HubtlError: as ``load`` does.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if str(name).startswith((".", "/", "~")) or "/" not in str(name):
        raise HubtlError(f"there is no folder {name}, and it is no Hub id", hint="RUN_DIR, or user/repo")
    from hubtl.hub import pull

    return pull(f"{name}@{revision}" if revision else str(name))
