"""FDA: source images in the target's style, by their Fourier amplitudes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch, Inputs
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.modules import Encoder
from hubtl.plugins.modalities import USUAL
from hubtl.strategy import Additive, Judging, Pair, Phase, Progress, StrategyOptions
from hubtl.tasks import Task

EDGE = 1e-3  # ε² of the Charbonnier penalty is its square


class FDAOptions(StrategyOptions):
    beta: float = Field(
        0.01, ge=0, le=0.5, description="half side of the swapped low frequencies, as a share of an image's side"
    )
    weight: float = Field(0.005, ge=0, description="weight of the robust entropy of the target predictions")


class FDA(Additive):
    """Train on source images that have the low-frequency amplitudes of target images.

    The amplitudes of a source image's Fourier transform in a square of ``2 β · side`` around the lowest frequency are
    those of a target image; its phases stay. ``L = task(h(f(x_{s→t})), y_s) + weight · mean (H² + ε²)²``, the
    Charbonnier penalty with η = 2 of the target's entropies. Pixels are transformed as they were before normalisation.

    All views of the source change, so that ``fda+entropy`` and ``fda+self-training`` train on them, too. The paper's β is
    0.01, 0.05 and 0.09; with ``β · side < 1`` the mean colour alone is swapped. The domains go through separate
    forwards. Deviation: neither averaged models nor their pseudo labels.
    """

    Options = FDAOptions
    paper = "arXiv:2004.05498"
    judging = Judging(improves=("infomax", "bnm", "entropy"))
    defaults = {"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}
    joint = False

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        info = getattr(encoder.backbone, "info", None)
        self.modalities = tuple(getattr(info, "modalities", (USUAL,)))
        spec = getattr(info, "input", None)
        self.mean, self.std = tuple(getattr(spec, "mean", (0.0,))), tuple(getattr(spec, "std", (1.0,)))

    def phases(self) -> Sequence[Phase]:
        if USUAL not in self.modalities:
            raise HubtlError(
                f"fda changes the pixels of images, and this model takes {', '.join(self.modalities)}",
                hint="--strategy mcc, or another one",
            )
        return super().phases()

    def prepared(self, source: Batch, target: Batch, *, at: Progress) -> tuple[Batch, Batch]:
        donors = target.weak().inputs[USUAL]
        donors = donors[torch.arange(len(source), device=donors.device) % len(donors)]

        def styled(inputs: Inputs) -> Inputs:
            return {**inputs, USUAL: self.styled(inputs[USUAL], donors)}

        views = {name: styled(view) for name, view in source.views.items()}
        return replace(source, inputs=styled(source.inputs), views=views), target

    def styled(self, images: Tensor, donors: Tensor) -> Tensor:
        """Return images with the low-frequency amplitudes of others.

        Args:
            images: normalised images [b, c, h, w].
            donors: normalised images of the same shape.
        """
        shape = (1, -1, *[1] * (images.ndim - 2))
        mean, std = (images.new_tensor(values).reshape(shape) for values in (self.mean, self.std))
        return (swapped(images * std + mean, donors * std + mean, self.options.beta) - mean) / std

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        unsure = entropy(pair.yt)
        robust = (unsure.square() + EDGE**2).square().mean()
        return self.options.weight * robust, {"robust_entropy": robust}


@torch.no_grad()
def swapped(images: Tensor, donors: Tensor, beta: float) -> Tensor:
    """Return images whose low-frequency amplitudes are those of others.

    Args:
        images: images [b, c, h, w], or rows [b, d].
        donors: images or rows of the same shape.
        beta: half side of the square of low frequencies, as a share of the smaller side.
    """
    axes = tuple(range(min(2, images.ndim - 1), images.ndim))
    with torch.autocast(images.device.type, enabled=False):
        own, other = torch.fft.fftn(images.float(), dim=axes), torch.fft.fftn(donors.float(), dim=axes)
        reach = int(beta * min(images.shape[axis] for axis in axes))
        low = torch.ones((), dtype=torch.bool, device=images.device)
        for axis in axes:
            size = images.shape[axis]
            near = torch.fft.fftfreq(size, 1 / size, device=images.device).abs() <= reach + 0.5
            low = low & near.reshape([-1 if a == axis else 1 for a in range(images.ndim)])
        amplitude = torch.where(low, other.abs(), own.abs())
        found: Tensor = torch.fft.ifftn(torch.polar(amplitude, own.angle()), dim=axes).real
        return found.to(images.dtype)
