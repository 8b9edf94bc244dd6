"""Write the words of a run and its card about classes."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from hubtl.card.wording import listing, md
from hubtl.io.shown import plural
from hubtl.record import LabelSets, RunRecord
from hubtl.tasks.classification.figures import ClassificationFigures, ClassScore

FEW_ROWS = 20  # of a class: its recall moves by 5 points or more with each of them
UNKNOWN = -1  # the code of a row whose class the model does not know
CAPTIONS = {
    "confusion": "Confusion matrix on the target's evaluation rows, in shares of each true class",
    "per_class": "Recall of each class, source-only and adapted",
    "reliability": "Accuracy by confidence; a calibrated model lies on the diagonal",
}
# measured in docs/benchmarks.md, "What to ship without labels": it gains where mcc alone loses
VIEWED = (
    "mcc+adamatch",
    "a labelled source and an unlabelled target, of images from which the backbone learns: strong views of both, and no critic",
)
PICKS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("transfer", None): ("finetune", "the target is labelled and there is no source"),
    ("source-free", None): ("shot", "a trained classifier, an unlabelled target and no source"),
    ("adaptation", None): (
        "mcc",
        "a labelled source and an unlabelled target; no critic, hence the stablest of the built-in methods",
    ),
    # its paper (arXiv:2002.08546) reports it well ahead of pada and iwan on partial sets, with the options that it has
    # for them; and where class weights go wrong, they feed on themselves
    ("adaptation", "partial"): (
        "shot",
        "the target lacks classes of the source; it aligns no domains as wholes, and the source plays no part once "
        "it is learnt",
    ),
    ("adaptation", "open"): (
        "osbp",
        "the target has classes that the source lacks, and it has an output for them",
    ),
    ("adaptation", "open-partial"): (
        "osbp",
        "the target has classes that the source lacks, and it has an output for them, but it is not made for source "
        "classes that the target lacks",
    ),
}


def warnings(relation: LabelSets, labels: np.ndarray | None, method: Any, unknown: str | None) -> list[str]:
    """Warn where a method does not suit the label sets; name the effect and better methods."""
    from hubtl.data.names import listed

    found = []
    if relation.target_only and unknown is None and labels is not None:
        n = int((labels == UNKNOWN).sum())
        found.append(
            f"not scored: {plural(n, 'evaluation row')} of classes that the source lacks ({listed(relation.target_only)}); "
            "osbp has an output for them"
        )
    if method.unknown and relation.setting in ("closed", "partial"):
        found.append(
            f"the target has no class that the source lacks: whatever is called {unknown} is so by mistake, "
            "and methods for closed sets do better"
        )
    if relation.source_only and not {"partial", relation.setting} & set(method.suits):
        found.append(
            f"the target lacks source classes ({listed(relation.source_only)}): methods that align whole domains may "
            "do harm; shot, pada and iwan are made for it"
        )
    return found


def limits(record: RunRecord, does: str) -> list[str]:
    """Describe which classes the model can predict. Markdown.

    ``does`` is what an input does: ``image shows``.
    """
    found = []
    if record.label_sets.target_only:
        names = listing(record.label_sets.target_only)
        called = f": it calls them {md(record.unknown)}, or takes them for others" if record.unknown else ""
        found.append(f"The target has classes that this model cannot predict{called}: {names}.")
    if record.unknown:
        found.append(
            f"Open set: every input is assigned one of {plural(len(record.classes) - 1, 'class')} or {md(record.unknown)}. "
            f"It learnt {md(record.unknown)} from this target: unknown inputs elsewhere may look different."
        )
    elif record.classes:
        found.append(f"Closed set: every {does.split()[0]} is assigned one of the {len(record.classes):,} classes.")
    return found


def doubts(record: RunRecord) -> list[str]:
    """Name the classes whose figures mean little. Markdown."""
    figures = record.adapted.figures if record.adapted else None
    return _few(figures.per_class) if isinstance(figures, ClassificationFigures) else []


def _few(classes: Iterable[ClassScore]) -> list[str]:
    few = [score for score in classes if 0 < score.n < FEW_ROWS]
    none = [score.name for score in classes if score.n == 0]
    found = []
    if few:
        names = listing([f"{score.name} ({score.n})" for score in few])
        found.append(f"Classes with fewer than {FEW_ROWS} evaluation rows, whose figures mean little: {names}.")
    if none:
        found.append(f"Classes without any evaluation row, not measured: {listing(none)}.")
    return found


def notes(record: RunRecord, *, adapting: bool) -> str:
    """Explain how to read the figures. Markdown."""
    lines = [
        ("Differences are in percentage points. " if adapting else "")
        + "A calibration error (15 bins) is better when it is lower."
    ]
    if record.unknown:
        called = md(record.unknown)
        lines.append(
            f"{called} is one of the classes: all figures count its rows. The H-score is the harmonic mean of the known "
            f"classes' mean recall and the recall of {called}."
        )
        if adapting and record.setting == "adaptation" and record.source_only:
            lines.append(
                f"Source-only has no output for {called} and no threshold: it names a known class for every row, so that "
                f"its recall of {called} is 0, and with it its H-score."
            )
    return "\n".join(lines)
