"""``AutoModelForSequenceClassification``: BERT, DistilBERT, RoBERTa, ELECTRA, DeBERTa and other encoders of texts."""

from typing import Any

from hubtl.batch import Inputs
from hubtl.errors import HubtlError
from hubtl_multimodal.encoders.names import Source
from hubtl_multimodal.encoders.text import MAX_LENGTH, cut, longest, tokenizer_of
from hubtl_multimodal.inputs.text import TextReader
from hubtl_multimodal.native.backbone import NativeClassifier

CELLS = ("a", "a word, and then some more")  # for a trial: of two lengths


class TextClassifier(NativeClassifier):
    """Texts to features. A batch is cut to its longest row before the network."""

    modality = "text"
    auto = ("AutoModelForSequenceClassification", "AutoTokenizer")

    def given(self, inputs: Inputs) -> dict[str, Any]:
        ids, mask = cut(inputs)
        return {"input_ids": ids, "attention_mask": mask.long()}

    def example(self) -> tuple[str, str]:
        length = self.info.input.values["max_length"]
        made = f'companion(text, truncation=True, max_length={length}, return_tensors="pt")'
        return 'text = "What it says."', made


def prepared(source: Source, config: Any, pretrained: bool, asked: float | None) -> Any:
    """The tokenizer. Raises HubtlError for a model with a decoder, or without its tokenizer."""
    if getattr(config, "is_encoder_decoder", False):
        raise HubtlError(
            f"{source.shown} is an encoder with a decoder, which does not classify by one vector a text",
            hint="an encoder such as BERT",
        )
    return tokenizer_of(source)


def wrapped(
    source: Source, model: Any, classifier: str, tokenizer: Any, asked: float | None
) -> tuple[TextClassifier, dict[str, Any]]:
    """The backbone, its classifier still in, and what is known of its input."""
    length = longest(int(asked or MAX_LENGTH), tokenizer, model.base_model)
    built = TextClassifier(model, classifier, TextReader(tokenizer, length), tokenizer)
    return built, {"max_length": length}
