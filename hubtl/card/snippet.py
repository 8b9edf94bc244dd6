"""Write code that loads the model, predicts one input and prints."""

from collections.abc import Mapping

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import modalities
from hubtl.record import RunRecord
from hubtl.record.needs import packages

ASKED = """\
import hubtl{needs}

model = hubtl.load("{where}")
answer = model.predict([{example}])[0]
print({printed})
"""

ROWS = """\
import hubtl{needs}

model = hubtl.load("{where}")
row = {{{row}}}  # leave out what a row lacks
{prints}
"""

FRAME = """\
{opens}{given}
names = {names}
{prints}
"""


def needs_code(given: object) -> bool:
    """Return whether a model loads with the code beside it. ``input`` in its record tells."""
    return isinstance(given, Mapping) and given.get("pooling", "own") != "own"


def loader(record: RunRecord) -> str:
    """Return the library that a reader needs: timm, transformers, or hubtl."""
    library = record.model.library
    return library if record.native and library in ("timm", "transformers") else "hubtl"


def default(record: RunRecord, repo: str | None) -> str:
    """Return complete code for the library of the record.

    Without a repository it loads the folder that the card lies in.
    """
    printed, own = _printed(record), packages(record.model, record.plugins)
    needs = f"  # pip install hubtl {' '.join(own)}" if own else ""
    if record.model.parts:
        row = ", ".join(f'"{m}": {_example(m)}' for m in record.model.parts)
        prints = (
            f"answer = model.predict(row)[0]\nprint({printed})" if printed else "print(model.predict(row)[0].label)"
        )
        return ROWS.format(where=repo or ".", row=row, prints=prints, needs=needs)
    library, takes = loader(record), record.model.modalities
    where = repo or "."
    if library == "timm":
        where = f"hf-hub:{repo}" if repo else "local-dir:."
    modality = modalities.known(takes[0]) if len(takes) == 1 else None
    if modality is not None and not (library == "hubtl" and printed):
        prints = _prints(record, library)
        program: str | None = modality.snippet(library, where, record.model.input, prints)
        if program is not None:
            return program
    return ASKED.format(where=where, example=_example(*takes), printed=printed or "answer.label", needs=needs)


def complete(given: str, record: RunRecord) -> str:
    """Complete a backbone's code, which sets ``logits`` for one example.

    Code that opens its own example is complete already.
    """
    takes = record.model.modalities
    known = modalities.known(takes[0]) if len(takes) == 1 else None
    opens = "" if known is None else known.opens(record.model.input)
    if not opens or "Image.open" in given:
        return given
    code = {"given": given.strip("\n"), "names": _literal(record.outputs.names), "prints": _prints(record)}
    return FRAME.format(opens=opens, **code)


def _example(*names: str) -> str:
    """Return a cell of a modality, as code has it."""
    known = modalities.known(names[0]) if len(names) == 1 else None
    return f'"{names[0]}"' if known is None else str(known.literal)


def _prints(record: RunRecord, library: str | None = None) -> str:
    """Return the last lines, which print the meaning of ``logits``.

    They print plain numbers where the task's package is not installed.
    """
    try:
        task = plugins.load("tasks", record.task)
    except HubtlError:
        return "print(logits)"
    return str(task(record.outputs).prints(library))


def _printed(record: RunRecord) -> str | None:
    """Return the attributes of an answer to print. hubtl loads the model.

    None: the task reads ``logits``.
    """
    try:
        found: str | None = plugins.load("tasks", record.task).printed
    except HubtlError:
        return None
    return found


def _literal(names: list[str]) -> str:
    line = repr(names)
    if len(line) <= 100:
        return line
    return "[\n" + "".join(f"    {name!r},\n" for name in names) + "]"
