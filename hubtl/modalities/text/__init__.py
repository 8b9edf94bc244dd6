"""Texts: cells of words, cut into the model's own tokens."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubtl.hub.names import POOLED
from hubtl.modalities.base import Examined, Modality

if TYPE_CHECKING:
    import numpy as np

WORDS = ("the", "food", "room", "was", "not", "good", "at", "all", "and", "slow", "staff", "here")
LINES = 4  # of a box for text


class Text(Modality):
    """Read words, sentences and longer texts."""

    name = "text"
    rank = 20
    noun, plural, called, says = "text", "texts", "texts", "text says"
    words = True
    example = "What it says."
    model_types = (POOLED,)
    auto = ("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES")

    def column(self, dataset: Any, asked: str | None, where: str) -> str:
        from hubtl.modalities.text.columns import column

        return column(dataset, asked, where)

    def register(self) -> None:
        from hubtl.modalities.text.pooling import register

        register()

    def takes(self, spec: Mapping[str, Any]) -> str | None:
        if "max_length" not in spec:
            return None
        if (windows := spec.get("windows", 1)) > 1:
            return (
                f"a text, read in up to {windows} windows of {spec['max_length']:,} tokens, whose outputs are averaged"
            )
        return f"a text, of which the first {spec['max_length']:,} tokens are read"

    def snippet(self, library: str, where: str, spec: Mapping[str, Any], prints: str) -> str | None:
        from hubtl.card.snippet import needs_code
        from hubtl.modalities.text.snippets import program

        if library != "transformers":
            return None
        code = ", trust_remote_code=True" if needs_code(spec) else ""
        return program(where, spec, code, prints)

    def samples(self, spec: Any, rng: "np.random.Generator") -> "Sequence[Any]":
        return [" ".join(rng.permutation(WORDS).tolist()).capitalize() + "." for _ in range(4)]

    def examine(self, cell: Any) -> Examined | None:
        from hubtl.modalities.text.examining import examined

        return examined(cell)

    def html(self, cell: Any) -> str | None:
        return f"<blockquote>{html.escape(cell)}</blockquote>" if isinstance(cell, str) else None

    def widget(self, gradio: Any, label: str) -> Any:
        return gradio.Textbox(label=label, lines=LINES, placeholder="Words")
