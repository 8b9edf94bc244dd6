"""Define the options of ``mm-da``: a weight for each of its losses, 0 switches it off."""

from typing import Literal

from pydantic import Field

from hubtl.strategy import StrategyOptions


class MultimodalDAOptions(StrategyOptions):
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    aux: float = Field(0.5, ge=0, description="weight of the heads of the fused feature and of each modality alone")
    adversary: float = Field(0.1, ge=0, description="weight of a domain critic of each modality's feature")
    local: float = Field(
        0.05, ge=0, description="weight of the domain critics of single tokens; 0: equal token weights"
    )
    conditional: float = Field(
        0.1, ge=0, description="weight of a domain critic of fused feature and prediction (CDAN-E)"
    )
    correspondence: float = Field(
        1.0, ge=0, description="weight of the correspondence loss: do two modalities come from one row?"
    )
    mimicry: float = Field(
        0.5, ge=0, description="weight of distilling the fused prediction into each modality, on the source"
    )
    mimicry_target: float = Field(
        0.1, ge=0, description="the same on the target, where the fused prediction is confident"
    )
    infomax: float = Field(0.1, ge=0, description="weight of the mutual information of target predictions")
    pseudo: float = Field(1.0, ge=0, description="weight of the teacher's pseudo labels on the target")
    prototype: float = Field(
        0.1, ge=0, description="weight of the prototype loss: similarity to the source's class means"
    )
    contrast: bool = Field(
        False, description="contrast the modalities' features: by class on the source, by row on the target"
    )
    agreement: bool = Field(
        True, description="keep pseudo labels on which two modalities agree, or that are nearly certain"
    )
    standardise: bool = Field(
        True, description="normalise each domain by its own BatchNorm statistics; the target's are saved"
    )
    balance: Literal["none", "ogm"] = Field("none", description="ogm: slow down the modality that learns first")
    warm: float = Field(0.25, gt=0, lt=1, description="share of the updates before any adaptation")
    selftrain: float = Field(0.5, gt=0, lt=1, description="share of the updates with labels from the teacher")
    keep_first: float = Field(0.3, gt=0, le=1, description="share of each class to label at first")
    keep_last: float = Field(0.8, gt=0, le=1, description="share of each class to label in the end")
    refreshes: int = Field(15, ge=1, description="least number of times that the whole target is labelled")
    decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher's moving average at each update")
    modality_dropout: float | None = Field(
        None, ge=0, lt=1, description="probability of dropping a modality in training; default: the model's own"
    )
