"""Load native backbones of transformers' format. They come from a folder or a Hub id."""

from typing import Any

import torch
from torch import nn

from hubtl.backbones import resolve
from hubtl.backbones.base import Backbone, BackboneRequest
from hubtl.backbones.loader import Loader
from hubtl.backbones.surgery import last_linear, replace, weights_of
from hubtl.backbones.transformers import name_outputs, outputs_of
from hubtl.backbones.weights import check_finite, check_report
from hubtl.batch import Inputs
from hubtl.errors import HubtlError
from hubtl.modalities.audio import classifier as audio
from hubtl.modalities.native.backbone import NativeClassifier, NativeInput, finished
from hubtl.modalities.native.loading import config_of, told
from hubtl.modalities.native.options import NativeOptions
from hubtl.modalities.native.source import Source
from hubtl.modalities.text import classifier as text
from hubtl.modalities.text.pooling import OWN, UNTRAINED, Pooling, chosen, is_pooled, register, untrained

FRESH = r"(^|\.)(pooler\.|masked_spec_embed$)"  # of an encoder: left out while some are pretrained


class NativeLoader(Loader):
    """Load transformers' own classifiers of texts and of recordings. They open without hubtl.

    Attributes:
        Options: those of ``--set model.…``.
        training: recipe keys that suit these models.
        frozen: those that suit a linear head on their features.
    """

    Options = NativeOptions
    # AdamW at 2e-5 to 5e-5 for pretrained encoders and more for new layers, as their papers fine-tune them
    training = {
        "optim.name": "adamw",
        "optim.lr": 5e-4,
        "optim.backbone_lr_scale": 0.05,
        "optim.weight_decay": 0.01,
        "optim.clip_norm": 1.0,
    }
    # 12 pairs of reviews, MiniLM, 800 rows: 62 to 64 % with a bottleneck of 256 and its BatchNorm, 64 to 66 % without one at
    # 5e-4, 66 to 67 % at 2e-3 to 5e-3; scikit-learn's logistic regression gets 66.3 %
    frozen = {"model.bottleneck": 0, "optim.lr": 3e-3}

    def load(self, name: str, request: BackboneRequest) -> Backbone:
        """Load a classifier by a folder or a Hub id. An id may lack its owner."""
        return resolve(f"transformers:{name}", request)

    def register(self) -> None:
        """Register hubtl's own format of pooled classifiers with transformers."""
        register()

    def create(
        self, modality: str, source: str, shown: str, request: BackboneRequest, *, revision: str | None
    ) -> NativeClassifier:
        """Build a classifier for new classes and take its last layer out. It comes from a folder or a Hub id.

        Raises:
            HubtlError: for missing weights, a model without its tokenizer or feature extractor, and one that does not
                end in a linear layer on one vector per row.
        """
        options = NativeOptions(**request.options)
        asked = options.of(modality, shown)
        where = Source(shown, "transformers", source, revision=revision)
        module = text if modality == "text" else audio
        config = config_of(where)
        saved = _saved(config)
        length = saved.get(modality) if asked is None else asked
        windows = options.windows or (int(saved["windows"]) if "windows" in saved else 1)
        companion = module.prepared(where, config, request.pretrained, length)
        was = audio.switched_off(config, built=False)
        names = list(request.names)
        if request.keep_classifier and request.pretrained:
            names = outputs_of(config)
        name_outputs(config, names)
        how = chosen(where, config, options.pooling, options.normalize) if modality == "text" else Pooling(OWN)
        model, missing, how = _pooled(where, modality, config, request, how)
        was |= audio.switched_off(model.config, built=True)
        classifier = last_linear(model, len(names))
        wrapped: tuple[NativeClassifier, Any] = module.wrapped(where, model, classifier, companion, length)
        built, described = wrapped
        built.was = was
        trial = _trial(built)
        layer = _take_out(built, classifier, trial, shown)
        finished(
            built,
            layer,
            trial,
            missing,
            name=shown,
            input=NativeInput(described | (built.reader.described(windows) if windows > 1 else {})),
            pretrained=request.pretrained,
            notes=how.notes,
        )
        built.reader.strengths = options
        built.in_windows(windows, options.train_windows)
        built.lengths_open = (modality,) if asked is None and not saved else ()
        built.drawn = frozenset(missing)
        if request.keep_classifier and request.pretrained and f"{classifier}.weight" not in missing:
            built.kept = weights_of(layer)
        return built


def _pooled(
    where: Source, modality: str, config: Any, request: BackboneRequest, how: Pooling | None
) -> tuple[Any, list[str], Pooling]:
    """Return the classifier, the parameters without weights, and its pooling.

    By default it is the library's own head if it has weights, or if the whole network is random. Otherwise it is the
    mean over tokens, because an untrained head would be a random projection.
    """
    saved = is_pooled(config) and how == Pooling(config.pooling, config.normalize)
    if how is None or how.mode == OWN or saved:
        model, missing = _model(where, modality, config, request.pretrained)
        classifier = last_linear(model, len(outputs_of(config)))
        trained = request.keep_classifier and f"{classifier}.weight" not in missing
        if modality == "audio" and not trained:
            return model, audio.passing(model, missing), Pooling(OWN)
        if how is not None or trained or not untrained(missing, classifier):
            return model, missing, how or Pooling(OWN)
        del model
        how = UNTRAINED
    made = text.pooled(where, config, request.pretrained, how)
    return made, ["classifier.weight", "classifier.bias"] if request.pretrained else [], how


def _saved(config: Any) -> dict[str, float]:
    """Return what a model that hubtl made reads of a row; AST's length is in its own configuration."""
    meta = getattr(config, "hubtl", None)
    given = meta.get("input") if isinstance(meta, dict) else None
    if not isinstance(given, dict):
        return {}
    names = {"text": "max_length", "audio": "seconds", "windows": "windows"}
    if config.model_type == audio.SPECTRAL[0]:
        names["frames"] = names.pop("audio")
    found = {name: given.get(key) for name, key in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float) and value > 0}


def _model(where: Source, modality: str, config: Any, pretrained: bool) -> tuple[Any, list[str]]:
    """Return the library's classifier in float32, and the parameters without weights.

    Raises:
        HubtlError: where those of the encoder are among them, its pooler aside.
    """
    from transformers import AutoModelForAudioClassification, AutoModelForSequenceClassification

    auto: Any = AutoModelForSequenceClassification if modality == "text" else AutoModelForAudioClassification
    with told(where.shown, where):
        if not pretrained:
            return auto.from_config(config).float(), []
        model, report = auto.from_pretrained(
            where.where,
            config=config,
            revision=where.revision,
            trust_remote_code=False,
            dtype="float32",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return model, check_report(where.shown, model, report, fresh=FRESH)


def _trial(built: NativeClassifier) -> Inputs:
    """Return two rows of different lengths."""
    if built.modality == "text":
        return built.collate(text.CELLS)
    rate, generator = built.reader.rate, torch.Generator().manual_seed(0)  # type: ignore[attr-defined]
    return built.collate([(torch.randn(rate // n, generator=generator).numpy(), rate) for n in (4, 8)])


@torch.no_grad()
def _take_out(built: NativeClassifier, name: str, trial: Inputs, shown: str) -> nn.Linear:
    """Replace the classifier by an identity, and return it.

    Raises:
        HubtlError: unless the logits are that layer's outputs on one vector per row; otherwise an export would not
            compute what was trained.
    """
    model = built.eval().model
    layer: nn.Linear = model.get_submodule(name)
    check_finite(model.state_dict(), f"the weights of {shown}", hint="download or train the model again")
    try:
        logits = built.logits(trial)
        replace(model, name, nn.Identity())
        features = built.logits(trial)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        first = " ".join(str(error).split())[:160]
        raise HubtlError(f"{shown} does not take two rows: {first}", hint="choose another model") from error
    whole = layer.bias is not None and features.ndim == 2 and features.shape[1] == layer.in_features
    if not whole or not torch.allclose(layer(features), logits, rtol=1e-3, atol=1e-4):
        raise HubtlError(
            f"{shown} does not end in a linear layer with a bias on one vector a row: no features make its logits",
            hint="an encoder such as BERT, AST or Wav2Vec2",
        )
    return layer


load = NativeLoader()
