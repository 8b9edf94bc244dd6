"""Define the backbone: a pretrained network without its last linear layer, and its export."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from hubtl.batch import Features, Inputs
from hubtl.errors import HubtlError
from hubtl.plugins.modalities import USUAL

LARGEST = 8192  # pixels
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "box", "hamming")  # that Pillow resizes by

Range = tuple[float, float]


@dataclass(frozen=True)
class ImageInput:
    """Describe the model's image input."""

    size: int = 224  # pixels, square
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"  # of INTERPOLATIONS
    crop_pct: float = 1.0  # evaluation: resize to size / crop_pct, then centre crop
    # squash ignores the aspect ratio; floor is transformers' centre, which halves an odd number of pixels downwards
    crop_mode: Literal["center", "floor", "squash"] = "center"

    def __post_init__(self) -> None:
        if problem := _odd(self):
            raise HubtlError(
                f"how the model wants its images makes no sense: {problem}", hint="another model, or mend it"
            )

    def as_dict(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _odd(spec: ImageInput) -> str | None:
    """Describe what is invalid in an image input, or return None."""
    if not _whole(spec.size) or not 1 <= spec.size <= LARGEST:
        return f"size is {spec.size!r}, not 1 to {LARGEST} pixels"
    if not _whole(spec.channels) or spec.channels < 1:
        return f"channels is {spec.channels!r}"
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if not isinstance(values, tuple) or len(values) not in (1, spec.channels):
            return f"{name} is {values!r}, for {spec.channels} channels"
        if not all(_number(v) and (name == "mean" or v > 0) for v in values):
            return f"{name} is {values!r}"
    if spec.interpolation not in INTERPOLATIONS:
        return f"interpolation is {spec.interpolation!r}, none of {', '.join(INTERPOLATIONS)}"
    if not _number(spec.crop_pct) or not 1 / 16 <= spec.crop_pct <= 16:
        return f"crop_pct is {spec.crop_pct!r}"
    if spec.crop_mode not in ("center", "floor", "squash"):
        return f"crop_mode is {spec.crop_mode!r}, none of center, floor, squash"
    return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class PixelRanges:
    """Hold black and white of images of floats or wide integers. Wide is more than eight bits; None: none seen yet."""

    integers: Range | None = None
    floats: Range | None = None

    def of(self, kind: str) -> Range | None:
        found: Range | None = getattr(self, kind)
        return found

    def over(self, other: "PixelRanges") -> "PixelRanges":
        """Return these ranges, with the other's where there are none."""
        return PixelRanges(self.integers or other.integers, self.floats or other.floats)

    def as_dict(self) -> dict[str, list[float]]:
        return {kind: list(found) for kind in ("integers", "floats") if (found := self.of(kind))}

    @classmethod
    def read(cls, values: Any) -> "PixelRanges":
        """Parse the result of ``as_dict``; invalid ranges are dropped."""
        found: dict[str, Range] = {}
        for kind, pair in values.items() if isinstance(values, Mapping) else ():
            if kind in ("integers", "floats") and isinstance(pair, list) and len(pair) == 2:
                low, high = (float(v) if isinstance(v, int | float) else math.nan for v in pair)
                if math.isfinite(low) and math.isfinite(high) and low < high:
                    found[kind] = (low, high)
        return cls(**found)

    def __bool__(self) -> bool:
        return self.integers is not None or self.floats is not None

    def __str__(self) -> str:
        return ", ".join(f"{kind} from {low:g} to {high:g}" for kind, (low, high) in self.as_dict().items())


@dataclass(frozen=True)
class BackboneRequest:
    """Hold the request for a loader."""

    names: Sequence[str]  # of the outputs, in their order
    pretrained: bool = True
    image_size: int | None = None  # None: the model's own
    options: Mapping[str, Any] = field(default_factory=dict)  # of the loader's own
    dense: bool = False  # each place of an image is answered for: the loader of dense models makes it of maps
    keep_classifier: bool = False  # build with the pretrained model's own outputs where it has any: Backbone.kept


@dataclass(frozen=True)
class BackboneInfo:
    """Hold the facts on a backbone."""

    name: str  # as the user gave it
    library: Literal["timm", "transformers", "torchvision", "hubtl"]
    architecture: str
    width: int  # of Features.pooled
    input: Any  # ImageInput; of several modalities, whatever says by ``as_dict()`` how the model wants its rows
    pretrained: bool
    base_model: str | None = None  # Hub id
    revision: str | None = None
    weights: str | None = None  # tag
    license: str | None = None
    lineage: tuple[dict[str, Any], ...] = ()  # of a model that hubtl made: the runs that made it, as hubtl.record.Step
    modalities: tuple[str, ...] = (USUAL,)
    parts: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # modality -> facts, where there are encoders of several
    notes: tuple[str, ...] = field(default=())


class Backbone(nn.Module):
    """Map inputs to features.

    Attributes:
        info: the facts on it.
        blocks: its parts from input to output, for freezing the first n: pairs (name, module or parameters).
        lora_targets: names of the linear layers that LoRA adapts by default.
        loader: the loader that opens what this backbone saves, as ``hubtl.json`` names it; None: its library's format is
            enough. It is set where a backbone is loaded.
        kept: weight [z, d] and bias [z] of the classifier that the pretrained weights came with, where the request
            asked for it and there is one. No part of the module's state.
        drawn: names of the parameters that the pretrained weights lack, and that are random instead.
        ranges: black and white of images of more than eight bits, as in the rows that it was trained on.
        readers: makes arrays of cells, by modality (``hubtl.modalities.reader.Reader``): by them the rows of a model of one
            modality that is no image are read.
        lengths_open: modalities whose readers have lengths that neither options nor the model's files decide: a run then
            measures its rows and sets the options that the readers name.
        windowed: whether an option ``windows`` reads long rows in several windows.
        rows: makes a set of rows from ``(dataset, columns, *, labels, name, augment, views, domains, on_bad_sample)``, with
            the interface of ``hubtl.data.rows.Rows``, where the backbone takes more than images; None: images.
            Where there are images of more than eight bits, it is told their ``ranges`` too.
        explain: explains a prediction for one row, ``explain(classifier, names, row, **options)``, where it can be.
        classifier_name: the qualified name, in its library's network, of the linear layer that was taken out of it; None where
            its format keeps the classifier apart.
        collate: makes ``inputs`` of a list of rows (modality -> what ``rows`` finds in a cell), for predictions.
        graph_lengths: axes of ``graph_inputs`` whose length may differ from batch to batch, with a name for each.
        graph_mixes: whether rows of different lengths can be in one batch of ``graph_inputs``.
    """

    info: BackboneInfo
    classifier_name: str | None = None
    loader: Mapping[str, str] | None = None
    kept: tuple[Tensor, Tensor] | None = None
    drawn: frozenset[str] = frozenset()
    ranges: PixelRanges = PixelRanges()
    readers: Mapping[str, Any] = MappingProxyType({})
    lengths_open: tuple[str, ...] = ()
    windowed: ClassVar[bool] = False
    rows: Callable[..., Any] | None = None
    explain: Callable[..., Any] | None = None
    collate: Callable[[Sequence[Mapping[str, Any]]], Inputs] | None = None
    graph_lengths: Mapping[str, Mapping[int, str]] = MappingProxyType({})
    graph_mixes: bool = True
    native: ClassVar[bool] = True  # False: the export loads with hubtl only
    not_native_because: ClassVar[str | None] = None  # None: no other library has the architecture

    @abstractmethod
    def forward(self, inputs: Inputs, present: Mapping[str, Tensor] | None = None) -> Features: ...

    def graph_inputs(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return a batch as an exported graph takes it.

        Names are those of its library. ``forward`` takes it too, and gives the same features.
        """
        return dict(inputs)

    @abstractmethod
    def blocks(self) -> list[tuple[str, list[nn.Parameter]]]:
        """Return the parameters in named blocks from the input to the output."""

    @abstractmethod
    def lora_targets(self) -> list[str]:
        """Return qualified names of the linear layers that LoRA adapts by default. They are relative to this module."""

    def frozen(self) -> list[nn.Parameter]:
        """Return the parameters that the model's options keep frozen for any tuner."""
        return []

    def new_layers(self) -> list[nn.Parameter]:
        """Return the parameters of new layers, which learn with any tuner.

        Frozen they would stay random.
        """
        return []

    def rates(self) -> dict[nn.Parameter, float]:
        """Return each parameter's own factor on the run's learning rate; others have ``backbone_lr_scale``."""
        return {}

    def head_blocks(self) -> dict[str, slice]:
        """Return the parts of ``pooled`` with separate heads within the linear layer; empty: one head."""
        return {}

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return maps [b, c_i, h_i, w_i] of images, the finest one first.

        Dense models are built on them.

        Args:
            images: images [b, c, h, w].

        Raises:
            HubtlError: for a backbone that gives none.
        """
        raise HubtlError(
            f"{self.info.name} gives no maps, and segmentation needs one answer for each place",
            hint="a model of timm: hubtl list models",
        )

    def described(self) -> dict[str, Any]:
        """Return what rebuilds the network without its weights.

        It is for the configuration of a dense model.

        Raises:
            HubtlError: for a backbone that gives no maps.
        """
        raise HubtlError(f"{self.info.name} cannot be the encoder of a dense model", hint="a model of timm")

    def merge(self) -> None:
        """Merge in place what loading added, such as adapters, before saving. The outputs stay equal."""

    @abstractmethod
    def save(self, folder: Path, classifier: nn.Linear, names: Sequence[str], meta: Mapping[str, Any]) -> None:
        """Write the model with its classifier in its library's own format. Weights are float32 safetensors.

        The live module stays unchanged.

        Args:
            folder: the folder.
            classifier: the linear head.
            names: names of its outputs.
            meta: kept in the configuration under ``hubtl``.
        """

    def adapter_snippet(self, where: str, names: Sequence[str]) -> str | None:
        """Return Python code that loads the pretrained weights and a PEFT adapter; it sets ``logits``.

        None where the initial weights cannot be loaded again: random or changed ones.

        Args:
            where: a Hub id or a folder.
            names: names of the outputs.
        """
        return None

    def save_preparation(self, folder: Path) -> None:
        """Write the library's file on preparing images, where it is separate."""

    @abstractmethod
    def snippet(self, where: str) -> str:
        """Return Python code that loads the saved model without hubtl, and predicts.

        The code uses hubtl where ``native`` is False. It sets ``logits`` for a PIL image in ``image``, and ``names`` of
        the outputs by number. ``where`` is a Hub id or a folder.
        """
