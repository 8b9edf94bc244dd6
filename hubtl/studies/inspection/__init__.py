"""Inspect a dataset before training (``hubtl data inspect``): it is read, and nothing is changed."""

from collections.abc import Mapping
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.io.places import check_writable
from hubtl.io.shown import plural
from hubtl.judging.shift import proxy_a_distance
from hubtl.record import LabelSets
from hubtl.studies.inspection import doubts, examining, sheet
from hubtl.studies.inspection.examining import Features
from hubtl.studies.inspection.facts import Against, Inspection, SplitFacts
from hubtl.studies.inspection.frozen import Frozen
from hubtl.studies.inspection.opening import Asked, Data, open_data

ROWS = 2000  # of each split that are read: sizes settle long before
SHEET, REPORT = "contact-sheet.png", "inspection.json"


def inspect(
    dataset: str,
    *,
    against: str | None = None,
    split: str | None = None,
    domain: str | None = None,
    against_split: str | None = None,
    against_domain: str | None = None,
    domain_column: str | None = None,
    column: Mapping[str, str] | None = None,
    label_column: str | None = None,
    task: str | None = None,
    model: str | None = None,
    pretrained: bool = True,
    image_size: int | None = None,
    device: str | None = None,
    rows: int = ROWS,
    output_dir: str | Path | None = None,
) -> Inspection:
    """Inspect a dataset: columns, splits, sizes, duplicates, doubtful labels, and its relation to other data.

    Labels are read by the task that is named, else by the first that finds some. All rows are compared by content. At
    most ``rows`` rows of each split are decoded. Doubtful labels are hints by a cross-validated linear probe.

    Args:
        dataset: a dataset, as ``--source-dataset`` takes it.
        against: another one to compare with.
        split: one split; all by default.
        domain: value of the domain column, or folder.
        against_split: a split of the other dataset.
        against_domain: a domain of the other dataset.
        domain_column: the column that names domains, of both.
        column: columns by modality.
        label_column: the label column.
        task: the task that reads the labels.
        model: a backbone whose frozen features are probed in place of cheap ones.
        pretrained: load pretrained weights of the backbone.
        image_size: side of the backbone's input in pixels.
        device: device of the backbone.
        rows: rows of each split to decode; 0 for all.
        output_dir: gets ``contact-sheet.png`` and ``inspection.json``.

    Returns:
        The facts, as ``--json`` prints them.

    Raises:
        HubtlError: for data, columns and models that do not open.
    """
    if rows < 0:
        raise HubtlError(f"{rows} rows are asked for", hint="0 for all")
    folder = None if output_dir is None else Path(output_dir)
    if folder is not None:
        check_writable(folder)
    asked = Asked(dict(column or {}), label_column, task, domain_column)
    data = open_data(dataset, split, domain, asked)
    frozen = None
    if model is not None:
        names = [] if data.outputs is None else data.outputs.names
        frozen = Frozen(model, names, pretrained=pretrained, image_size=image_size, device=device)
    other = None
    if against is not None:
        other = open_data(against, against_split, against_domain, asked)
    splits, cheap = examining.examine(data, rows)
    features = cheap if frozen is None else frozen.read(data, cheap)
    known = doubts.digests(data)
    found = Inspection(
        dataset=data.shown,
        task=None if data.task is None else data.task.name,
        label_columns=data.label_columns,
        columns=examining.column_facts(data),
        splits=splits,
        duplicates=doubts.duplicates(data, known),
        hints=doubts.hints(data, features, known),
    )
    if other is not None:
        found.against = _against(data, found, features, known, other, rows, frozen)
        data.notes += [f"{other.shown}: {note}" for note in other.notes]
    found.notes = list(dict.fromkeys(data.notes + _notes(data, found)))
    if folder is not None:
        if sheet.draw(data, found, folder / SHEET):
            found.sheet = str(folder / SHEET)
        found.save(folder / REPORT)
    return found


def _against(
    data: Data,
    found: Inspection,
    features: Features,
    known: doubts.Digests,
    other: Data,
    rows: int,
    frozen: Frozen | None,
) -> Against:
    """Compare two opened datasets: labels, counts, rows of equal content, and the shift of features."""
    splits, cheap = examining.examine(other, rows)
    theirs = cheap if frozen is None else frozen.read(other, cheap)
    made = Against(dataset=other.shown, rows=sum(split.rows for split in splits))
    if data.task is not None and data.outputs is not None and other.outputs is not None:
        try:
            made.relation = data.task.relate(data.outputs, other.outputs, called=data.shown).relation
        except HubtlError as error:
            data.notes.append(f"{error}")
    pairs = _pairs(made.relation)
    ours, their = _totals(found.splits), _totals(splits)
    if ours or their:
        made.counts = {name: (count, their.get(pairs.get(name, name), 0)) for name, count in ours.items()}
        taken = {pairs.get(name, name) for name in ours}
        made.counts |= {name: (0, count) for name, count in their.items() if name not in taken}
    made.shared_rows = sum(len(own) for content, own in doubts.digests(other).items() if content in known)
    mine, yours = features.values, theirs.values
    if mine is not None and yours is not None and next(iter(data.columns), "") == next(iter(other.columns), ""):
        try:
            made.a_distance, made.features = proxy_a_distance(mine, yours), features.name
        except ValueError as error:
            data.notes.append(f"the shift is not measured: {error}")
    return made


def _pairs(relation: LabelSets | None) -> dict[str, str]:
    return {} if relation is None else dict(relation.respelt)


def _totals(splits: list[SplitFacts]) -> dict[str, int]:
    names = dict.fromkeys(name for split in splits for name in split.counts)
    return {name: sum(split.counts.get(name, 0) for split in splits) for name in names}


def _notes(data: Data, found: Inspection) -> list[str]:
    """Return notes that a reader needs to interpret the facts."""
    notes = [
        f"{split.name}: {plural(split.examined, 'row')} of {split.rows:,} were decoded, spread over them"
        for split in found.splits
        if 0 < split.examined < split.rows
    ]
    if not data.columns:
        notes.append("no column holds inputs of a known kind: --column MODALITY=NAME")
    return notes
