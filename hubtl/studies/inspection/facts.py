"""Record what an inspection found: columns, splits, sizes, duplicates, hints, and the relation to other data."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from hubtl.io import jsontext
from hubtl.record import LabelSets


class Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Spread(Facts):
    """Hold the least, the median and the largest of some numbers."""

    least: float
    median: float
    most: float
    values: dict[str, int] = Field(default_factory=dict)  # how often each occurs, where they are few


class ColumnFacts(Facts):
    """Hold a column's type, and what it is read as."""

    name: str
    type: str
    read_as: str | None = None


class Row(Facts):
    """Hold what identifies a row."""

    split: str
    row: int
    name: str  # of its file, or its first words
    label: str | None = None


class Unreadable(Row):
    """Hold a row that cannot be read, and why."""

    reason: str


class SplitFacts(Facts):
    """Hold a split's rows, labels and sizes."""

    name: str
    rows: int
    labelled: int
    counts: dict[str, int] = Field(default_factory=dict)  # label -> rows; of masks, pixels
    values: dict[str, Spread] = Field(default_factory=dict)  # output -> labels that are numbers
    examined: int = 0  # rows that were read
    sizes: dict[str, dict[str, Spread]] = Field(default_factory=dict)  # modality -> size -> spread
    unreadable: list[Unreadable] = Field(default_factory=list)
    unreadable_rows: int = 0


class Duplicates(Facts):
    """Count rows of equal content. A group holds rows that are all equal."""

    groups: int = 0
    rows: int = 0  # beyond the first of each group
    across_splits: int = 0  # groups with rows in several splits
    contradicting: int = 0  # groups with several labels
    examples: list[list[Row]] = Field(default_factory=list)


class Hint(Row):
    """Hold a row whose label a probe doubts."""

    suggested: str
    probability: float  # that the probe gives to what it suggests


class Hints(Facts):
    """Hold rows whose label a cross-validated probe doubts. They may be right."""

    features: str
    rows: int
    right: float  # share of the rows whose label the probe finds
    certain: int = 0  # rows where the probe gives one label at least 90 %
    doubted: int = 0  # of them, those with another label
    examples: list[Hint] = Field(default_factory=list)


class Against(Facts):
    """Hold how other data relate to these."""

    dataset: str
    rows: int
    relation: LabelSets | None = None
    counts: dict[str, tuple[int, int]] = Field(default_factory=dict)  # label -> rows here, rows there
    a_distance: float | None = None
    features: str | None = None
    shared_rows: int = 0  # rows there whose content is here too


class Inspection(Facts):
    """Hold what ``hubtl data inspect`` found; ``hubtl.inspect`` returns it."""

    dataset: str
    task: str | None = None  # that reads the labels
    label_columns: list[str] = Field(default_factory=list)
    columns: list[ColumnFacts] = Field(default_factory=list)
    splits: list[SplitFacts] = Field(default_factory=list)
    duplicates: Duplicates = Field(default_factory=Duplicates)
    hints: Hints | None = None
    against: Against | None = None
    notes: list[str] = Field(default_factory=list)
    sheet: str | None = None  # the contact sheet's file

    def save(self, path: Path) -> None:
        jsontext.save(path, self.model_dump(mode="json"))
