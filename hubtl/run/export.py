"""Write the result of a run: the model in its library's own format, plots, and the card."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml

from hubtl import hub
from hubtl.backbones.base import Backbone
from hubtl.card import adapter, document, metadata, names, plots, render
from hubtl.card.plots import FeatureSample
from hubtl.card.themes import THEMES, Theme
from hubtl.card.wording import md
from hubtl.engine.device import Accelerator
from hubtl.engine.sweep import outputs
from hubtl.errors import HubtlError
from hubtl.io import files
from hubtl.judging.judge import doubts, some
from hubtl.models import ensemble, saved
from hubtl.modules import Classifier, fold
from hubtl.record import RunRecord
from hubtl.run.prepare import Prepared
from hubtl.settings import logger
from hubtl.tasks import Task

SOURCE_ONLY = "source-only"  # folder of the baseline, where a run keeps it
ADAPTED = "adapted"  # folder of the adapted model, where a run keeps it and ships source-only
ENSEMBLE = "ensemble"  # folder of the models that were averaged, where a run keeps them


def check_card(record: RunRecord, push_to: str | None = None) -> None:
    """Raise HubtlError if the Hub would refuse the card's metadata.

    It is found here, before hours of training. With a repository to push to, the Hub itself is asked too.
    """
    found = metadata.of(record, push_to)
    if problems := metadata.problems(found):
        raise HubtlError(
            f"the Hub would refuse the card: {'; '.join(problems)}", hint="mend what it names, or report it"
        )
    if push_to:
        hub.check_push(push_to, document.front_matter(found))


def look(prepared: Prepared, model: Classifier, accelerator: Accelerator) -> FeatureSample | None:
    """Return features of some rows of both domains, for the plot; None without a source.

    Target labels are not read.
    """
    streams = prepared.streams
    if streams.source_eval is None or streams.source_eval_labels is None or not prepared.recipe.run.plots:
        return None
    rows = some(len(streams.source_eval))
    source = outputs(model, streams.source_eval, accelerator, rows=rows)
    target = outputs(model, streams.target_plain, accelerator, rows=some(len(streams.target_plain)))
    labels, there = source.labelled(streams.source_eval_labels[rows], prepared.task), target.flat()
    return FeatureSample(
        source=source.flat().features.numpy(),
        target=there.features.numpy(),
        source_labels=prepared.task.groups(labels),
        target_predictions=prepared.task.predicted(there.logits),
    )


def write(
    folder: Path,
    prepared: Prepared,
    record: RunRecord,
    model: Classifier,
    samples: Mapping[str, FeatureSample | None],
) -> None:
    """Save the deployed model, its tuner's adapter, and the plots.

    The tuner is merged and the bottleneck folded.

    Args:
        folder: the run directory.
        prepared: the prepared run.
        record: its record.
        model: the model.
        samples: features for the plots, by model.
    """
    _export(folder, prepared, record, model, record.strategy)
    if prepared.recipe.run.plots:
        draw(folder / "plots", record, samples, prepared.task)


def keep(folder: Path, prepared: Prepared, record: RunRecord, model: Classifier) -> None:
    """Save the source-only model of a run, with a short card. The run ships the adapted one.

    It can be pushed by itself.

    Args:
        folder: the run directory.
        prepared: the prepared run.
        record: its record.
        model: the source-only model.
    """
    _export(folder, prepared, record, model, "source-only")
    base = names.base_name(record.model)
    front = yaml.safe_dump({**metadata.license_of(record), "tags": ["hubtl", "source-only"]}, sort_keys=False)
    came = "as it came" if record.source is None else f"trained on {names.domain_name(record.source)} alone"
    text = (
        f"{base}, {came}: what {record.strategy} was compared with on {names.domain_name(record.target)}. Not adapted."
    )
    (folder / "README.md").write_text(f"---\n{front}---\n\n# Source-only\n\n{md(text)}\n", encoding="utf-8")


def keep_tried(folder: Path, prepared: Prepared, record: RunRecord, model: Classifier) -> None:
    """Save the adapted model of a run that ships source-only. It has its own record and card.

    Args:
        folder: the run directory.
        prepared: the prepared run.
        record: the record of the adapted model.
        model: the adapted model.
    """
    _export(folder, prepared, record, model, record.strategy)
    record.outputs = prepared.task.outputs
    record.warnings = [*prepared.warnings, *doubts(record)]
    record.status = "finished"
    record.save(folder)
    files.write(folder / "README.md", render(record))


def keep_members(
    folder: Path, members: Sequence[tuple[Prepared, Classifier, str]], counts: Sequence[float], record: RunRecord
) -> None:
    """Save every averaged model in its library's own format.

    Strategies and the factors of their outputs are saved beside them.
    """
    for number, (prepared, model, strategy) in enumerate(members):
        own = record.model_copy(update={"model": prepared.model})
        _export(folder / str(number), prepared, own, model, strategy, alone=False)
    ensemble.write(folder, counts)


def _export(
    folder: Path, prepared: Prepared, record: RunRecord, model: Classifier, strategy: str, *, alone: bool = True
) -> None:
    deployed = copy.deepcopy(model).cpu().eval()
    backbone = cast(Backbone, deployed.encoder.backbone)
    classifier = prepared.task.export(fold(deployed.encoder.bottleneck, deployed.head))
    folder.mkdir(parents=True, exist_ok=True)
    shipped = alone and strategy == record.strategy  # of the model that it is compared with nobody asked for an adapter
    if shipped and prepared.tuner.export(folder / "adapter", backbone, classifier, record.outputs.names):
        code = backbone.adapter_snippet(".", record.outputs.names)
        assert code is not None
        (folder / "adapter" / "README.md").write_text(adapter.render(record, code), encoding="utf-8")
    prepared.tuner.merge(backbone)
    backbone.merge()
    for p in deployed.parameters():
        p.requires_grad_(True)
    meta = {
        "task": record.task,
        "problem_type": prepared.task.problem_type,
        "strategy": strategy,
        "base_model": record.model.base_model,
        "revision": record.model.revision,
        "lineage": [
            made.model_dump(exclude_none=True) for made in (*record.model.lineage, names.step(record, strategy))
        ],
        **({"unknown": record.unknown} if record.unknown else {}),
        **({"plugins": [p.model_dump(exclude_none=True) for p in record.plugins]} if record.plugins else {}),
    }
    saved.save(folder, backbone, classifier, prepared.task.exported(), meta)


def draw(folder: Path, record: RunRecord, samples: Mapping[str, FeatureSample | None], task: Task) -> None:
    """Draw every plot that the run has data for, in two themes; these are for light and dark pages; name them in the
    record.
    """
    folder.mkdir(exist_ok=True)
    alone = record.strategy == metadata.SOURCE_ONLY  # there is nothing to compare it with
    named = {record.strategy if alone else "source-only": "before", record.strategy if alone else "adapted": "after"}
    seen = {title: sample for title, key in named.items() if (sample := samples.get(key)) is not None}
    drawn: dict[str, Callable[[Path, Theme], None]] = {}
    if record.training.curves:
        judged = [{"step": float(found.step), **found.scores} for found in record.selection.candidates]
        known = any(
            name in point for point in record.training.curves for one in judged for name in one if name != "step"
        )
        drawn["curves"] = lambda path, theme: plots.curves(record.training.curves, path, theme, () if known else judged)
    drawn |= task.plots(record)
    if seen:
        drawn["features"] = lambda path, theme: plots.features(seen, record.outputs.names, path, theme=theme)
    for name, plot in drawn.items():
        for theme in THEMES:
            plot(folder / f"{name}{theme.suffix}.png", theme)
    record.plots = [f"{name}{theme.suffix}.png" for name in drawn for theme in THEMES]


def card(folder: Path, record: RunRecord, *, into: Path | None = None) -> None:
    """Render the card of a run directory; text of a person outside the markers stays.

    Args:
        folder: the run directory.
        record: its record.
        into: takes the card in place of ``folder``, where its files are delivered later.
    """
    path = folder / "README.md"
    existing = path.read_text(encoding="utf-8") if path.exists() else None
    files.write((into or folder) / "README.md", render(record, existing=existing))
    logger.info("card       %s", path)
