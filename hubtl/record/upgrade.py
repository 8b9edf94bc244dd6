"""Records of earlier versions, read as those of today."""

from collections.abc import Mapping
from typing import Any

FIGURES = (  # of classification, in version 1 beside the rest of an evaluation
    "unknown_class_rows",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "known_recall",
    "unknown_recall",
    "hos",
    "per_class",
    "confusion",
    "confusion_cells",
    "predicted_counts",
    "reliability",
)
RENAMED = {"source_accuracy": "source", "source_accuracies": "sources"}


def evaluation(given: Any) -> Any:
    """An evaluation of version 1 as one of version 2; anything else as it is."""
    if not isinstance(given, Mapping) or "figures" in given or not (given.keys() & {*FIGURES, *RENAMED}):
        return given
    figures = {name: given[name] for name in FIGURES if name in given}
    rest = {RENAMED.get(name, name): value for name, value in given.items() if name not in FIGURES}
    return {**rest, "figures": {"task": "classification", **figures}} if figures else rest


def record(given: Any) -> Any:
    """A record of version 1 as one of version 2; its evaluations are upgraded by themselves."""
    if not isinstance(given, Mapping):
        return given
    rest = {name: value for name, value in given.items() if name not in ("classes", "format_version")}
    return {**rest, "outputs": {"names": given["classes"]}} if "classes" in given else rest
