"""Define the recipe, which determines a run: a YAML file, flags, or keyword arguments.

Sections nest one level deep, so that ``--set optim.lr=3e-3`` names any key. ``None`` means "decided by the model, the
strategy or the setting"; the run decides such keys before training, and saves the result.
"""

from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hubtl.errors import nearest
from hubtl.recipe import columns
from hubtl.recipe.augmentation import EXAMPLE, OPERATIONS, randaugment
from hubtl.recipe.bounded import Bounded

UPDATES = 10**9  # more than any run has
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # ImageNet's training views: torchvision's scale and ratio
STRONG_VIEWS = "rand-m10-n2-mstd2"


class Section(Bounded):
    model_config = ConfigDict(validate_assignment=True)


class ModelSection(Section):
    name: str = Field(
        description="timm name, Hub id (user/repo[@revision]), torchvision:NAME, folder, or lenet; or one for each modality, "
        "image=NAME,text=NAME,audio=NAME"
    )
    pretrained: bool = Field(True, description="load pretrained weights; false: start from random ones")
    image_size: int | None = Field(
        None, ge=8, le=8192, description="side of the square input in pixels; default: the model's own"
    )
    bottleneck: int | None = Field(
        None,
        ge=0,
        le=2**16,
        description="width of the affine bottleneck (0: none); default: 256 when adapting, 0 in transfer",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of the model's loader")


class DomainSection(Section):
    dataset: str = Field(
        description="Hub dataset (user/name[:config][@revision]), image folder, parquet/csv/jsonl file, "
        "save_to_disk folder, or builtin:digits/mnist"
    )
    split: str | None = Field(None, description="split to train on; default: train, or the only one")
    eval_split: str | None = Field(None, description="split to evaluate on; default: test, else validation")
    domain: str | None = Field(
        None, description="value of data.domain_column, or folder, that selects this domain's rows"
    )


class SourceSection(DomainSection):
    domain: str | list[str] | None = Field(  # type: ignore[assignment]
        None,
        description="value of data.domain_column, or folder, that selects the source's rows; a list for several sources",
    )

    @field_validator("domain")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """Unpack a list of one; drop names that are given twice."""
        if not isinstance(value, list):
            return value
        names = list(dict.fromkeys(value))
        return names[0] if len(names) == 1 else names or None


class TargetSection(DomainSection):
    labels: str | None = Field(
        None,
        description="CSV file with labels of some training rows to learn from, as written by hubtl label RUN --export; "
        "the other rows stay unlabelled",
    )
    labels_per_class: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="number of labelled training rows of each class to learn from; default: none, or all without a source",
    )

    @property
    def few(self) -> int | None:
        """Return how many labelled rows of each group may be learnt from; the task samples them."""
        return self.labels_per_class


class DataSection(Section):
    columns: dict[str, str] | None = Field(
        None, description="column of each modality, {image: photo}; default: found by its type"
    )
    label_column: str | list[str] | None = Field(
        None, description="column with the labels, or several; default: found by its type"
    )
    domain_column: str | None = Field(None, description="column that names the domain, for one dataset with several")
    augment: Literal["auto", "none", "standard"] = Field(
        "auto", description="training view; standard: random resized crop and flip; auto: standard from 64 px on"
    )
    crop_area: list[float] | None = Field(
        None,
        description="range of a random crop's share of the image area (scale in torchvision and timm), such as [0.08, 1], "
        "or its minimum; default: [0.08, 1]",
    )
    crop_ratio: list[float] | None = Field(
        None, description="range of a random crop's aspect ratio, width over height; default: [0.75, 1.333]"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] | None = Field(
        None, description="interpolation of random crops; default: the model's own"
    )
    flip: float | None = Field(
        None, ge=0, le=1, description="probability of a horizontal flip of a random crop; default: 0.5"
    )
    views: str | None = Field(
        None,
        description=f"RandAugment policy of a strong view, none or {EXAMPLE}; default: {STRONG_VIEWS}",
    )
    view_operations: list[str] | None = Field(
        None, min_length=1, description=f"operations of a strong view; default: {', '.join(OPERATIONS)}"
    )
    hold_out: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of a labelled target's training rows to hold out for validation; default: 0.1 "
        "with run.adjust, else 0",
    )
    on_bad_sample: Literal["error", "skip"] = Field("error", description="fail on unreadable inputs, or skip them")
    num_workers: int | None = Field(
        None, ge=0, le=1024, description="number of loader processes; default: 0 when inputs are kept in memory"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_key_each(cls, given: Any) -> Any:
        return columns.moved(given)

    @field_validator("columns", mode="before")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        return columns.parsed(value)

    @field_validator("crop_area", mode="before")
    @classmethod
    def _least_alone(cls, value: Any) -> Any:
        return [value, 1.0] if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("crop_area", "crop_ratio")
    @classmethod
    def _from_to(cls, value: list[float] | None, info: ValidationInfo) -> list[float] | None:
        most = 1.0 if info.field_name == "crop_area" else 100.0
        if value is not None and (len(value) != 2 or not 1 / 100 <= value[0] <= value[1] <= most):
            raise ValueError(f"two numbers are wanted, the smaller one first, from 0.01 to {most:g}")
        return value

    @field_validator("views")
    @classmethod
    def _in_timms_words(cls, value: str | None) -> str | None:
        if value is not None:
            randaugment(value)
        return value

    @field_validator("view_operations")
    @classmethod
    def _operations(cls, value: list[str] | None) -> list[str] | None:
        for name in value or []:
            if name not in OPERATIONS:
                guess = nearest(name, OPERATIONS)
                raise ValueError(f"there is no {name}" + (f" (nearest: {guess})" if guess else ""))
        return value


class NamedSection(Section):
    name: str
    options: dict[str, Any] = Field(default_factory=dict, description="options of this plugin (see hubtl show NAME)")


class OptimSection(Section):
    name: str = Field("sgd", description="optimiser: sgd, adam, adamw, adagrad, or another name of timm's factory")
    lr: float | None = Field(None, gt=0, description="learning rate of new layers; default: the strategy's")
    backbone_lr_scale: float | None = Field(
        None, ge=0, description="factor on lr for the backbone; default: 0.1 pretrained, 1 from scratch"
    )
    weight_decay: float = Field(1e-3, ge=0, description="weight decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum, where the optimiser has one")
    schedule: Literal["inverse-decay", "cosine", "step", "constant"] | None = Field(
        None, description="learning rate schedule; default: the strategy's"
    )
    warmup_steps: int = Field(0, ge=0, le=UPDATES, description="updates of linear warmup from 0")
    gamma: float = Field(1e-3, ge=0, description="inverse-decay: lr * (1 + gamma * step) ** -power")
    power: float = Field(0.75, ge=0, description="inverse-decay: see gamma")
    step_every: int = Field(1000, ge=1, le=UPDATES, description="step schedule: updates between two drops")
    step_factor: float = Field(0.1, gt=0, le=1, description="step schedule: factor of each drop")
    clip_norm: float | None = Field(None, gt=0, description="maximum gradient norm, for clipping")
    averaging: float = Field(
        0.0,
        ge=0,
        le=0.25,
        description="evaluate and save a running average of the weights, of this width relative to the updates of the phase, "
        "such as 0.1; 0: the last weights",
    )


class RunSection(Section):
    seed: int = Field(0, ge=0, lt=2**63, description="random seed")
    steps: int | None = Field(
        None, ge=1, le=UPDATES, description="total number of optimiser updates; default: 2000 when adapting"
    )
    epochs: float | None = Field(
        None, gt=0, le=10**6, description="epochs over the larger training stream, instead of steps"
    )
    batch_size: int = Field(32, ge=1, le=2**20, description="rows per stream, process and micro-batch")
    gradient_accumulation_steps: int = Field(1, ge=1, le=2**20, description="micro-batches per update")
    mixed_precision: Literal["no", "fp16", "bf16"] = Field("no", description="precision of training")
    device: str | None = Field(None, description="cpu, cuda or mps; default: the best available")
    output_dir: str | None = Field(
        None, description="output directory; default: runs/MODEL-STRATEGY-TARGET, or runs/MODEL-STRATEGY-TARGET-TASK"
    )
    checkpoint_every: int = Field(500, ge=1, le=UPDATES, description="updates between two checkpoints for --resume")
    evaluate_every: int | None = Field(
        None, ge=1, le=UPDATES, description="updates between two evaluations; default: a fifth of the run"
    )
    adjust: bool = Field(
        False,
        description="adjust learning rates, batch size, regularisation and adaptation losses by measurements during training",
    )
    calibrate: bool | None = Field(
        None,
        description="calibrate the logits by a temperature fitted on the source's evaluation rows, or on data.hold_out; "
        "default: the strategy's",
    )
    baseline: bool = Field(True, description="train source-only as a baseline")
    keep_source_only: bool | None = Field(
        None,
        description="also save the model that is not shipped, in source-only/ or adapted/ of the output directory; it is "
        "not pushed; default: where labels can decide between the two",
    )
    fallback: bool = Field(
        False, description="ship source-only where a guard rail rejects the adapted model; auto: true"
    )
    validator: str | None = Field(
        None,
        description="rule that selects the checkpoint; default: ensemble for an unlabelled target, last otherwise",
    )
    report_to: list[str] = Field(
        default_factory=list, description="trackers of accelerate to log to: tensorboard, wandb, trackio, …"
    )
    energy: bool = Field(False, description="measure the energy of the run with codecarbon (extra: energy)")
    plots: bool = Field(True, description="draw the plots of the card")


class EnsembleSection(Section):
    members: list[str] = Field(
        default_factory=list,
        description="strategies whose models are averaged into one, the run's own included; default: some for auto on a "
        "frozen backbone, else none",
    )
    seeds: list[int] = Field(
        default_factory=list,
        description="seeds to train each member with; without members, mean and standard deviation are reported; default: "
        "run.seed",
    )
    keep: bool = Field(
        False,
        description="also save the members, in the folder ensemble, which only hubtl loads",
    )

    @field_validator("members", "seeds", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Split ``a,b`` into a list; drop names that are given twice."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
            if not value:
                raise ValueError("it names nothing; leave it out instead")
        return list(dict.fromkeys(value)) if isinstance(value, list | tuple) else value

    @field_validator("seeds")
    @classmethod
    def _natural(cls, value: list[int]) -> list[int]:
        if any(not 0 <= seed < 2**63 for seed in value):
            raise ValueError("a seed is a whole number from 0 on")
        return value


class AutoSection(Section):
    hedge: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the adapted models in the average with source-only; 1: without source-only; default: 1, with "
        "strategy auto a measured share",
    )


class HubSection(Section):
    push_to: str | None = Field(None, description="repository to push the result to (user/repo)")
    private: bool | None = Field(None, description="create the repository as private")
    license: str | None = Field(
        None, description="licence of the result, as the Hub's identifier (apache-2.0); default: the weights'"
    )

    @field_validator("license")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        """Return the value in lower case, as the Hub spells it."""
        from hubtl.card.licenses import KNOWN

        if value is None or value.lower() in KNOWN:
            return value and value.lower()
        guess = nearest(value, KNOWN)
        raise ValueError("the Hub does not know this licence" + (f" (nearest: {guess})" if guess else ""))


class Recipe(Section):
    """Determine a run completely."""

    model: ModelSection
    source: SourceSection | None = None
    target: TargetSection
    data: DataSection = Field(default_factory=DataSection)
    strategy: NamedSection = Field(default_factory=lambda: NamedSection(name="auto"))
    tuner: NamedSection = Field(default_factory=lambda: NamedSection(name="full"))
    task: NamedSection = Field(default_factory=lambda: NamedSection(name="classification"))
    optim: OptimSection = Field(default_factory=OptimSection)
    run: RunSection = Field(default_factory=RunSection)
    ensemble: EnsembleSection = Field(default_factory=EnsembleSection)
    auto: AutoSection = Field(default_factory=AutoSection)
    hub: HubSection = Field(default_factory=HubSection)

    @field_validator("strategy", "tuner", "task", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("model", mode="before")
    @classmethod
    def _model_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("source", "target", mode="before")
    @classmethod
    def _dataset_alone(cls, value: Any) -> Any:
        return {"dataset": value} if isinstance(value, str) else value

    @property
    def setting(self) -> Literal["transfer", "adaptation"]:
        """Return ``adaptation`` with a source, ``transfer`` with a labelled target alone."""
        return "adaptation" if self.source else "transfer"

    def to_yaml(self, *, unset: bool = True) -> str:
        """Return the recipe as YAML; without ``unset``, only the keys that somebody set."""
        told = self.model_dump(mode="json", exclude_none=True, exclude_unset=not unset)
        return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
