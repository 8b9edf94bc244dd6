"""Check how a modality's cells become tensors: for training, under views, corrupted, and to predict."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hubtl.modules import Encoder
from hubtl.testing.kinds.tables import NEAR, Sample, at, table, unlike

KINDS = (torch.float32, torch.int64, torch.bool)
VIEWS = ("weak", "strong")
SEVERITIES = range(1, 6)
DRAWS = 8  # of random numbers, where a single one may change nothing


def check_reads(sample: Sample) -> None:
    """Raise AssertionError where rows are not read alike. Each is read by itself."""
    rows, count, name = sample.open(), len(sample.cells), sample.modality.name
    whole = rows.fetch(range(count)).inputs
    assert len(rows) == count, f"of {count} rows it has {len(rows)}"
    assert name in whole, f"a batch has {', '.join(whole)}, and not {name}"
    for key, tensor in whole.items():
        assert tensor.shape[:1] == (count,), f"{key} of {count} rows has the shape {list(tensor.shape)}"
        assert tensor.dtype in KINDS, f"{key} is {tensor.dtype}, not float32, int64 or bool"
        assert bool(torch.isfinite(tensor.float()).all()), f"{key} has values that are not finite"
    odd = unlike(whole, rows.fetch(range(count)).inputs) or unlike(whole, sample.open().fetch(range(count)).inputs)
    assert odd is None, f"the same rows read twice differ: {odd}"
    for row in range(count):
        odd = unlike(at(whole, row), rows.fetch([row]).inputs)
        assert odd is None, f"a row depends on the rows beside it: {odd}"
    assert unlike(at(whole, 0), at(whole, 1)) is not None, "two different cells are read as the same tensors"
    try:
        again = pickle.loads(pickle.dumps(rows))  # as a worker gets them
    except Exception as error:
        raise AssertionError(f"its rows cannot be sent to another process: {error}") from error
    assert unlike(whole, again.fetch(range(count)).inputs) is None, "a copy in another process reads other tensors"
    assert sample.open(labelled=False).fetch([0]).labels is None, "a sealed set has labels"
    mark, turned = rows.fingerprint, sample.open(sample.cells[::-1]).fingerprint
    assert mark == sample.open().fingerprint, "the same cells have two fingerprints: the cache of features would miss"
    assert mark != turned, "other cells have the same fingerprint: the cache of features would mix them up"
    with torch.no_grad():
        pooled = Encoder(sample.backbone)(whole).pooled
    width = sample.backbone.info.width
    assert pooled.shape == (count, width), (
        f"the model makes features {list(pooled.shape)} of them, not [{count}, {width}]"
    )
    assert bool(pooled.isfinite().all()), "the model makes features of them that are not finite"


def check_views(sample: Sample) -> None:
    """Raise AssertionError for views that a seed does not determine."""
    rows, index = sample.open(views=VIEWS), range(len(sample.cells))
    assert not rows.fetch(index).views, "without a seed it makes random views"
    plain, first, again = (rows.fetch(index, seed=seed) for seed in (0, 1, 1))
    others = [rows.fetch(index, seed=seed).views for seed in range(2, 2 + DRAWS)]
    for name in VIEWS:
        assert name in first.views, f"it makes no {name} view"
        odd = unlike(plain.inputs, first.views[name], values=False)
        assert odd is None, f"the {name} view has another form than the row: {odd}"
        odd = unlike(first.views[name], again.views[name])
        assert odd is None, f"the {name} view with the same seed differs: {odd}"
        assert any(unlike(first.views[name], other[name]) for other in others), (
            f"the {name} view is the same for any seed"
        )
    assert unlike(plain.inputs, first.inputs) is None, "making views changes the rows themselves"
    only = rows.fetch(index, seed=1, views=("strong",)).views
    assert set(only) == {"strong"}, f"asked for the strong view alone it makes {', '.join(only)}"
    moved = sample.open(augment=True)
    odd = unlike(plain.inputs, moved.fetch(index, seed=1).inputs, values=False)
    assert odd is None, f"augmented rows have another form: {odd}"
    assert unlike(moved.fetch(index, seed=1).inputs, moved.fetch(index, seed=1).inputs) is None, (
        "augmented rows with the same seed differ"
    )


def check_spoils(sample: Sample) -> None:
    """Raise AssertionError for corruptions of other shapes, or that do not grow."""
    if sample.reader is None:
        return  # rows that the modality reads by itself are not corrupted
    gaps = dict.fromkeys(SEVERITIES, 0.0)
    for cell in sample.cells:
        clean = sample.reader.read(cell)
        kept = {key: array.copy() for key, array in clean.items()}
        for severity in SEVERITIES:
            several = [
                sample.reader.corrupt(clean, severity, np.random.default_rng(seed)) for seed in (*range(DRAWS), 0)
            ]
            assert _same(clean, kept), "corrupt() writes into the arrays that it is given"
            odd = next((one for one in several if not _alike(one, clean)), None)
            assert odd is None, f"corrupted, its arrays are {_form(odd or {})}, not {_form(clean)}"
            assert _same(several[0], several[-1]), "corrupted twice with equal random numbers, its arrays differ"
            gaps[severity] += sum(_gap(clean, one) for one in several)
    assert gaps[1] > 0, "severity 1 changes nothing"
    assert gaps[5] > gaps[1], f"severity 5 changes no more than severity 1: {gaps[5]:.3g} and {gaps[1]:.3g}"


def check_predicts(sample: Sample) -> None:
    """Raise AssertionError where predicting prepares a cell otherwise than training."""
    intake, name = sample.modality.intake(sample.backbone), sample.modality.name
    several = list(intake.each([{name: cell} for cell in sample.cells]))
    assert len(several) == len(sample.cells), f"of {len(sample.cells)} rows it takes {len(several)}"
    of_table = list(intake.each(table(sample.modality, sample.cells).remove_columns("label")))
    assert len(of_table) == len(sample.cells), f"of a table of {len(sample.cells)} rows it takes {len(of_table)}"
    for source, given in (("a row", several), ("a row of a table", of_table)):
        for place, (shown, value) in enumerate(given):
            assert isinstance(shown, str), f"it calls {source} {shown!r}"
            odd = unlike(_bare(intake.read(value)), _bare(at(sample.inputs, place)), near=NEAR)
            assert odd is None, f"{source} to predict is prepared otherwise than in training: {odd}"
    one = list(intake.each(sample.cells[0]))
    assert len(one) == 1, f"of a single cell it takes {len(one)} inputs"
    values = [intake.value({name: cell}) for cell in sample.cells]
    odd = unlike(_bare(intake.batch(values)), _bare(sample.inputs), near=NEAR)
    assert odd is None, f"a batch to predict is prepared otherwise than in training: {odd}"
    trial = sample.modality.trial(sample.backbone.info.input)
    odd = None if trial is None else unlike(_bare(trial), _bare(at(sample.inputs, 0, 1)), values=False)
    assert odd is None, f"trial() makes other inputs than a row's: {odd}"


def _bare(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs without the masks that say which modalities are there."""
    return {key: tensor for key, tensor in inputs.items() if not key.endswith(".present")}


def _form(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{key} {array.dtype} {list(array.shape)}" for key, array in arrays.items())


def _alike(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return {k: (v.shape, v.dtype) for k, v in one.items()} == {k: (v.shape, v.dtype) for k, v in other.items()}


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def _gap(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Return how far arrays lie apart: the mean distance of floats, the share of others that differ."""
    return sum(
        float(np.abs(a - other[key]).mean() if a.dtype.kind == "f" else (a != other[key]).mean())
        for key, a in one.items()
    )
