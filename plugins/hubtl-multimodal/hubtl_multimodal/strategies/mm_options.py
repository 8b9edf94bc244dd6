"""The options of ``mm-da``: a weight for each of its losses, 0 switches it off."""

from typing import Literal

from pydantic import Field

from hubtl.strategy import StrategyOptions


class MultimodalDAOptions(StrategyOptions):
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    aux: float = Field(0.5, ge=0, description="weight of the heads of the fused feature and of each modality by itself")
    adversary: float = Field(0.1, ge=0, description="weight of a domain critic of each modality's feature")
    local: float = Field(0.05, ge=0, description="weight of the domain critics of single tokens; 0: tokens count alike")
    conditional: float = Field(
        0.1, ge=0, description="weight of a domain critic of fused feature and prediction (CDAN-E)"
    )
    correspondence: float = Field(1.0, ge=0, description="weight of telling modalities of one row from those of two")
    mimicry: float = Field(0.5, ge=0, description="weight of each modality's learning the fused prediction, source")
    mimicry_target: float = Field(0.1, ge=0, description="the same on the target, where the fused prediction is sure")
    infomax: float = Field(0.1, ge=0, description="weight of the target's being predicted surely and diversely")
    pseudo: float = Field(1.0, ge=0, description="weight of the teacher's labels for the target")
    prototype: float = Field(0.1, ge=0, description="weight of nearness to the source's mean feature of that label")
    contrast: bool = Field(
        False, description="contrast the modalities' features, first half: classes in the source, rows in the target"
    )
    agreement: bool = Field(True, description="keep labels on which two modalities agree, or that are certain")
    standardise: bool = Field(
        True, description="each domain by its own BatchNorm statistics; the target's are those that ship"
    )
    balance: Literal["none", "ogm"] = Field("none", description="ogm: the modality that learns first waits")
    warm: float = Field(0.25, gt=0, lt=1, description="share of the updates before any adaptation")
    selftrain: float = Field(0.5, gt=0, lt=1, description="share of the updates with labels from the teacher")
    keep_first: float = Field(0.3, gt=0, le=1, description="share of each class that is labelled at first")
    keep_last: float = Field(0.8, gt=0, le=1, description="share of each class that is labelled in the end")
    refreshes: int = Field(15, ge=1, description="times that the whole target is labelled anew, at least")
    decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher's moving average at each update")
    modality_dropout: float | None = Field(
        None, ge=0, lt=1, description="probability of losing a modality in training; default: the model's own"
    )
