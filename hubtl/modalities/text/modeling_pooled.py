"""Define a text encoder of transformers, a pooling, and a linear classifier. The pooling is over its tokens.

transformers' own classifiers pool by a head of their own alone, such as BERT's pooler. This one pools as
sentence-transformers does. It is saved beside the weights, and
``AutoModelForSequenceClassification.from_pretrained(…, trust_remote_code=True)`` opens them with it. It needs torch and
transformers, nothing else.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

# as sentence-transformers names them, in the order in which it concatenates several
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def pooled(tokens: Tensor, mask: Tensor, modes: str, normalize: bool) -> Tensor:
    """Pool tokens [b, t, d] under a mask [b, t].

    The mask is True for real tokens; the result is [b, d], or [b, n d] of n modes ``a+b``.
    """
    real = mask.bool().unsqueeze(-1)
    count = real.sum(dim=1).clamp(min=1)
    known = tokens.masked_fill(~real, 0.0)
    places = torch.arange(tokens.shape[1], device=tokens.device)

    def one(mode: str) -> Tensor:
        if mode == "max":
            return tokens.masked_fill(~real, torch.finfo(tokens.dtype).min).amax(dim=1)
        if mode == "mean":
            return known.sum(dim=1) / count
        if mode == "mean_sqrt_len_tokens":
            return known.sum(dim=1) / count.sqrt()
        if mode == "weightedmean":  # a token weighs what its place counts, from 1
            weights = (places + 1).view(1, -1, 1) * real
            return (known * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        if mode == "cls":
            place = torch.where(real.squeeze(-1), places, tokens.shape[1] - 1).amin(dim=1)
        elif mode == "lasttoken":
            place = torch.where(real.squeeze(-1), places, 0).amax(dim=1)
        else:
            raise ValueError(f"there is no pooling {mode!r}; there are: {', '.join(MODES)}")
        return tokens.gather(1, place.view(-1, 1, 1).expand(-1, 1, tokens.shape[2])).squeeze(1)

    found = torch.cat([one(mode) for mode in modes.split("+")], dim=1)
    return nn.functional.normalize(found, dim=1) if normalize else found


class PooledConfig(PretrainedConfig):
    """Configure ``encoder``, and ``pooling``: one of MODES, or several as ``a+b``."""

    model_type = "hubtl-pooled"

    def __init__(
        self,
        encoder: Any = None,
        pooling: str = "mean",
        normalize: bool = False,
        classifier_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder, dict):
            encoder = AutoConfig.for_model(**encoder)
        self.encoder = encoder
        self.pooling, self.normalize = pooling, normalize
        self.classifier_dropout = classifier_dropout
        super().__init__(**kwargs)


class PooledForSequenceClassification(PreTrainedModel):
    """Classify the pooled tokens of an encoder by a linear layer."""

    config_class = PooledConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        cls = MODEL_MAPPING[type(config.encoder)]
        takes = "add_pooling_layer" in inspect.signature(cls.__init__).parameters
        self.encoder = AutoModel.from_config(config.encoder, **({"add_pooling_layer": False} if takes else {}))
        self.dropout = nn.Dropout(config.classifier_dropout)
        width = config.encoder.hidden_size * len(config.pooling.split("+"))
        self.classifier = nn.Linear(width, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if token_type_ids is not None:
            kwargs["token_type_ids"] = token_type_ids
        made = self.encoder(input_ids=input_ids, attention_mask=mask, **kwargs)
        vector = pooled(made.last_hidden_state, mask, self.config.pooling, self.config.normalize)
        logits = self.classifier(self.dropout(vector))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=made.hidden_states, attentions=made.attentions
        )


PooledConfig.register_for_auto_class()
PooledForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
