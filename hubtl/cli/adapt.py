"""``hubtl adapt``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DATA, TRAIN, OUT = "Data", "Training", "Output"


def adapt(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe in YAML; flags change it.")] = None,
    config: Annotated[Path | None, typer.Option(help="The same as RECIPE.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="timm name, Hub id (user/repo[@revision]), torchvision:NAME, folder, or lenet."),
    ] = None,
    pretrained: Annotated[bool | None, typer.Option("--pretrained/--no-pretrained", help="Pretrained weights.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels; default: the model's own.")] = None,
    strategy: Annotated[str | None, typer.Option(help="hubtl list strategies; default: auto.")] = None,
    members: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Strategies whose models are averaged into one.")
    ] = None,
    hedge: Annotated[
        float | None, typer.Option(help="Share of the adapted models beside source-only in that average, 0 to 1.")
    ] = None,
    tuner: Annotated[str | None, typer.Option(help="What of the backbone learns: hubtl list tuners.")] = None,
    source_dataset: Annotated[
        str | None,
        typer.Option(help="Hub id, folder, file, or builtin:digits/mnist. Without it: transfer.", rich_help_panel=DATA),
    ] = None,
    source_split: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    source_domain: Annotated[
        list[str] | None, typer.Option(help="Repeat it for several sources.", rich_help_panel=DATA)
    ] = None,
    target_dataset: Annotated[str | None, typer.Option(help="As --source-dataset.", rich_help_panel=DATA)] = None,
    target_split: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_eval_split: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_domain: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    target_labels: Annotated[
        str | None,
        typer.Option(
            metavar="CSV", help="Labels of some rows to learn from: hubtl label --export.", rich_help_panel=DATA
        ),
    ] = None,
    target_labels_per_class: Annotated[
        int | None, typer.Option(help="Labelled target rows of each class to learn from.", rich_help_panel=DATA)
    ] = None,
    domain_column: Annotated[
        str | None, typer.Option(help="Column that names the domain of a row.", rich_help_panel=DATA)
    ] = None,
    image_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    text_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    audio_column: Annotated[str | None, typer.Option(rich_help_panel=DATA)] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the labels; several with commas between.", rich_help_panel=DATA)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What the labels are: classification, multi-label, regression, …: hubtl list tasks.",
            rich_help_panel=DATA,
        ),
    ] = None,
    augment: Annotated[Literal["auto", "none", "standard"] | None, typer.Option(rich_help_panel=DATA)] = None,
    on_bad_sample: Annotated[Literal["error", "skip"] | None, typer.Option(rich_help_panel=DATA)] = None,
    num_workers: Annotated[int | None, typer.Option(help="Loader processes.", rich_help_panel=DATA)] = None,
    steps: Annotated[int | None, typer.Option(help="Updates.", rich_help_panel=TRAIN)] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes, instead of steps.", rich_help_panel=TRAIN)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Per stream and process.", rich_help_panel=TRAIN)] = None,
    lr: Annotated[float | None, typer.Option(rich_help_panel=TRAIN)] = None,
    weight_decay: Annotated[float | None, typer.Option(rich_help_panel=TRAIN)] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adam, adamw, adagrad, …", rich_help_panel=TRAIN)] = None,
    schedule: Annotated[
        Literal["inverse-decay", "cosine", "step", "constant"] | None, typer.Option(rich_help_panel=TRAIN)
    ] = None,
    warmup_steps: Annotated[int | None, typer.Option(rich_help_panel=TRAIN)] = None,
    validator: Annotated[
        str | None, typer.Option(help="How the checkpoint is selected.", rich_help_panel=TRAIN)
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=TRAIN)] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,…", help="Train with each; mean and spread.", rich_help_panel=TRAIN)
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps.", rich_help_panel=TRAIN)] = None,
    mixed_precision: Annotated[Literal["no", "fp16", "bf16"] | None, typer.Option(rich_help_panel=TRAIN)] = None,
    gradient_accumulation_steps: Annotated[int | None, typer.Option(rich_help_panel=TRAIN)] = None,
    adjust: Annotated[
        bool | None,
        typer.Option("--adjust/--no-adjust", help="Adjust by what is measured while training.", rich_help_panel=TRAIN),
    ] = None,
    baseline: Annotated[
        bool | None, typer.Option("--baseline/--no-baseline", help="Train source-only too.", rich_help_panel=TRAIN)
    ] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="tensorboard, wandb, trackio, …; repeatable.", rich_help_panel=TRAIN)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any recipe key or strategy option; repeatable."),
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(rich_help_panel=OUT)] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the interrupted run in the output directory.", rich_help_panel=OUT),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in the output directory.", rich_help_panel=OUT),
    ] = False,
    keep_ensemble: Annotated[
        bool | None,
        typer.Option("--keep-ensemble", help="Save every averaged model too, for hubtl alone.", rich_help_panel=OUT),
    ] = None,
    push_to_hub: Annotated[str | None, typer.Option(metavar="USER/REPO", rich_help_panel=OUT)] = None,
    private: Annotated[bool | None, typer.Option("--private/--public", rich_help_panel=OUT)] = None,
    license: Annotated[
        str | None, typer.Option(help="Of the result: apache-2.0, …; default: the weights'.", rich_help_panel=OUT)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=OUT)] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=OUT)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings only.", rich_help_panel=OUT)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks and details.", rich_help_panel=OUT)] = False,
) -> None:
    """Adapt a model to a target: a labelled one alone (transfer), or an unlabelled one with a labelled source."""
    flags = {
        name: value
        for name, value in locals().items()
        if name not in ("recipe", "config", "set_", "resume", "overwrite", "dry_run", "json_", "quiet", "debug")
        and value is not None
        and value != []
    }
    from hubtl.cli.messages import begin, typed

    begin(quiet=quiet, debug=debug)
    from hubtl.cli.show import plan, result, stopped
    from hubtl.errors import HubtlError
    from hubtl.recipe.flags import KEYS
    from hubtl.recipe.reading import merge, parse, parse_set, read

    if recipe and config:
        raise HubtlError("the recipe is given twice", hint="RECIPE.yaml or --config RECIPE.yaml")
    path = recipe or config
    if resume and overwrite:
        raise HubtlError("--resume goes on with a run, and --overwrite removes it", hint="one of the two")
    saved = output_dir / "recipe.yaml" if output_dir else None
    if path is None and resume and not model and saved is not None and saved.exists():
        path = saved
    if path is None and resume and not model and saved is not None:
        raise HubtlError(
            f"there is no run to go on with in {output_dir}: it came to no checkpoint, or was never there",
            hint="the command that started it, without --resume",
        )
    changes: dict[str, Any] = {
        KEYS[name]: str(value) if isinstance(value, Path) else value for name, value in flags.items()
    }
    raw = merge(merge(read(path) if path else {}, changes), parse_set(set_ or []))
    if not raw.get("target"):
        raise HubtlError(
            "no target: nothing says what to adapt to", hint="hubtl adapt --model resnet50 --target-dataset user/data"
        )
    typed_flags = {KEYS[name]: f"--{name.replace('_', '-')}" for name in flags}
    checked = parse(raw, where=str(path) if path else "the command line", flags=typed_flags)
    if dry_run:
        plan(checked, as_json=json_)
        return
    from hubtl.engine.stop import Interrupted
    from hubtl.run.adapt import adapt as run_recipe
    from hubtl.signals import exit_code

    try:
        outcome = run_recipe(checked, command=typed(), resume=resume, overwrite=overwrite, shown=not (quiet or json_))
    except Interrupted as stop:
        stopped(stop.folder)
        raise typer.Exit(exit_code(stop)) from None
    result(outcome, as_json=json_)
    if outcome.not_pushed is not None:
        raise outcome.not_pushed
