"""Read folders of images and masks: VOCdevkit, Cityscapes, and paired folders; name the classes of their values."""

from pathlib import Path

from datasets import DatasetDict

from hubtl.data.cells import Wanted
from hubtl.tasks.segmentation.layouts import beside, cityscapes, paired, voc
from hubtl.tasks.segmentation.legend import Legend

LAYOUTS = (voc, cityscapes, paired)


def whole(path: Path, wanted: Wanted) -> DatasetDict | None:
    """Read a folder of images and masks; None for another one."""
    return next((found for layout in LAYOUTS if (found := layout.read(path, wanted)) is not None), None)


def legend_of(text: str) -> Legend | None:
    """Return the meaning of masks by files beside or their layout."""
    path = Path(text).expanduser()
    if not path.exists():
        return None
    found = beside.legend(path)
    return found or voc.legend(path) or cityscapes.legend(path)
