"""Write the words about sets of classes for runs and cards."""

from hubtl.card.metrics import value
from hubtl.card.wording import count, listing
from hubtl.io.shown import plural
from hubtl.record import LabelSets, RunRecord
from hubtl.tasks.multilabel.figures import PRIMARY, MultiLabelFigures

FEW_ROWS = 20  # with a class: its average precision moves by several points with each of them
CAPTIONS = {
    "features": "Features of both domains",
    "per_class_ap": "Average precision of each class, source-only and adapted; the mark is a constant answer's",
}
PICKS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("transfer", None): ("finetune", "the target is labelled and there is no source"),
    ("adaptation", None): ("dann", "it aligns features, reads no probabilities, and did best on composed digits"),
}


def warnings(relation: LabelSets) -> list[str]:
    """Warn which target classes are not scored. It also names source classes that the target lacks."""
    from hubtl.data.names import listed

    found = []
    if relation.target_only:
        found.append(
            f"the target has classes that the source lacks ({listed(relation.target_only)}): they are not scored, and a "
            "row with these alone is a row of negatives"
        )
    if relation.source_only:
        found.append(f"the target does not name classes of the source ({listed(relation.source_only)}): not scored")
    return found


def limits(record: RunRecord, does: str) -> list[str]:
    """Describe the thresholds of an answer. Markdown.

    ``does`` is what an input does: ``image shows``.
    """
    found = []
    if record.label_sets.target_only:
        names = listing(record.label_sets.target_only)
        found.append(f"The target has classes that this model cannot predict: {names}.")
    if record.outputs.names:
        found.append(
            f"Closed set: every {does.split()[0]} is assigned any number of the {plural(len(record.outputs.names), 'class')}, "
            "or none."
        )
    if fitted := record.outputs.details.get("threshold_rows"):
        found.append(
            f"The thresholds were fitted on {fitted:,} {fitted_on(record)}: where a class is much rarer or commoner, "
            "they are too low or too high. The mAP does not depend on them."
        )
    elif record.outputs.names:
        found.append("The thresholds are 0.5 for every class: there were no labelled rows to fit them on.")
    return found


def fitted_on(record: RunRecord) -> str:
    if record.setting == "adaptation":
        return "evaluation rows of the source"
    if record.setting == "source-free":
        return "rows of the data behind the model that was adapted"
    held_out = record.outputs.details.get("thresholds_held_out")
    return "held-out training rows" if held_out else "rows that training learnt from"


def doubts(record: RunRecord) -> list[str]:
    """Name the classes whose figures mean little. Markdown."""
    figures, n = (record.adapted.figures, record.adapted.n) if record.adapted else (None, 0)
    if not isinstance(figures, MultiLabelFigures):
        return []
    few = [f"{s.name} ({min(s.n, s.rows - s.n)})" for s in figures.per_class if 0 < min(s.n, s.rows - s.n) < FEW_ROWS]
    none = [s.name for s in figures.per_class if s.ap is None]
    found = []
    if few:
        found.append(
            f"Classes that fewer than {FEW_ROWS} evaluation rows have or lack; their figures mean little: {listing(few)}."
        )
    if figures.per_class and figures.map is not None and all(s.predicted in (0, n) for s in figures.per_class):
        same = listing([s.name for s in figures.per_class if s.predicted])
        found.append(
            f"At the thresholds every evaluation row gets the same answer ({same or 'none of the classes'}): "
            "the answers do not distinguish rows, while the mAP rates how they are ranked."
        )
    if none:
        found.append(f"Classes that no evaluation row has, or every one, not measured: {listing(none)}.")
    return found


def notes(record: RunRecord, *, adapting: bool) -> str:
    """Explain how to read the figures. Markdown."""
    lines = ["Differences are in percentage points."] if adapting else []
    lines.append(
        "mAP is the mean over classes of the average precision, which rates how rows are ranked. F1 is that of the "
        "answers, which are cut at a threshold for each class. The rows of a class are those that have it."
    )
    figures = record.adapted.figures if record.adapted else None
    if isinstance(figures, MultiLabelFigures):
        if figures.constant_map is not None:
            lines.append(
                f"A model with the same answer for every row has a mAP of {value(PRIMARY, figures.constant_map)}."
            )
        if figures.missing_cells:
            lines.append(f"Of the scored rows {count(figures.missing_cells)} cells have no label and are not scored.")
    return "\n".join(lines)
