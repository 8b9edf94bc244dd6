"""Record the inputs of a run: its initial model, its data, and the relation of two domains."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hubtl.plugins.modalities import USUAL
from hubtl.record import upgrade


class Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Step(Facts):
    """Record a model that an earlier run started from. It names that run's method."""

    base: str  # Hub id, or a name
    revision: str | None = None
    strategy: str
    target: str | None = None


class PluginFacts(Facts):
    """Record a third-party plugin that took part in a run."""

    kind: str  # strategy, tuner, validator, …
    name: str
    package: str  # or the name of a file
    version: str = ""
    sha256: str | None = None  # of the file; None: it is a package

    @property
    def origin(self) -> str:
        """Return its origin: package and version, or a file and the start of its digest."""
        return (
            f"{self.package} (sha256 {self.sha256[:12]}…)" if self.sha256 else f"{self.package} {self.version}".strip()
        )


class ModelFacts(Facts):
    """Record the backbone that the run started from."""

    name: str  # as the user gave it
    library: Literal["timm", "transformers", "torchvision", "hubtl"]  # whose format the result has
    architecture: str
    pretrained: bool
    base_model: str | None = None  # Hub id, when there is one
    revision: str | None = None  # commit of base_model
    weights: str | None = None  # weights' tag, such as resnet50.a1_in1k
    license: str | None = None  # of the weights, as their own metadata says; None: unknown
    parameters: int = 0
    width: int = 0  # of the pooled features
    input: dict[str, Any] = Field(default_factory=dict)  # of images size, channels, mean, std, …
    tuner: str = "full"
    trained_parameters: int = 0
    parts: dict[str, dict[str, Any]] = Field(default_factory=dict)  # modality -> encoder, where there are several
    modalities: list[str] = Field(default_factory=lambda: [USUAL])  # what it takes
    lineage: list[Step] = Field(
        default_factory=list
    )  # how the base model was made by earlier runs, the first one first
    notes: list[str] = Field(default_factory=list)  # "one-channel images are repeated to three channels"


class DomainFacts(upgrade.EarlierDomain, Facts):
    dataset: str  # as given, without private parts of a local path
    hub_id: str | None = None  # user/name, when it is on the Hub
    config: str | None = None
    revision: str | None = None
    fingerprint: str = ""
    license: str | None = None
    domain: str | None = None
    domains: list[str] = Field(default_factory=list)  # where there are several
    split: str = ""
    eval_split: str | None = None
    rows: int = 0
    eval_rows: int = 0
    labelled: bool = True
    eval_labelled: bool = True
    unlabelled_rows: int = 0  # of a split with labels, training rows without one; a source leaves them out
    eval_unlabelled_rows: int = 0  # and evaluation rows without one, which are not scored
    label_counts: dict[str, int] = Field(default_factory=dict)  # of source training rows; empty when sealed
    columns: dict[str, str] = Field(default_factory=dict)  # image, label -> column name
    skipped: list[str] = Field(default_factory=list)  # unreadable samples, by name
    pixels: dict[str, list[float]] = Field(
        default_factory=dict
    )  # black and white of images of more than eight bits: integers, floats

    @model_validator(mode="before")
    @classmethod
    def _of_earlier(cls, given: Any) -> Any:
        return upgrade.domain(given)


class Outputs(Facts):
    """Record the meaning of a model's outputs, in their order."""

    names: list[str] = Field(default_factory=list)  # of classes, or of the columns that are predicted
    details: dict[str, Any] = Field(default_factory=dict)  # the task's own: units, ranges, thresholds


class LabelSets(Facts):
    """Record the relation of the two domains' label sets."""

    setting: Literal["closed", "partial", "open", "open-partial", "unknown"]
    shared: list[str] = Field(default_factory=list)
    source_only: list[str] = Field(default_factory=list)
    target_only: list[str] = Field(default_factory=list)
    respelt: dict[str, str] = Field(default_factory=dict)  # shared ones that the target writes otherwise: how
