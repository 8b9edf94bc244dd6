"""Recordings: files that soundfile opens, mixed to one channel at the rate that the model hears."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubtl.errors import HubtlError
from hubtl.modalities.audio.files import NAMES, SOUNDS
from hubtl.modalities.base import Examined, Modality

if TYPE_CHECKING:
    import numpy as np


class Audio(Modality):
    """Read speech, music and other sounds."""

    name = "audio"
    rank = 30
    noun, plural, called, says = "recording", "recordings", "recordings", "recording holds"
    example = "sound.wav"
    folders = frozenset({"audio", "audios", "wav", "wavs", "recordings", "sounds"})
    auto = ("AutoModelForAudioClassification", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES")
    requires = "hubtl[audio]"

    @property
    def suffixes(self) -> frozenset[str]:
        return SOUNDS

    def check(self) -> None:
        from importlib.util import find_spec

        if find_spec("soundfile") is None:
            raise HubtlError(
                "recordings are read with soundfile, which is not installed", hint='pip install "hubtl[audio]"'
            )

    def column(self, dataset: Any, asked: str | None, where: str) -> str:
        from hubtl.modalities.audio.columns import column

        return column(dataset, asked, where)

    def is_called(self, column: str) -> bool:
        return column.lower() in NAMES or column.lower().startswith("audio_")

    def feature(self) -> Any:
        from datasets import Audio as Feature

        return Feature(decode=False)

    def is_cell(self, value: Any) -> bool:
        from hubtl.modalities.audio.columns import is_cell

        return is_cell(value)

    def takes(self, spec: Mapping[str, Any]) -> str | None:
        if "rate" not in spec:
            return None
        heard = f"of which the first {spec['seconds']:.4g} seconds are heard"
        if (windows := spec.get("windows", 1)) > 1:
            heard = f"heard in up to {windows} windows of {spec['seconds']:.4g} seconds, whose outputs are averaged"
        return f"a recording, mixed to one channel at {spec['rate']:,} Hz, {heard}"

    def snippet(self, library: str, where: str, spec: Mapping[str, Any], prints: str) -> str | None:
        from hubtl.modalities.audio.snippets import program

        if library != "transformers":
            return None
        return program(where, spec, prints)

    def samples(self, spec: Any, rng: "np.random.Generator") -> "Sequence[Any]":
        from hubtl.modalities.audio.sound import noise

        values = {} if spec is None else spec.as_dict()
        return noise(int(values.get("rate", 16_000)), min(1.0, float(values.get("seconds", 1.0))), rng)

    def examine(self, cell: Any) -> Examined | None:
        from hubtl.modalities.audio.examining import examined

        return examined(cell)

    def tile(self, cell: Any, side: int) -> Any:
        from hubtl.modalities.audio.examining import tile

        return tile(cell, side)

    def html(self, cell: Any) -> str | None:
        from hubtl.modalities.audio.page import player

        return player(cell)

    def widget(self, gradio: Any, label: str) -> Any:
        return gradio.Audio(type="filepath", label=label, buttons=[])
