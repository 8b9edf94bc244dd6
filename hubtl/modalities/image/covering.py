"""An image whose places can be covered: windows of its own mean colour, and the map of what they cost."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

CELLS = 7  # along a side, of 4 pixels at least
ROWS = 32  # covered images at a time


class Covered:
    """Cover an image [1, c, h, w] with its own mean colour. It does so window by window.

    The image is cut into cells, 7 × 7 of them where it has the pixels. A window of 2 × 2 cells moves by one cell (Zeiler &
    Fergus, arXiv:1311.2901); windows half outside the image make each cell part of four. ``shown`` are the pixels to
    draw, uint8 [c, h, w].
    """

    name = "image"
    times = 4

    def __init__(self, image: Tensor, shown: np.ndarray | None = None) -> None:
        self.image, self.shown = image, shown
        height, width = image.shape[-2:]
        self.side = max(1, min(CELLS, height // 4, width // 4))
        self.y, self.x = (np.linspace(0, n, self.side + 1).round().astype(int) for n in (height, width))
        self.colour = image.mean(dim=(2, 3), keepdim=True)
        self.layout = {"kind": "grid", "rows": self.side, "columns": self.side, "axes": ["y", "x"]}
        self.windows = torch.zeros((self.side + 1) ** 2, self.side, self.side, dtype=torch.bool)
        for number in range(len(self.windows)):
            y, x = divmod(number, self.side + 1)
            self.windows[number, max(0, y - 1) : y + 1, max(0, x - 1) : x + 1] = True
        self.windows = self.windows.flatten(1)

    def without(self, gone: Tensor) -> Iterable[Mapping[str, Tensor]]:
        """Yield the image with some cells covered. They are True in ``gone`` [n, cells]."""
        grid = gone.reshape(-1, self.side, self.side)
        across, down = torch.from_numpy(np.diff(self.x)), torch.from_numpy(np.diff(self.y))
        for some in grid.split(ROWS):
            mask = some.repeat_interleave(down, dim=1).repeat_interleave(across, dim=2)[:, None]
            yield {"image": torch.where(mask, self.colour, self.image)}

    def draw(self, plain: Any, mapped: Any, relevance: np.ndarray, theme: Any) -> Any:
        """Draw the image, and the map over it in grey."""
        assert self.shown is not None
        picture = self.shown.transpose(1, 2, 0) / 255
        picture = picture[..., 0] if picture.shape[2] == 1 else picture[..., :3]
        grey = 0.4 + 0.6 * (picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114]))
        relevance = relevance.reshape(self.side, self.side)
        strongest = float(np.abs(relevance).max()) or 1.0
        extent = (0, picture.shape[1], picture.shape[0], 0)
        for axis, seen in ((plain, picture), (mapped, grey)):
            axis.imshow(seen, extent=extent, vmin=0, vmax=1, cmap="gray")
            axis.set_xticks([])
            axis.set_yticks([])
        plain.set_title("image, as the model sees it", fontsize=10, color=theme.ink)
        how = {"cmap": "RdBu_r", "vmin": -strongest, "vmax": strongest, "alpha": 0.55, "interpolation": "nearest"}
        return mapped.imshow(relevance, extent=extent, **how)
