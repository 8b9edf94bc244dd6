"""Wrap ``AutoModelForSequenceClassification``: BERT, DistilBERT, RoBERTa, ELECTRA and others."""

import copy
from typing import Any

from hubtl.backbones.transformers import NAMES, name_outputs, outputs_of
from hubtl.batch import Inputs
from hubtl.errors import HubtlError
from hubtl.modalities.native.backbone import NativeClassifier
from hubtl.modalities.native.loading import model_of, without_pooler
from hubtl.modalities.native.source import Source
from hubtl.modalities.text import snippets
from hubtl.modalities.text.pooling import OWN, Pooling, is_pooled
from hubtl.modalities.text.reader import TextReader
from hubtl.modalities.text.tokens import MAX_LENGTH, cut, limit, longest, tokenizer_of

ELSEWHERE = ("_name_or_path", *NAMES, "transformers_version")  # of a configuration inside another one
CELLS = ("a", "a word, and then some more")  # for a trial: of two lengths


class TextClassifier(NativeClassifier):
    """Map texts to features; a batch is cut to its longest row."""

    modality = "text"
    auto = ("AutoModelForSequenceClassification", "AutoTokenizer")
    graph_lengths = {"input_ids": {1: "sequence"}, "attention_mask": {1: "sequence"}}

    @property
    def needs_code(self) -> bool:
        return is_pooled(self.model.config)

    def given(self, inputs: Inputs) -> dict[str, Any]:
        ids, mask = cut(inputs)
        return {"input_ids": ids, "attention_mask": mask.long()}

    def example(self) -> tuple[str, str]:
        spec = self.info.input.values
        return f"tokenizer = companion\n{snippets.inputs(spec)}", f"model(**inputs).logits{snippets.mean(spec)}"


def prepared(source: Source, config: Any, pretrained: bool, asked: float | None) -> Any:
    """Return the tokenizer.

    Raises:
        HubtlError: for a model with a decoder, or without its tokenizer.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise HubtlError(
            f"{source.shown} is an encoder with a decoder, which does not classify by one vector a text",
            hint="an encoder such as BERT",
        )
    return tokenizer_of(source)


def pooled(source: Source, config: Any, pretrained: bool, pooling: Pooling) -> Any:
    """Return the encoder with another pooling and a new classifier. The pooling differs from its library's."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    from hubtl.modalities.text.modeling_pooled import PooledConfig, PooledForSequenceClassification

    if is_pooled(config):
        made = copy.deepcopy(config)
        made.pooling, made.normalize = pooling.mode, pooling.normalize
        model = PooledForSequenceClassification(made)
        if pretrained:
            whole = model_of(source, AutoModelForSequenceClassification, config, True)
            model.encoder = whole.encoder
        return model.float()
    encoder = model_of(source, AutoModel, copy.deepcopy(config), pretrained, **without_pooler(config))
    own = {key: value for key, value in encoder.config.to_dict().items() if key not in ELSEWHERE}
    made = PooledConfig(
        encoder=own,
        pooling=pooling.mode,
        normalize=pooling.normalize,
        classifier_dropout=_dropout(config),
    )
    name_outputs(made, outputs_of(config))
    model = PooledForSequenceClassification(made)
    model.encoder = encoder
    return model.float()


def _dropout(config: Any) -> float:
    """Return the dropout rate of the library's own classifier, by its configuration."""
    names = ("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob", "dropout")
    return float(next((v for n in names if isinstance(v := getattr(config, n, None), int | float)), 0.0))


def wrapped(
    source: Source, model: Any, classifier: str, tokenizer: Any, asked: float | None
) -> tuple[TextClassifier, dict[str, Any]]:
    """Return the backbone with its classifier, and the facts on its input."""
    length = longest(int(asked or MAX_LENGTH), tokenizer, model.base_model)
    built = TextClassifier(
        model, classifier, TextReader(tokenizer, length, limit(tokenizer, model.base_model)), tokenizer
    )
    told = model.config if built.needs_code else None
    pooling = {"pooling": told.pooling, "normalize": told.normalize} if told else {"pooling": OWN}
    return built, {"max_length": length, **pooling}
