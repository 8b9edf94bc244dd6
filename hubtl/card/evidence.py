"""What the record makes one doubt: said beside the headline (alarms) or at the end (limits), with its figures."""

from collections.abc import Iterable

from hubtl.card.names import domain_link, weights_link
from hubtl.card.wording import interval as wilson
from hubtl.card.wording import listing, md, plural, points
from hubtl.record import ClassScore, DomainFacts, RunRecord

FEW_ROWS = 20  # of a class: its recall moves by 5 points or more with each of them
SMALL_TARGET = 200  # evaluation rows: the 95 % interval of an accuracy is up to 14 points wide
SAID: dict[tuple[str, ...], tuple[str, str]] = {  # of what a model takes alone: one of them, and what it tells
    ("image",): ("image", "image shows"),
    ("text",): ("text", "text says"),
    ("audio",): ("recording", "recording holds"),
}


def alarms(record: RunRecord) -> list[str]:
    """What a reader must know before the figures, loudest first. Markdown."""
    found = []
    if record.status != "finished":
        found.append(f"**This run did not finish (it is {record.status}):** its figures are not final.")
    if record.selection.oracle:
        found.append(
            f"**ORACLE SELECTION: target labels chose this checkpoint** (rule {md(record.selection.rule)}). "
            "Where labels are missing this choice cannot be made, so the adapted figures are an upper bound."
        )
    elif record.target_labels == "selection":
        found.append("**TARGET LABELS WERE USED to select this checkpoint:** the adapted figures are an upper bound.")
    if record.target_labels == "few":
        rows = plural(record.target_labels_per_class or 0, "target row")
        found.append(
            f"**THE LABELS OF {rows.upper()} OF EACH CLASS WERE USED for training**, source-only included: "
            "this is semi-supervised adaptation."
        )
    if record.target_labels == "training":
        tail = (
            ": this is transfer learning, not unsupervised adaptation."
            if record.setting in ("transfer", "sequential")
            else "."
        )
        found.append(f"**TARGET LABELS WERE USED for training**{tail}")
    worse = _loss(record)
    if worse and not any("negative transfer" in warning for warning in record.warnings):
        found.append(f"**negative transfer:** the adapted model is {worse} points worse than source-only.")
    return found + [_warning(text) for text in record.warnings]


def limits(record: RunRecord) -> list[str]:
    """What the evidence does not carry. Markdown."""
    target, adapted, model = record.target, record.adapted, record.model
    found = []
    if adapted is None:
        found.append(f"It was not evaluated: how good it is on {domain_link(target)} is unknown.")
    elif adapted.accuracy is None:
        found.append(
            f"The target's evaluation rows have no labels: how good this model is on {domain_link(target)} is unknown."
        )
    else:
        if adapted.n < SMALL_TARGET:
            found.append(f"It was evaluated on {plural(adapted.n, 'row')} only: see the intervals beside the figures.")
        if _overlap(record):
            found.append(
                "The 95% intervals of the source-only and the adapted accuracy overlap: "
                f"on {plural(adapted.n, 'row')} the difference can be chance."
            )
        found += _few(adapted.per_class)
        found.append("The intervals cover the choice of evaluation rows, not of seeds: this is one run with one seed.")
    if not model.pretrained:
        found.append("The backbone started from random weights, not from pretrained ones (`pretrained: false`).")
    elif model.license is None or model.license.strip().lower() in ("", "unknown", "none"):
        found.append(
            f"The licence of the base weights {weights_link(model)} is unknown: find it out before you use this model."
        )
    noun, does = SAID.get(tuple(model.modalities), ("row", "row holds"))
    for domain in _domains(record):
        if domain.license is None:
            found.append(f"The licence of {domain_link(domain)} is unknown.")
        if domain.skipped:
            found.append(
                f"{plural(len(domain.skipped), noun)} of {domain_link(domain)} could not be read and took no part."
            )
    if record.label_sets.target_only:
        names = listing(record.label_sets.target_only)
        does = f": it calls them {md(record.unknown)}, or takes them for others" if record.unknown else ""
        found.append(f"The target has classes that this model cannot name{does}: {names}.")
    if record.unknown:
        found.append(
            f"It knows {len(record.classes) - 1:,} classes and answers "
            f"{md(record.unknown)} to what it takes for none of them. "
            "It learnt that from this target: what is unknown elsewhere may look otherwise."
        )
    elif record.classes:
        found.append(f"It knows {len(record.classes):,} classes, and answers with one of them whatever the {does}.")
    return found


def difference_note(before: ClassScore | None, after: ClassScore) -> str:
    """How the recall of a class changed, regressions marked."""
    text = points(before.recall if before else None, after.recall)
    if before is not None and before.recall is not None and after.recall is not None and after.recall < before.recall:
        return f"**{text} ▼**"
    return text


def _few(classes: Iterable[ClassScore]) -> list[str]:
    few = [score for score in classes if 0 < score.n < FEW_ROWS]
    none = [score.name for score in classes if score.n == 0]
    found = []
    if few:
        names = listing([f"{score.name} ({score.n})" for score in few])
        found.append(f"Classes with fewer than {FEW_ROWS} evaluation rows, whose figures say little: {names}.")
    if none:
        found.append(f"Classes without any evaluation row, not measured: {listing(none)}.")
    return found


def _loss(record: RunRecord) -> str | None:
    """By how many points the adapted model is worse on the target, if it is."""
    base, adapted = record.source_only, record.adapted
    if base is None or adapted is None or base.accuracy is None or adapted.accuracy is None:
        return None
    return f"{100 * (base.accuracy - adapted.accuracy):.1f}" if adapted.accuracy < base.accuracy else None


def _overlap(record: RunRecord) -> bool:
    base, adapted = record.source_only, record.adapted
    if base is None or adapted is None or (record.verdict and record.verdict.tried):  # one model, named twice
        return False
    one, other = wilson(base.accuracy, base.n), wilson(adapted.accuracy, adapted.n)
    return bool(one and other and one[0] <= other[1] and other[0] <= one[1])


def _warning(text: str) -> str:
    head, colon, rest = text.partition(": ")
    return f"**{md(head)}:** {md(rest)}" if colon and len(head) < 30 else f"**warning:** {md(text)}"


def _domains(record: RunRecord) -> list[DomainFacts]:
    return [record.target] if record.source is None else [record.source, record.target]
