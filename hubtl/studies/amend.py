"""Add an evaluation to a finished run's record and card. They are in its folder or on the Hub."""

from pathlib import Path

from hubtl import hub, plugins
from hubtl.card import render
from hubtl.errors import HubtlError
from hubtl.io.shown import typed
from hubtl.record import LaterEvaluation, RunRecord
from hubtl.run import export
from hubtl.run.participants import facts_of
from hubtl.run.workplace import changing


def check(folder: Path) -> RunRecord:
    """Return the record that an evaluation will be added to.

    Raises:
        HubtlError: for a folder without a finished run.
    """
    record = RunRecord.load(folder)
    if record.status != "finished":
        raise HubtlError(
            f"the run in {folder} is not finished ({record.status})",
            hint=f"hubtl adapt --resume --output-dir {typed(folder)}",
        )
    return record


def check_asks(record: RunRecord, folder: Path) -> None:
    """Raise HubtlError where rows of a run cannot be asked for."""
    task = plugins.load("tasks", record.task)
    if not task.asks:
        raise HubtlError(
            f"hubtl label asks for the label of a row, and {record.task} cannot be asked for one",
            hint=task.instead.replace("RUN", typed(folder)),
        )


def add(record: RunRecord, found: LaterEvaluation) -> None:
    """Add an evaluation; it replaces one of the same rows in the same way."""
    kept = [evaluation for evaluation in record.evaluations if _key(evaluation) != _key(found)]
    record.evaluations = [*kept, found]
    method = plugins.entries("testtime").get(found.online.method) if found.online else None
    if method is not None and not method.builtin and (facts := facts_of(method)) not in record.plugins:
        record.plugins = [*record.plugins, facts]


def in_folder(folder: Path, found: LaterEvaluation) -> None:
    """Add an evaluation to ``record.json`` and the card of a run directory.

    Text that a person wrote into the card stays.

    Args:
        folder: the run directory.
        found: the evaluation.

    Raises:
        HubtlError: where another process is at work in it.
    """
    with changing(folder):
        record = check(folder)
        add(record, found)
        export.check_card(record)
        record.save(folder)
        export.card(folder, record)


def on_hub(
    repo: str, snapshot: Path, found: LaterEvaluation, *, branch: str | None, create_pr: bool, command: str
) -> hub.Amended:
    """Add an evaluation to the record and card of a repository. It is one commit.

    The commit changes nothing else.

    Args:
        repo: the repository.
        snapshot: the pulled commit that was evaluated; it stays unchanged.
        found: the evaluation.
        branch: the branch to commit to.
        create_pr: open a pull request instead.
        command: the command to type again, for errors.

    Raises:
        HubtlError: where the repository has changed since, and for refusals of the Hub.
    """
    record = check(snapshot)
    add(record, found)
    export.check_card(record)
    card = render(record, existing=hub.card_at(repo, snapshot, retry=command), repo=repo)
    where = found.data.hub_id or found.data.dataset
    how = f" with {found.online.method}" if found.online else ""
    return hub.amend(
        repo,
        {"record.json": record.to_json().encode(), "README.md": card.encode()},
        parent=snapshot.name,
        message=f"Evaluation on {where}{how}",
        branch=branch,
        create_pr=create_pr,
        retry=command,
    )


def _key(evaluation: LaterEvaluation) -> tuple[object, ...]:
    data, online = evaluation.data, evaluation.online
    rows = (data.dataset, data.config, data.domain, data.eval_split)
    return (*rows, None if online is None else (online.method, repr(sorted(online.options.items())), online.batch_size))
