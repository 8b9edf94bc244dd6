"""Batch normalisation of tokens, of which some are no more than padding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the real tokens of a batch: padding and absent rows enter no statistics.

    It is a ``BatchNorm1d``, called with the real tokens [n, d] alone, so that whatever looks for BatchNorm layers (AdaBN,
    test-time methods) finds it and sees what it needs. With fewer than two tokens there is no variance: the running
    statistics are used, and left as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, d]; n may be 0."""
        if self.training and x.shape[0] < 2:
            if self.num_batches_tracked is not None and self.track_running_stats:
                self.num_batches_tracked.add_(1)  # as every process does, whatever its rows lack
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)

    def masked(self, values: Tensor, mask: Tensor) -> Tensor:
        """Tokens [b, t, d] and which of them are real [b, t], to tokens; what is not real comes out as zero."""
        if not self.training and (
            torch.compiler.is_compiling() or torch.jit.is_tracing()
        ):  # an exported graph's shapes are fixed
            return self(values.flatten(0, 1)).reshape(values.shape).masked_fill(~mask[..., None], 0.0)
        normal: Tensor = self(values[mask])
        empty = values.new_zeros(values.shape, dtype=normal.dtype)
        return empty.masked_scatter(mask[..., None], normal)
