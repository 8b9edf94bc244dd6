"""Keep hubtl, timm and transformers importable beside a broken torchvision. It may lack its compiled operators.

The torchvision wheel on the package index is a CUDA build. Beside a CPU build of torch its operators stay unregistered,
and ``import torchvision`` (hence timm, transformers, peft) fails with "operator torchvision::nms does not exist".
Declaring the two operators that torchvision describes at import time is enough: hubtl needs neither of them.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

_library: Any = None  # torch drops the declarations when this object is collected


def ensure_torchvision() -> None:
    """Make ``import torchvision`` work.

    Call it before the first import of timm, transformers, peft or torchvision. With a healthy installation the real
    operators are loaded, and nothing else happens.
    """
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    import torch

    try:
        torch.ops.load_library(str(next(Path(spec.origin).parent.glob("_C*.so"))))
    except (OSError, StopIteration):
        if hasattr(torch.ops.torchvision, "nms"):
            return
        _library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
