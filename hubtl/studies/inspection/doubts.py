"""Find rows of equal content, and doubtful labels."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from hubtl.data.content import row_digests
from hubtl.studies.inspection.examining import LISTED, Features
from hubtl.studies.inspection.facts import Duplicates, Hint, Hints
from hubtl.studies.inspection.opening import Data
from hubtl.tasks.fit import chances

SURE, UNLIKELY = 0.9, 0.05  # the probe's probability of what it suggests, at least, and of the label, at most
MOST_ROWS, MOST_NAMES = 4000, 200  # that are probed
Digests = Mapping[bytes, list[tuple[str, int]]]


def digests(data: Data) -> Digests:
    """Return the rows of each content, by all columns of inputs; empty cells do not count."""
    found: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for split, rows in data.splits.items():
        columns = [row_digests(rows, column) for column in data.columns.values()]
        for row, cells in enumerate(zip(*columns, strict=True)):
            if any(cells) and not any(cell in (b"null", b'""') for cell in cells):
                found[b"|".join(cells)].append((split, row))
    return found


def duplicates(data: Data, known: Digests) -> Duplicates:
    """Count the contents that several rows have."""
    found = Duplicates()
    for rows in known.values():
        if len(rows) < 2:
            continue
        labels = {data.named(*row) for row in rows} - {None}
        across = len({split for split, _ in rows}) > 1
        found.groups += 1
        found.rows += len(rows) - 1
        found.across_splits += across
        found.contradicting += len(labels) > 1
        if len(found.examples) < LISTED:
            found.examples.append([data.identified(*row) for row in rows[:4]])
    return found


def hints(data: Data, features: Features, known: Digests) -> Hints | None:
    """Return rows whose label a cross-validated linear probe doubts; None where labels are not one of names.

    A hint is a row to look at. Cheap features know little, and rare rows may be right. Of equal rows one is probed, or the
    probe would have been fitted on the others.
    """
    if features.values is None or data.outputs is None or not data.labels:
        return None
    again = {row for own in known.values() for row in own[1:]}
    rows, codes = [], []
    for place, (split, row) in enumerate(features.rows):
        labels = data.labels.get(split)
        if labels is None or (split, row) in again:
            continue
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            return None
        if 0 <= labels[row] < len(data.outputs.names):
            rows.append(place)
            codes.append(int(labels[row]))
    own = np.array(codes, dtype=np.int64)
    met, times = np.unique(own, return_counts=True)
    there = np.flatnonzero(np.isin(own, met[times > 1]))
    there = (
        there[np.unique(np.linspace(0, len(there) - 1, min(len(there), MOST_ROWS)).round().astype(int))]
        if len(there)
        else there
    )
    met, codes_there, times = np.unique(own[there], return_inverse=True, return_counts=True)
    if not 2 <= len(met) <= MOST_NAMES or times.min() < 2:
        data.notes.append("labels are not probed: two rows of each of 2 to 200 names are needed")
        return None
    values = features.values[np.array(rows)[there]]
    guess = chances(values, codes_there)
    best, of_label = guess.argsort(axis=1)[:, -1], guess[np.arange(len(guess)), codes_there]
    certain = guess.max(axis=1) >= SURE
    doubted = np.flatnonzero(certain & (best != codes_there) & (of_label <= UNLIKELY))
    found = Hints(
        features=features.name,
        rows=len(there),
        right=float((best == codes_there).mean()),
        certain=int(certain.sum()),
        doubted=len(doubted),
    )
    if (certain & (best != codes_there)).sum() > (1 - SURE) * certain.sum():
        data.notes.append(
            f"no label is doubted: the probe of {features.name} is wrong too often where it is certain; "
            "--model NAME probes better features"
        )
        return found.model_copy(update={"doubted": 0})
    for place in doubted[np.argsort(-guess[doubted].max(axis=1), kind="stable")][:LISTED]:
        split, row = features.rows[rows[there[place]]]
        suggested = data.outputs.names[met[best[place]]]
        shown = data.identified(split, row).model_dump()
        found.examples.append(Hint(**shown, suggested=suggested, probability=round(float(guess[place].max()), 3)))
    return found
