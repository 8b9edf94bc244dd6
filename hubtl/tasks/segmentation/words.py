"""Write the words of a run and its card about segmentation."""

from hubtl.card.wording import listing
from hubtl.record import RunRecord
from hubtl.tasks.segmentation.figures import SegmentationFigures

FEW = 5  # images of a class: its IoU is that of these few
CAPTIONS = {
    "confusion": "Confusion matrix of the target's labelled pixels, in shares of each true class",
    "per_class": "IoU of each class, source-only and adapted",
}
PICKS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("transfer", None): ("finetune", "the target is labelled and there is no source"),
    ("adaptation", None): ("mcc", "a labelled source and an unlabelled target; no critic"),
}


def limits(record: RunRecord) -> list[str]:
    """Describe what the model can predict. Markdown."""
    found = [f"Closed set: every pixel is assigned one of the {len(record.outputs.names):,} classes."]
    if names := record.label_sets.target_only:
        found.append(f"The target has classes that this model takes for others: {listing(names)}.")
    return found


def doubts(record: RunRecord) -> list[str]:
    """Name the classes whose figures mean little. Markdown."""
    figures = record.adapted.figures if record.adapted else None
    if not isinstance(figures, SegmentationFigures):
        return []
    found = []
    if few := [f"{score.name} ({score.n})" for score in figures.per_class if 0 < score.n < FEW]:
        found.append(f"Classes in fewer than {FEW} evaluation images, whose figures mean little: {listing(few)}.")
    if none := [score.name for score in figures.per_class if score.n == 0]:
        found.append(f"Classes without a labelled pixel, not measured: {listing(none)}.")
    return found


def notes(*, adapting: bool) -> str:
    """Explain how to read the figures. Markdown."""
    points = "Differences are in percentage points. " if adapting else ""
    return (
        f"{points}IoU: the pixels that are rightly called a class, by all that are called so or are labelled so. mIoU is its "
        "mean over the classes that occur. Rows of a class are the images that have it; pixels without a class are left out."
    )
