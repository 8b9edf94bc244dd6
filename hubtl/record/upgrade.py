"""Read records of earlier versions as those of today."""

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
TITLES = (  # of the metrics in the metadata of cards that earlier versions wrote
    "Accuracy",
    "Balanced accuracy",
    "Macro F1",
    "Expected calibration error",
    "H-score",
    "Recall of the known classes",
    "Recall of unknown",
)


class Earlier:
    """Offer a record's facts under the names of earlier versions."""

    outputs: Any
    target_few: int | None

    @property
    def classes(self) -> list[str]:
        """Return the names of the outputs."""
        return list(self.outputs.names)

    @property
    def target_labels_per_class(self) -> int | None:
        """Return how many labelled target rows of each class were learnt from."""
        return self.target_few


class EarlierDomain:
    """Offer a domain's facts under the names of earlier versions."""

    label_counts: dict[str, int]

    @property
    def class_counts(self) -> dict[str, int]:
        """Return the rows of each label."""
        return self.label_counts


def evaluation(given: Any) -> Any:
    """Upgrade an evaluation of version 1 to version 2; return anything else unchanged."""
    if not isinstance(given, Mapping) or "figures" in given or not (given.keys() & {*FIGURES, *RENAMED}):
        return given
    figures = {name: given[name] for name in FIGURES if name in given}
    rest = {RENAMED.get(name, name): value for name, value in given.items() if name not in FIGURES}
    return {**rest, "figures": {"task": "classification", **figures}} if figures else rest


def record(given: Any) -> Any:
    """Upgrade a record of version 1 to version 2; its evaluations are upgraded separately."""
    if not isinstance(given, Mapping):
        return given
    rest = {name: value for name, value in given.items() if name not in ("classes", "format_version")}
    if "target_labels_per_class" in rest:
        rest["target_few"] = rest.pop("target_labels_per_class")
    return {**rest, "outputs": {"names": given["classes"]}} if "classes" in given else rest


def domain(given: Any) -> Any:
    """Upgrade the facts of a domain. Its labels were counted under another name."""
    if not isinstance(given, Mapping) or "class_counts" not in given:
        return given
    return {("label_counts" if name == "class_counts" else name): value for name, value in given.items()}


def subset(given: Any) -> Any:
    """Upgrade the score on incomplete rows. Its figures were own fields; the rows lack a modality."""
    if not isinstance(given, Mapping) or not given.keys() & {"accuracy", "balanced_accuracy", "confidence"}:
        return given
    rest = {name: value for name, value in given.items() if name not in ("accuracy", "balanced_accuracy", "confidence")}
    brief = given.get("balanced_accuracy")
    return {
        "primary": given.get("accuracy"),
        "certainty": given.get("confidence"),
        **({} if brief is None else {"brief": {"balanced_accuracy": brief}}),
        **rest,
    }


def verdict(given: Any) -> Any:
    """Read a vote of scores as one of three answers.

    A vote proves nothing, and decides only what it rejected.
    """
    if not isinstance(given, Mapping) or "adapted" not in given or "answer" in given:
        return given
    kept = {name: given[name] for name in ("rail", "tried", "dropped") if name in given}
    reason = given.get("reason", "")
    if given.get("rail"):
        return {**kept, "answer": "source-only", "reason": reason}
    answer = "source-only" if given.get("tried") else "undecided"
    return {**kept, "answer": answer, "reason": f"scores voted, as an earlier version let them: {reason}"}
