"""Check how a modality treats damaged, foreign and missing cells."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from hubtl.errors import HubtlError
from hubtl.modalities.base import Unreadable
from hubtl.testing.kinds.tables import FOREIGN, SHOWN, Sample, damaged, table, unlike


def check_refuses(sample: Sample) -> None:
    """Raise AssertionError where a damaged or foreign cell is no clear error."""
    good = sample.cells[0]
    for what, cell in damaged(good):
        try:
            table(sample.modality, [good, cell, good])
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError):
            continue  # no table could hold it
        _check_damaged(sample, f"a cell {what}", [good, cell, good])
    intake, name = sample.modality.intake(sample.backbone), sample.modality.name
    for what, cell in (*FOREIGN, *damaged(good)):
        named = _tried(f"{what}, to predict,", partial(_listed, intake, {name: cell}))
        for value in named if isinstance(named, list) else ():
            _tried(f"{what}, to predict,", partial(intake.read, value))


def _check_damaged(sample: Sample, what: str, cells: list[Any]) -> None:
    """Raise AssertionError unless the second cell is read, or refused."""
    rows = _tried(what, partial(sample.open, cells))
    error = rows if isinstance(rows, HubtlError) else _tried(what, rows.check)
    left = _tried(f"{what}, to be left out,", partial(sample.open, cells, on_bad_sample="skip"))
    assert not isinstance(left, HubtlError), f"{what} is not left out by --on-bad-sample skip: {left}"
    if not isinstance(error, HubtlError):
        odd = unlike(rows.fetch([1]).inputs, rows.fetch([0]).inputs, values=False)
        assert odd is None, f"{what} has another form: {odd}"
        whole = all(bool(tensor.float().isfinite().all()) for tensor in rows.fetch([1]).inputs.values())
        assert whole, f"{what} is read as values that are not finite"
        assert len(left) == len(cells), f"{what} is read, and left out by --on-bad-sample skip"
        return
    assert "row 1" in str(error), f"{what} is an error that does not name its row: {error}"
    assert error.hint, f"{what} is an error without a hint: {error}"
    assert (len(left), len(left.bad)) == (2, 1), f"{what}: {len(left)} of 3 rows are left, and {len(left.bad)} named"


def _listed(intake: Any, inputs: Any) -> list[Any]:
    return [value for _, value in intake.each([inputs])]


def check_lacks(sample: Sample) -> None:
    """Raise AssertionError where a missing cell is not blank. An empty row is named."""
    rows = _tried("a missing cell", partial(sample.open, [sample.cells[0], None, sample.cells[1]]))
    error = rows if isinstance(rows, HubtlError) else _tried("a missing cell", rows.check)
    assert isinstance(error, HubtlError), f"a missing cell is read, and {SHOWN} has nothing in row 1"
    assert "row 1" in str(error), f"a missing cell is an error that does not name its row: {error}"
    if sample.reader is None:
        return
    assert sample.reader.missing(None), "missing(None) is False"
    assert not sample.reader.missing(sample.cells[0]), "missing() says that a sample is not there"
    blank, full = sample.reader.empty(), sample.reader.read(sample.cells[0])
    shapes = [{key: (array.dtype, array.shape) for key, array in arrays.items()} for arrays in (blank, full)]
    assert shapes[0] == shapes[1], f"empty() makes {_form(blank)}, and read() {_form(full)}"
    masks = [key for key, array in blank.items() if array.dtype == bool and array.any()]
    assert not masks, f"empty() says by {', '.join(masks)} that something is there"


def _tried(what: str, call: Callable[[], Any]) -> Any:
    """Return a call's result, or the error that a user sees. Raises AssertionError for any other."""
    try:
        return call()
    except HubtlError as error:
        return error
    except (Unreadable, OSError) as error:
        return HubtlError(str(error), hint="mend it")  # as predict says it
    except Exception as error:
        raise AssertionError(f"{what} raises {type(error).__name__}: {error}") from error


def _form(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{key} {array.dtype} {list(array.shape)}" for key, array in arrays.items())
