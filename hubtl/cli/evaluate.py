"""Evaluate a model on a dataset (``hubtl evaluate``)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hubtl.errors import HubtlError
from hubtl.io import jsontext
from hubtl.io.shown import plural

if TYPE_CHECKING:
    from hubtl.cli.table import Screen
    from hubtl.record import Evaluation, LaterEvaluation


def evaluate(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    dataset: Annotated[
        str, typer.Option("--dataset", "--target-dataset", help="Dataset to evaluate on, with labels or without.")
    ],
    split: Annotated[
        str | None,
        typer.Option("--split", help="Split to evaluate on. Default: test, else validation, else a fifth of train."),
    ] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names the domain of each row.")] = None,
    domain: Annotated[
        str | None, typer.Option(help="Domain: value of its column, or folder, for the rows to evaluate.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable."),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of labels, or several separated by commas. Default: found by its type.")
    ] = None,
    on_bad_sample: Annotated[
        Literal["error", "skip"], typer.Option(help="Fail on unreadable inputs, or skip them.")
    ] = "error",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 64,
    tta: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Adapt at test time, each batch scored first (see hubtl list testtime).",
        ),
    ] = None,
    tta_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Set an option of --tta. Repeatable.")
    ] = None,
    tta_reset_every: Annotated[
        int | None, typer.Option(min=0, help="Reset --tta to the saved model after this many batches. 0: never.")
    ] = None,
    tta_seed: Annotated[int | None, typer.Option(min=0, help="Seed of the row order for --tta. Default: 0.")] = None,
    tta_stream: Annotated[
        bool, typer.Option("--tta-stream", help="Keep the row order for --tta, as for a stream.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Add the evaluation to the model's record and card, by a commit for a Hub id."),
    ] = False,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="With --record, open a pull request instead of committing.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Write the evaluation to a JSON file, too.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Evaluate a model on a dataset, with or without labels.

    With labels it prints the metrics of the task, by class or output. Without labels it prints an estimate, if the
    model was adapted from a labelled source.

    With --tta it evaluates the frozen model and one that adapts to the rows.
    """
    flags = dict(locals())
    from hubtl.cli.messages import begin, emit
    from hubtl.cli.rows import data_of

    begin(quiet=quiet or json_, debug=debug)
    from hubtl.cli.testtime import options_of, seed_of
    from hubtl.io.places import check_file
    from hubtl.studies.evaluate import later

    if output is not None:
        check_file(output)
    options = options_of(tta, tta_set, tta_reset_every, tta_seed, tta_stream)
    where: dict[str, Any] = {"split": split, "domain": domain, "data": data_of(flags), "batch_size": batch_size}
    place = Place(model, create_pr) if record else None
    if create_pr and not record:
        raise HubtlError("--create-pr says how to record an evaluation", hint="--record --create-pr")
    opened = model if place is None else str(place.folder)
    found = later(opened, dataset, tta=tta, options=options, seed=seed_of(tta_seed, tta_stream), **where)
    shown = as_json(found)
    if output is not None:
        jsontext.save(output, shown)
    failed: HubtlError | None = None
    if place is not None:
        try:
            shown["recorded"] = place.keep(found)
        except HubtlError as error:  # the figures are said first
            shown["recorded"], failed = None, error
    if json_:
        emit(shown)
    elif found.online is not None:
        _show_online(found)
    else:
        _show(found.figures)
    if failed is not None:
        raise failed
    if place is not None and not quiet and not json_:
        typer.echo(f"\nrecorded   {shown['recorded']}")


class Place:
    """Find where an evaluation is added to a record. It is found before anything is measured.

    For a Hub id it is the pulled commit to evaluate, and the branch to commit to.
    """

    def __init__(self, model: str, create_pr: bool) -> None:
        from hubtl import hub
        from hubtl.io.places import check_writable
        from hubtl.studies import amend

        self.repo: str | None = None
        self.folder, self.create_pr = Path(model).expanduser(), create_pr
        if not self.folder.is_dir():
            self.repo, self.branch = hub.split_revision(model)
            if create_pr:  # which takes no right to write
                hub.check_token(self.repo, flag="--record")
            else:
                hub.check_push(self.repo, flag="--record")
            self.folder = hub.pull(model)
            if self.branch == self.folder.name:
                raise HubtlError(
                    f"{model} is a commit: nothing can be added to it", hint=f"a branch, or {self.repo} for main"
                )
        elif create_pr:
            raise HubtlError(f"{model} is a folder here: there is nothing to request", hint="leave out --create-pr")
        amend.check(self.folder)
        if self.repo is None:
            check_writable(self.folder, flag="folder, such as a copy")

    def keep(self, found: "LaterEvaluation") -> str:
        """Add the evaluation; return its place."""
        from hubtl.cli.messages import typed
        from hubtl.studies import amend

        if self.repo is None:
            amend.in_folder(self.folder, found)
            return str(self.folder / "README.md")
        branch, command = None if self.create_pr else self.branch, typed()
        pr = self.create_pr
        return amend.on_hub(self.repo, self.folder, found, branch=branch, create_pr=pr, command=command).url


def as_json(found: "LaterEvaluation") -> dict[str, Any]:
    """Return the figures as ``--json`` prints them. Those of the online protocol come first."""
    online = found.online
    if online is None:
        return found.figures.flat()
    name = found.figures.primary.name if found.figures.primary else "score"
    stats = online.model_dump(include={"batches", "learnt", "resets", "collapses", "warnings"})
    return {
        "method": online.method,
        f"online_{name}": online.figures.value,
        f"frozen_{name}": found.figures.value,
        "stats": {
            "rows": found.figures.n,
            "unlabelled_rows": found.figures.unlabelled_rows,
            **{k: v for k, v in found.figures.numbers().items() if k.endswith("_rows")},
            **stats,
        },
        "reset_every": online.options["reset_every"],
        "batch_size": online.batch_size,
        "seed": online.seed,
        "online": online.figures.flat(),
        "frozen": found.figures.flat(),
    }


def _show(found: "Evaluation") -> None:
    from hubtl.card.metrics import about, called
    from hubtl.card.wording import unscored
    from hubtl.cli.table import Screen, Words, figure

    console, figures = Screen(), found.figures
    if found.estimate is not None and found.value is None:
        console.print(
            f"{called(found.primary)} {about(found.primary, found.estimate)} (estimate, no label read; ± its mean error)",
            soft_wrap=True,
        )
        console.print(plural(found.n, "row"))
        return
    lines = figures.rows() if figures else []
    width = max([18, *(len(metric.shown) for metric in lines)])
    for metric in lines:
        console.print(f"{metric.shown:<{width}} {figure(metric):>7}", soft_wrap=True)
    aside = unscored(found)
    console.print(
        f"{'rows':<{width}} {found.n:>7}" + (f"  not scored: {aside}" if aside else "") + "\n", soft_wrap=True
    )
    groups = figures.groups() if figures else []
    table = Words()
    for column in (figures.group if figures else "", "rows", *(m.shown for m in (groups[0].metrics if groups else []))):
        table.add_column(column, justify="left" if figures and column == figures.group else "right")
    for group in groups:
        table.add_row(group.name, str(group.n), *("–" if m.value is None else figure(m) for m in group.metrics))
    if groups:
        console.print(table)
    if found.subsets:
        _show_subsets(console, found)


def _show_subsets(console: "Screen", found: "Evaluation") -> None:
    from hubtl.cli.table import Words, figure

    table = Words()
    table.add_column("rows with")
    table.add_column(found.primary.shown if found.primary else "figure", justify="right")
    for subset in found.subsets:
        table.add_row(subset.name, "not measured" if subset.primary is None else figure(found.primary, subset.primary))
    console.print()
    console.print(table)


def _show_online(found: "LaterEvaluation") -> None:
    from hubtl.card.wording import unscored
    from hubtl.cli.table import Screen, Words, figure

    online = found.online
    assert online is not None
    table = Words()
    for column in ("", "frozen", f"{online.method}, online"):
        table.add_column(column, justify="right" if column else "left")
    moving = {m.name: m for m in online.figures.figures.rows()} if online.figures.figures else {}
    for metric in found.figures.figures.rows() if found.figures.figures else []:
        table.add_row(metric.shown, figure(metric), figure(moving.get(metric.name)))
    console, aside = Screen(), unscored(found.figures)
    console.print(table)
    console.print(
        f"\n{plural(found.figures.n, 'row')}{f' (not scored: {aside})' if aside else ''} in {plural(online.batches, 'batch')}, "
        "each scored before the model learnt from it; "
        f"learnt from {plural(online.learnt, 'row')}; resets: {online.resets}, of them on collapse: {online.collapses}",
        soft_wrap=True,
    )
