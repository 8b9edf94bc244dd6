"""Normalise batches of tokens with padding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBatchNorm(nn.BatchNorm1d):
    """Apply BatchNorm to the real tokens of a batch: padding enters no statistics.

    It is a ``BatchNorm1d``, called with the real tokens [n, d] alone, so that code which looks for BatchNorm layers
    (AdaBN, test-time methods) finds it. With fewer than two tokens there is no variance: the running statistics are
    used, and stay.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise tokens [n, d]; n may be 0."""
        if self.training and x.shape[0] < 2:
            if self.num_batches_tracked is not None and self.track_running_stats:
                self.num_batches_tracked.add_(1)  # as every process does, whatever its rows lack
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)

    def masked(self, values: Tensor, mask: Tensor) -> Tensor:
        """Normalise tokens [b, t, d] under a mask [b, t]; padding comes out as zero."""
        if not self.training and (
            torch.compiler.is_compiling() or torch.jit.is_tracing()
        ):  # an exported graph's shapes are fixed
            every: Tensor = self(values.flatten(0, 1))
            return every.reshape(values.shape).masked_fill(~mask[..., None], 0.0)
        normal: Tensor = self(values[mask])
        empty = values.new_zeros(values.shape, dtype=normal.dtype)
        return empty.masked_scatter(mask[..., None], normal)
