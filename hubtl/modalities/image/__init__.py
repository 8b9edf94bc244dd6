"""Images: files that Pillow opens, read as the model's own configuration says."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubtl.modalities.base import Cover, Examined, Intake, Modality
from hubtl.modalities.image.names import NAMES

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from hubtl.backbones.base import Backbone, PixelRanges
    from hubtl.data.rows import Opened


class Image(Modality):
    """Read pictures of one channel or three, of eight bits or more."""

    name = "image"
    rank = 10
    noun, plural, called, says = "image", "images", "image files", "image shows"
    example = "image.jpg"
    folders = frozenset({"images", "image", "imgs", "img", "pictures", "pics", "photos", "jpegimages", "frames"})
    auto = ("AutoModelForImageClassification", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES")
    crops = True
    covers = True

    @property
    def alone(self) -> str:
        return "IMAGE"

    @property
    def suffixes(self) -> frozenset[str]:
        from hubtl.modalities.image.files import IMAGES

        return IMAGES

    def column(self, dataset: Any, asked: str | None, where: str) -> str:
        from hubtl.modalities.image.columns import column

        return column(dataset, asked, where)

    def is_called(self, column: str) -> bool:
        return column.lower() in NAMES or "image" in column.lower()

    def feature(self) -> Any:
        from datasets import Image as Feature

        return Feature()

    def is_cell(self, value: Any) -> bool:
        from hubtl.modalities.image.predicting import is_cell

        return is_cell(value)

    def ranges(self, dataset: Any, column: str, known: "PixelRanges", where: str) -> "PixelRanges":
        from hubtl.data.content import undecoded
        from hubtl.modalities.image.ranges import ranges_of

        return ranges_of(undecoded(dataset.select_columns([column])), column, known, where)

    def rows(
        self, backbone: "Backbone", dataset: Any, column: str, *, labels: "np.ndarray | None", name: str, **how: Any
    ) -> "Opened":
        from hubtl.modalities.image.rows import ImageSet
        from hubtl.modalities.image.transforms import RandomViews

        if (data := how.pop("data", None)) is not None:
            how["random"] = RandomViews.of(data)
        if (side := getattr(backbone, "side", None)) is not None:
            from hubtl.modalities.image.dense import DenseSet, views_of

            if data is not None:
                how["random"] = views_of(how["random"], given=data.crop_area is not None)
            return DenseSet(dataset, column, labels=labels, spec=backbone.info.input, name=name, side=side, **how)
        return ImageSet(dataset, column, labels=labels, spec=backbone.info.input, name=name, **how)

    def intake(self, backbone: "Backbone") -> Intake:
        from hubtl.modalities.image.predicting import Images

        return Images(backbone)

    def trial(self, spec: Any) -> "Mapping[str, Tensor] | None":
        from hubtl.modalities.image.predicting import noise

        return noise(spec)

    def samples(self, spec: Any, rng: "np.random.Generator") -> "Sequence[Any]":
        from hubtl.modalities.image.predicting import pictures

        return pictures(spec, rng)

    def preparation(self, backbone: "Backbone") -> dict[str, Any]:
        from hubtl.modalities.image.described import described

        return described(backbone.info.input, backbone.ranges)

    def examine(self, cell: Any) -> Examined | None:
        from hubtl.modalities.image.examining import examined

        return examined(cell)

    def tile(self, cell: Any, side: int) -> Any:
        from hubtl.modalities.image.examining import tile

        return tile(cell, side)

    def cover(self, backbone: "Backbone", row: Any) -> Cover:
        from hubtl.modalities.image.covering import Covered
        from hubtl.modalities.image.predicting import Images

        return Covered(*Images(backbone).seen(row))

    def snippet(self, library: str, where: str, spec: Mapping[str, Any], prints: str) -> str | None:
        from hubtl.modalities.image.snippets import program

        return program(library, where, spec, prints)

    def opens(self, spec: Mapping[str, Any]) -> str:
        from hubtl.modalities.image.snippets import OPENS, mode_of

        return OPENS.format(mode=mode_of(spec))

    def html(self, cell: Any) -> str | None:
        from hubtl.modalities.image.page import picture

        return picture(cell)

    def widget(self, gradio: Any, label: str) -> Any:
        picture = gradio.Image(type="filepath", label=label, height=320, buttons=["fullscreen"])
        # the file as it was given: gradio would open it first, and fail in its own words
        picture.preprocess = lambda payload: payload.path if payload else None
        return picture
