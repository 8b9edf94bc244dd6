"""Describe a run or a saved model in a folder (``hubtl show RUN``)."""

from pathlib import Path

import typer

from hubtl.io import shown

NAMED = 12  # outputs by name


def is_saved(folder: Path) -> bool:
    """Return whether a folder holds a run or a saved model."""
    return any((folder / file).is_file() for file in ("record.json", "hubtl.json"))


def describe(folder: Path, *, as_json: bool) -> None:
    """Print a run's plan and figures, or a saved model's facts.

    Raises:
        HubtlError: for files that cannot be read.
    """
    if (folder / "record.json").is_file():
        _run(folder, as_json=as_json)
    else:
        _model(folder, as_json=as_json)


def _run(folder: Path, *, as_json: bool) -> None:
    from hubtl.cli import show
    from hubtl.cli.card import record_of
    from hubtl.run.plan import describe as planned
    from hubtl.run.result import Result

    record = record_of(folder)
    if not as_json:
        typer.echo(f"{planned(record)}\n")
    if record.status == "finished" or as_json:
        show.result(Result(folder, record), as_json=as_json)
    else:
        typer.echo(f"not finished; continue with: hubtl adapt --resume --output-dir {shown.typed(folder)}")


def _model(folder: Path, *, as_json: bool) -> None:
    from hubtl.backbones.saved import outputs_of, read_facts, task_of
    from hubtl.cli.messages import emit, predicting
    from hubtl.run.plan import outputs_called

    facts = read_facts(folder)
    if as_json:
        emit(facts)
        return
    task, outputs, modalities = task_of(facts), outputs_of(facts, str(folder)), facts.get("modalities")
    names = [] if outputs is None else outputs.names
    found = {
        "strategy": facts.get("strategy"),
        "model": facts.get("base_model") or facts.get("architecture"),
        "task": task,
        "inputs": ", ".join(map(str, modalities)) if isinstance(modalities, list) else None,
        outputs_called(task, len(names)): f"{len(names)}: {', '.join(names[:NAMED])}{', …' * (len(names) > NAMED)}",
    }
    typer.echo(f"{shown.line(folder)} is a saved model, without the record of a run\n")
    for name, value in found.items():
        typer.echo(f"{name:<10} {shown.line(value or 'not known')}")
    typer.echo(f"\nnext: {predicting(folder)}")
