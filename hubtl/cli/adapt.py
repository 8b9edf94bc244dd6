"""Adapt a model (``hubtl adapt``)."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DATA, TRAIN, OUT = "Data", "Training", "Output"


def adapt(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe in YAML. Flags override its keys.")] = None,
    config: Annotated[Path | None, typer.Option(help="Same as RECIPE.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="timm name, Hub id (user/repo[@revision]), torchvision:NAME, folder, or lenet."),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option("--pretrained/--no-pretrained", help="Load pretrained weights, or start from random ones."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square input in pixels. Default: the model's own.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Strategy to train with (see hubtl list strategies). Default: auto.")
    ] = None,
    members: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Average the models of these strategies into one.")
    ] = None,
    hedge: Annotated[
        float | None, typer.Option(help="Share of the adapted models in the average with source-only, 0 to 1.")
    ] = None,
    tuner: Annotated[
        str | None, typer.Option(help="Which backbone parameters to train (see hubtl list tuners).")
    ] = None,
    source_dataset: Annotated[
        str | None,
        typer.Option(
            help="Labelled source: Hub dataset, folder, file, or builtin:digits/mnist. Omit it for transfer learning.",
            rich_help_panel=DATA,
        ),
    ] = None,
    source_split: Annotated[
        str | None, typer.Option(rich_help_panel=DATA, help="Split of the source to train on. Default: train.")
    ] = None,
    source_domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE",
            help="Domain: value of its column, or folder, for the source. Repeat for several sources.",
            rich_help_panel=DATA,
        ),
    ] = None,
    target_dataset: Annotated[
        str | None,
        typer.Option(
            help="Target to adapt to: Hub dataset, folder, file, or builtin:digits/uci.", rich_help_panel=DATA
        ),
    ] = None,
    target_split: Annotated[
        str | None, typer.Option(rich_help_panel=DATA, help="Split of the target to train on. Default: train.")
    ] = None,
    target_eval_split: Annotated[
        str | None,
        typer.Option(rich_help_panel=DATA, help="Split of the target to evaluate on. Default: test, else validation."),
    ] = None,
    target_domain: Annotated[
        str | None,
        typer.Option(rich_help_panel=DATA, help="Domain: value of its column, or folder, for the target."),
    ] = None,
    target_labels: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="Learn from the labels of some target rows in this file (see hubtl label --export).",
            rich_help_panel=DATA,
        ),
    ] = None,
    target_labels_per_class: Annotated[
        int | None, typer.Option(help="Learn from this many labelled target rows of each class.", rich_help_panel=DATA)
    ] = None,
    domain_column: Annotated[
        str | None, typer.Option(help="Column that names the domain of each row.", rich_help_panel=DATA)
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME", help="Column of a modality, such as image=photo. Repeatable.", rich_help_panel=DATA
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of labels, or several separated by commas. Default: found by its type.", rich_help_panel=DATA
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task: classification, multi-label, regression (see hubtl list tasks).",
            rich_help_panel=DATA,
        ),
    ] = None,
    augment: Annotated[
        Literal["auto", "none", "standard"] | None,
        typer.Option(rich_help_panel=DATA, help="Augment training images by random crops and flips, or not."),
    ] = None,
    on_bad_sample: Annotated[
        Literal["error", "skip"] | None,
        typer.Option(rich_help_panel=DATA, help="Fail on unreadable inputs, or skip them."),
    ] = None,
    num_workers: Annotated[
        int | None, typer.Option(help="Number of data loading processes.", rich_help_panel=DATA)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of optimiser updates.", rich_help_panel=TRAIN)] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Number of epochs, instead of --steps.", rich_help_panel=TRAIN)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Batch size per stream and process.", rich_help_panel=TRAIN)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(rich_help_panel=TRAIN, help="Learning rate of new layers. Default: the strategy's.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(rich_help_panel=TRAIN, help="Weight decay.")] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="Optimiser: sgd, adam, adamw, adagrad or another one of timm.", rich_help_panel=TRAIN),
    ] = None,
    schedule: Annotated[
        Literal["inverse-decay", "cosine", "step", "constant"] | None,
        typer.Option(rich_help_panel=TRAIN, help="Learning rate schedule. Default: the strategy's."),
    ] = None,
    warmup_steps: Annotated[
        int | None, typer.Option(rich_help_panel=TRAIN, help="Number of linear warmup steps.")
    ] = None,
    validator: Annotated[
        str | None,
        typer.Option(help="Rule that selects the checkpoint (see hubtl list validators).", rich_help_panel=TRAIN),
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=TRAIN, help="Random seed.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,…", help="Train with each seed, and report mean and standard deviation.", rich_help_panel=TRAIN
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device: cpu, cuda or mps. Default: the best available.", rich_help_panel=TRAIN)
    ] = None,
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None, typer.Option(rich_help_panel=TRAIN, help="Train in mixed precision.")
    ] = None,
    gradient_accumulation_steps: Annotated[
        int | None, typer.Option(rich_help_panel=TRAIN, help="Number of micro-batches per update.")
    ] = None,
    adjust: Annotated[
        bool | None,
        typer.Option(
            "--adjust/--no-adjust",
            help="Adjust learning rates, batch size and losses during training.",
            rich_help_panel=TRAIN,
        ),
    ] = None,
    baseline: Annotated[
        bool | None,
        typer.Option("--baseline/--no-baseline", help="Train source-only as a baseline, too.", rich_help_panel=TRAIN),
    ] = None,
    report_to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Log to tensorboard, wandb, trackio, … Repeatable.", rich_help_panel=TRAIN),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any recipe key or strategy option. Repeatable."),
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(rich_help_panel=OUT, help="Output directory. Default: runs/MODEL-STRATEGY-TARGET.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume the interrupted run in the output directory.", rich_help_panel=OUT),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the run in the output directory.", rich_help_panel=OUT),
    ] = False,
    keep_ensemble: Annotated[
        bool | None,
        typer.Option(
            "--keep-ensemble", help="Save every averaged model, too, to be loaded by hubtl.", rich_help_panel=OUT
        ),
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="USER/REPO", rich_help_panel=OUT, help="Push the result to this repository of the Hub."),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", rich_help_panel=OUT, help="Create the repository as private or public."),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="Licence of the result, such as apache-2.0. Default: the weights'.", rich_help_panel=OUT),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=OUT)] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=OUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.", rich_help_panel=OUT)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.", rich_help_panel=OUT)] = False,
) -> None:
    """Adapt a model to a labelled or an unlabelled target.

    With a labelled source, the target needs no labels (domain adaptation). Without a source, the target is labelled
    (transfer learning).
    """
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
        raise HubtlError("--resume continues a run, and --overwrite removes it", hint="one of the two")
    saved = output_dir / "recipe.yaml" if output_dir else None
    if path is None and resume and not model and saved is not None and saved.exists():
        path = saved
    if path is None and resume and not model and saved is not None:
        raise HubtlError(
            f"there is no run to resume in {output_dir}: it reached no checkpoint, or never existed",
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
