"""A model trained for two updates, made once, with copies to damage."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from tests.hostile.kit import tree


@functools.cache
def model() -> Path:
    """A run directory whose classes are cat and dog. Read it only."""
    import hubtl

    root = Path(tempfile.mkdtemp(prefix="hubtl-hostile-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    data = tree(root / "data", {"cat": 4, "dog": 4})
    hubtl.adapt(
        model="lenet",
        pretrained=False,
        image_size=32,
        target_dataset=str(data),
        strategy="finetune",
        steps=2,
        batch_size=4,
        output_dir=str(root / "run"),
    )
    return root / "run"


def copy(root: Path) -> Path:
    """A copy of that model, to be damaged."""
    return Path(shutil.copytree(model(), root / "run"))
