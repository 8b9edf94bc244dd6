"""Define the figures of a regression model in a record."""

from typing import ClassVar, Literal

from pydantic import Field

from hubtl.record import Facts, Figures, Group, Metric

TITLES = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "spearman": "Spearman's ρ"}
WITH_UNIT = ("mae", "rmse")


def metric(name: str, value: float | None = None, unit: str = "") -> Metric:
    """Return one of the four metrics.

    Errors have the unit of the outputs and are better when lower.
    """
    errors = name in WITH_UNIT
    return Metric(name=name, title=TITLES[name], value=value, unit=unit if errors else "", higher_is_better=not errors)


class Residual(Facts):
    """Hold the rows whose true values lie in one range."""

    low: float
    high: float
    n: int
    mae: float
    bias: float  # mean of prediction less truth


class OutputScore(Facts):
    """Hold the figures of one output; None where they were not measured."""

    name: str
    n: int  # rows with a label of this output
    unit: str = ""
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None  # 1 less the squared error over that of the rows' own mean; None: one value alone
    spearman: float | None = None  # None: the truth or the prediction is one value alone
    covered: float | None = None  # share of the rows inside the 90 % interval of the source
    truth: list[float] = Field(default_factory=list)  # of some rows, for the scatter plot
    predicted: list[float] = Field(default_factory=list)  # of the same rows
    residuals: list[Residual] = Field(default_factory=list)  # ranges with about as many rows each


class RegressionFigures(Figures):
    """Hold a regression model's figures: means over its outputs, each in its own unit."""

    group: ClassVar[str] = "output"

    task: Literal["regression"] = "regression"
    unit: str = ""  # of the errors, where there is one output
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    spearman: float | None = None
    interval: tuple[float, float] | None = None  # 95 %, of the MAE
    covered: float | None = None  # share of the labels inside the 90 % interval of the source
    per_output: list[OutputScore] = Field(default_factory=list)

    def primary(self) -> Metric:
        return metric("mae", self.mae, self.unit).model_copy(update={"interval": self.interval})

    def rows(self) -> list[Metric]:
        return [self.primary(), *(metric(name, getattr(self, name), self.unit) for name in ("rmse", "r2", "spearman"))]

    def brief(self) -> list[Metric]:
        return [metric("r2", self.r2)]

    def groups(self) -> list[Group]:
        """Return the outputs, where there are several."""
        if len(self.per_output) < 2:
            return []
        return [
            Group(name=o.name, n=o.n, metrics=[metric(name, getattr(o, name), o.unit) for name in TITLES])
            for o in self.per_output
        ]
