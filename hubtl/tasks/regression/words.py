"""Write the words of a run and its card about predicted numbers."""

import math
from typing import Any

import numpy as np

from hubtl.card.wording import code, listing, md, significant
from hubtl.record import LabelSets, Outputs, RunRecord
from hubtl.tasks.regression.answer import with_unit
from hubtl.tasks.regression.figures import RegressionFigures

FEW_ROWS = 20  # of an output: its figures move much with each of them
NAMED = 6  # outputs that a card's first lines name
UNEVEN = 10  # how many times the error of one output may be that of another before their mean says little
OUTSIDE = 0.05  # share of a target's labels beyond the source's range that is worth a warning
CAPTIONS = {
    "features": "Features of both domains",
    "scatter": "Predicted against true values on the target's evaluation rows; on the line a prediction is right",
    "residuals": "Mean absolute error by range of the true value",
}
PICKS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("transfer", None): ("finetune", "the target is labelled and there is no source"),
    ("adaptation", None): (
        "dann",
        "a labelled source and an unlabelled target; it erred least of the methods on features on drawn shapes",
    ),
}


def units(outputs: Outputs) -> list[str]:
    """Return the unit of each output, as far as it is known."""
    found = outputs.details.get("unit")
    fits = isinstance(found, list) and len(found) == len(outputs.names) and all(isinstance(u, str) for u in found)
    return list(found) if fits and found is not None else [""] * len(outputs.names)


def called(outputs: Outputs) -> list[str]:
    """Return the outputs with their units: ``angle (degrees)``."""
    return [with_unit(name, unit) for name, unit in zip(outputs.names, units(outputs), strict=True)]


def numbers(outputs: Outputs, name: str) -> list[float] | None:
    """Return a detail that is one number per output, such as ``margin``.

    None where there is none that can be read.
    """
    found: Any = outputs.details.get(name)
    fits = isinstance(found, list) and len(found) == len(outputs.names)
    return found if fits and all(isinstance(n, int | float) and math.isfinite(n) and n >= 0 for n in found) else None


def ranges(outputs: Outputs) -> list[tuple[float, float]]:
    """Return each output's smallest and largest training label, where known."""
    found: Any = outputs.details.get("range")
    if not isinstance(found, list) or len(found) != len(outputs.names):
        return []
    fits = all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int | float) for end in pair)
        for pair in found
    )
    return [(pair[0], pair[1]) for pair in found] if fits else []


def gap(outputs: Outputs, apart: np.ndarray) -> str:
    """Describe mean differences [k] of two models: ``0.42 kg``, ``0.42 kg (weight), 3.1 (age)``."""
    with_units = [
        f"{significant(float(number))}{f' {unit}' if unit else ''}"
        for number, unit in zip(apart, units(outputs), strict=True)
    ]
    if len(with_units) == 1:
        return with_units[0]
    named = [f"{number} ({name})" for number, name in zip(with_units, outputs.names, strict=True)]
    return ", ".join(named[:NAMED]) + (f", and {len(named) - NAMED:,} more" if len(named) > NAMED else "")


def warnings(outputs: Outputs, relation: LabelSets, labels: np.ndarray | None) -> list[str]:
    """Warn where target labels exceed the training range. It also names outputs that are not measured."""
    found = []
    if labels is not None:
        for k, (name, (low, high)) in enumerate(zip(outputs.names, ranges(outputs), strict=False)):
            own = labels[np.isfinite(labels[:, k]), k]
            share = float(((own < low) | (own > high)).mean()) if len(own) else 0.0
            if share > OUTSIDE:
                found.append(
                    f"range: {share:.0%} of the target's values of {name} lie outside the source's "
                    f"({significant(low)} to {significant(high)}): a model that aligns domains cannot know of them"
                )
    if relation.source_only:
        found.append(f"the target has no values of {', '.join(relation.source_only)}: they are predicted, not measured")
    return found


def predicts(outputs: Outputs, of: str) -> str:
    """Name the outputs with their units. Markdown."""
    if not outputs.names:
        return ""
    named = [
        code(n) + (f" ({md(unit)})" if unit else "") for n, unit in zip(outputs.names, units(outputs), strict=True)
    ]
    shown = ", ".join(named[:NAMED]) + (f", and {len(named) - NAMED:,} more" if len(named) > NAMED else "")
    return f"It predicts {shown} from {'an' if of[0] in 'aeiou' else 'a'} {of}."


def limits(record: RunRecord) -> list[str]:
    """Describe the training range, and the scope of the intervals. Markdown."""
    found, outputs = [], record.outputs
    if known := ranges(outputs):
        own = "the target" if record.source is None or record.setting == "sequential" else "the source"
        of = "the data behind the model that was adapted" if record.setting == "source-free" else own
        spans = [
            f"{name} {significant(low)} to {significant(high)}{f' {unit}' if unit else ''}"
            for name, (low, high), unit in zip(outputs.names, known, units(outputs), strict=True)
        ]
        found.append(f"It learnt from values of {of} in these ranges, and extrapolates beyond them: {listing(spans)}.")
    if numbers(outputs, "margin"):
        found.append(
            "Its 90% intervals have one width for all inputs. They are valid for inputs that are drawn like the rows they "
            "were fitted on, those of the source's evaluation split, and not under the shift to the target."
            if record.source is not None
            else "Its 90% intervals have one width for all inputs, and are valid for inputs like the held-out rows alone."
        )
    if record.native and record.model.library == "transformers":
        found.append(
            "transformers' `pipeline` for classification turns outputs into probabilities: take `logits`, as above."
        )
    return found


def doubts(record: RunRecord) -> list[str]:
    """Describe why figures mean little: few rows, an error no smaller than a constant's. Markdown."""
    figures = _figures(record.adapted)
    if figures is None:
        return []
    found = []
    if figures.r2 is not None and figures.r2 <= 0:
        found.append("R² is not above 0: the mean of the target's own values, known in advance, would do as well.")
    few = [f"{o.name} ({o.n})" for o in figures.per_output if o.n < FEW_ROWS]
    if few:
        found.append(
            f"Outputs with fewer than {FEW_ROWS} labelled evaluation rows, whose figures mean little: {listing(few)}."
        )
    errors = [o.mae for o in figures.per_output if o.mae]
    if len(errors) > 1 and max(errors) > UNEVEN * min(errors):
        found.append(
            "The outputs differ so much in size that the mean MAE is that of the largest: see the figures of each output."
        )
    return found


def notes(record: RunRecord) -> str:
    """Explain how to read the figures and the intervals' coverage. The coverage is that on the target. Markdown."""
    several = len(record.outputs.names) > 1
    lines = ["MAE and RMSE are better when they are lower, R² and Spearman's ρ when they are higher."]
    if several:
        lines.append("Each figure is the mean over the outputs, which keep their own units.")
    options = record.recipe.get("task", {}).get("options", {})
    if options.get("loss") == "pinball" and options.get("quantile", 0.5) != 0.5:
        lines.append(f"The model predicts the {options['quantile']:g} quantile: its MAE is not meant to be least.")
    figures, margins = _figures(record.adapted), numbers(record.outputs, "margin")
    if figures is not None and figures.covered is not None and margins:
        half = listing(
            [
                f"±{significant(margin)}{f' {unit}' if unit else ''}" + (f" ({name})" if several else "")
                for margin, unit, name in zip(margins, units(record.outputs), record.outputs.names, strict=False)
            ]
        )
        lines.append(
            f"Intervals that hold for 90% of the held-out rows {'of the source ' if record.source else ''}({half}) "
            f"hold for {100 * figures.covered:.1f}% of the target's values."
        )
    return " ".join(lines)


def relation(record: RunRecord) -> str:
    """Describe the relation of the two domains' outputs. Markdown."""
    sets = record.label_sets
    if sets.setting == "unknown":
        return "The target has no labels: which numbers it could be measured by is unknown."
    text = f"Outputs that both domains have: {listing(sets.shared)}."
    if sets.source_only:
        text += f" Only the source has: {listing(sets.source_only)}."
    if sets.target_only:
        text += f" Only the target has, and the model does not predict: {listing(sets.target_only)}."
    if sets.respelt:
        pairs = [f"{ours!a} (target: {theirs!a})" for ours, theirs in sets.respelt.items()]
        text += f" Taken for the same: {listing(pairs)}."
    return text


def _figures(evaluation: Any) -> RegressionFigures | None:
    figures = None if evaluation is None else evaluation.figures
    return figures if isinstance(figures, RegressionFigures) else None
