"""The tables of docs/benchmarks.md on what to ship without labels, and the picture of what each rule gains and hurts."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubtl.card import plots
from hubtl.card.themes import THEMES, Theme

Lines = Sequence[dict[str, Any]]
BELOW = 1.0  # points: a run that ends further below source-only is hurt
SINGLE = {  # what is shown -> the key of a run's line; None: computed here
    "never: source-only": "source_only",
    "always: adapted": "always",
    "vote of scores": "vote",
    "hedge 0.4": "hedge 0.4",
    "hedge 0.5": "hedge 0.5",
    "hedge 0.6": "hedge 0.6",
    "hedge 0.7": "hedge 0.7",
    "oracle": None,
}
TOGETHER = (
    "always mcc",
    "mcc, mean softmax",
    "mean softmax",
    "mean softmax, source-only a member",
    "mean of z/σ",
    "mean of z/σ, hedge 0.4",
    "mean of z/σ, hedge 0.5",
    "mean of z/σ, hedge 0.6",
    "mean of z/σ, hedge 0.7",
    "mean of z/σ, hedge 0.8",
    "EnsV's pick",
    "oracle",
)
BESIDE = {  # where the name of a rule stands in the picture: points off its mark, and its end at the mark
    "hedge 0.5": (-7, 3, "right"),
    "hedge 0.6": (0, 7, "center"),
    "hedge 0.7": (6, -11, "left"),
    "vote of scores": (0, -13, "center"),
    "never: source-only": (10, -3, "left"),
    "mean softmax, source-only a member": (0, -13, "center"),
}


def runs(lines: Lines) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == "run"]


def groups(lines: Lines, *, both: bool) -> list[dict[str, Any]]:
    """Ensembles of one backbone, or of two."""
    return [line for line in lines if line["kind"] == "group" and ("+" in line["backbone"]) is both]


def gains(lines: Lines, rule: str) -> list[float]:
    """By how many points a rule's choice is better than source-only, of each run or ensemble."""
    key = SINGLE.get(rule, rule)
    if key is None:  # of one method and source-only; of several together it is in the line
        return [
            line.get("oracle", max(line["source_only"], line.get("always", 0.0))) - line["source_only"]
            for line in lines
        ]
    return [line[key] - line["source_only"] for line in lines]


def hurt(found: Sequence[float]) -> float:
    return 100 * sum(gain < -BELOW for gain in found) / len(found)


def _row(name: str, found: Sequence[float], always: float) -> str:
    mean = statistics.mean(found)
    share = "–" if always <= 0 else f"{100 * mean / always:.0f}%"
    return f"| {name} | {mean:+.2f} | {share} | {hurt(found):.1f}% | {min(found):+.1f} |"


HEAD = ["| shipped | mean gain | of always' | hurt | worst |", "|---|---|---|---|---|"]


def single(lines: Lines) -> str:
    """One method and source-only: each rule over all runs, and by family."""
    every = runs(lines)
    families = sorted({line["family"] for line in every})
    head = " | ".join(f"{name}: gain, hurt" for name in families)
    rows = [
        f"| shipped | mean gain | of always' | hurt | worst | {head} |",
        "|---" * (5 + len(families)) + "|",
    ]
    always = statistics.mean(gains(every, "always: adapted"))
    for rule in SINGLE:
        cells = []
        for family in families:
            own = gains([line for line in every if line["family"] == family], rule)
            cells.append(f"{statistics.mean(own):+.1f}, {hurt(own):.0f}%")
        rows.append(f"{_row(rule, gains(every, rule), always)} {' | '.join(cells)} |")
    number = ", ".join(f"{sum(line['family'] == name for line in every)} {name}" for name in families)
    return "\n".join([*rows, "", f"{len(every)} runs: {number}."])


def together(lines: Lines) -> str:
    """All methods and seeds of a case: each rule over the cases, on one backbone and on two."""
    parts = []
    for both, said in ((False, "On one backbone"), (True, "On two backbones, against source-only of the larger one")):
        own = groups(lines, both=both)
        if own:
            always = statistics.mean(gains(own, "always mcc"))
            parts.append(f"{said} ({len(own)} cases):\n")
            parts += [*HEAD, *(_row(rule, gains(own, rule), always) for rule in TOGETHER), ""]
    return "\n".join(parts).rstrip()


def errors(lines: Lines, kind: str) -> list[float]:
    """Estimate less accuracy, in points; of source-only once for each of its runs."""
    found = {}
    for line in runs(lines):
        key = tuple(line[name] for name in ("family", "case", "backbone", "seed"))
        truth = line["source_only"] if kind == "source-only" else line["always"]
        found[key if kind == "source-only" else (*key, line["strategy"])] = line["estimate"][kind] - truth
    return list(found.values())


KINDS = ("source-only", "adapted", "adapted, beside source-only")


def measured(lines: Lines, kind: str) -> dict[str, float]:
    """The mean absolute error of estimates, and what nine of ten are below, as shares rounded to points."""
    found = np.abs(errors(lines, kind)) / 100
    return {"error": round(float(found.mean()), 2), "reach": round(float(np.quantile(found, 0.9)), 2)}


def shown(lines: Lines) -> str:
    """The errors that hubtl writes beside its estimates."""
    return json.dumps({kind: measured(lines, kind) for kind in KINDS}, indent=2) + "\n"


def estimates(lines: Lines) -> str:
    families = sorted({line["family"] for line in runs(lines)})
    head = " | ".join(families)
    rows = [
        f"| estimate of | mean error | nine of ten below | mean, signed | {head} |",
        "|---" * (4 + len(families)) + "|",
    ]
    for kind in KINDS:
        found = errors(lines, kind)
        own = [errors([line for line in lines if line["family"] == name], kind) for name in families]
        cells = " | ".join(f"{np.abs(values).mean():.1f}" for values in own)
        mean, most = np.abs(found).mean(), np.quantile(np.abs(found), 0.9)
        rows.append(f"| {kind} | {mean:.1f} | {most:.1f} | {np.mean(found):+.1f} | {cells} |")
    return "\n".join(rows)


def checkpoints(lines: Lines) -> str:
    """What each rule's choice among ten checkpoints loses against the best one."""
    every = runs(lines)
    rows = ["| rule | accuracy lost | worst |", "|---|---|---|"]
    found = []
    for rule in every[0]["checkpoints"]:
        lost = [line["checkpoints"]["oracle"] - line["checkpoints"][rule] for line in every]
        found.append((statistics.mean(lost), rule, max(lost)))
    rows += [f"| {rule} | {mean:.2f} | {most:.1f} |" for mean, rule, most in sorted(found) if rule != "oracle"]
    return "\n".join(rows)


def _labels(lines: Lines, key: str) -> float:
    return statistics.mean(line["labels"][key] for line in runs(lines) if line["labels"] and key in line["labels"])


def labels(lines: Lines) -> str:
    """Labels that are asked for one at a time where the two models disagree, their answers simulated."""
    every = [line for line in runs(lines) if line["labels"]]
    apart = [line for line in every if abs(line["always"] - line["source_only"]) > BELOW]
    rows = ["| runs | right, at most 50 labels | labels asked | right, at most 20 labels | interval covers |"]
    rows.append("|---|---|---|---|---|")
    for said, own in ((f"all {len(every)}", every), (f"the {len(apart)} that differ by more than a point", apart)):
        shares = [100 * _labels(own, key) for key in ("right", "right of 20", "covered")]
        asked = _labels(own, "asked")
        rows.append(f"| {said} | {shares[0]:.1f}% | {asked:.1f} | {shares[1]:.1f}% | {shares[2]:.1f}% |")
    return "\n".join(rows)


def goals(lines: Lines) -> str:
    """What was aimed for, and what came of it."""
    every, one = runs(lines), groups(lines, both=False)
    rows = ["| aim | found | reached |", "|---|---|---|"]

    def row(aim: str, found: str, reached: bool) -> None:
        rows.append(f"| {aim} | {found} | {'yes' if reached else '**no**'} |")

    for own, always, rules, of in (
        (every, "always: adapted", [r for r in SINGLE if r not in ("oracle", "always: adapted")], "one method"),
        (one, "always mcc", [r for r in TOGETHER if r not in ("oracle", "always mcc")], "several methods"),
    ):
        base = statistics.mean(gains(own, always))
        fit = [rule for rule in rules if statistics.mean(gains(own, rule)) >= 0.95 * base]
        rule = min(fit or rules, key=lambda name: (hurt(gains(own, name)), -statistics.mean(gains(own, name))))
        got, share = hurt(gains(own, rule)), 100 * statistics.mean(gains(own, rule)) / base
        row(
            f"{of}: at most 1% hurt, at least 95% of always' gain",
            f"{rule}: {got:.1f}% hurt, {share:.0f}% of the gain",
            got <= 1 and share >= 95,
        )
    apart = [line for line in every if abs(line["always"] - line["source_only"]) > BELOW]
    few = 100 * _labels(apart, "right of 20")
    row("with at most 20 labels right in 95% (models more than a point apart)", f"{few:.1f}%", few >= 95)
    covered = 100 * _labels(every, "covered")
    row("the interval of the gain covers in 88%", f"{covered:.1f}%", covered >= 88)
    refused = 100 * _labels(every, "refused")
    row("a model that is five points worse is refused within 30 labels in 95%", f"{refused:.1f}%", refused >= 95)
    error, reach = measured(lines, "adapted, beside source-only").values()
    row("estimates of adapted models 8 points off on average", f"{100 * error:.0f}", error <= 0.08)
    alone = measured(lines, "source-only")["error"]
    row("estimates of source-only 8 points off on average", f"{100 * alone:.0f}", alone <= 0.08)
    inside = 100 * statistics.mean(abs(e) <= 100 * reach for e in errors(lines, "adapted, beside source-only"))
    row("their 90% interval covers 85%", f"{inside:.0f}%, as it was fitted on these runs", inside >= 85)
    best = {
        rule: [line["checkpoints"]["oracle"] - line["checkpoints"][rule] for line in every]
        for rule in every[0]["checkpoints"]
        if rule != "oracle"
    }
    rule = min(best, key=lambda name: statistics.mean(best[name]))
    lost, most = statistics.mean(best[rule]), max(best[rule])
    row("a checkpoint loses 1 point on average, 5 at worst", f"{rule}: {lost:.2f}, {most:.1f}", lost <= 1 and most <= 5)
    two = groups(lines, both=True)
    if two:
        alone = [line for line in every if line["family"] == two[0]["family"]]
        by_method: dict[tuple[str, str], list[float]] = {}
        for line in alone:
            by_method.setdefault((line["strategy"], line["backbone"]), []).append(line["always"])
        (method, backbone), best_alone = max(
            ((key, statistics.mean(found)) for key, found in by_method.items()), key=lambda pair: pair[1]
        )
        joined = statistics.mean(line["mean of z/σ"] for line in two) - best_alone
        aim = f"PACS: two backbones 3 points above the best single method ({method} on {backbone})"
        row(aim, f"mean of z/σ: {joined:+.1f}", joined >= 3)
        worst = min(gains(two, "mean of z/σ"))
        row("PACS: two backbones never more than a point below source-only", f"worst {worst:+.1f}", worst >= -BELOW)
    return "\n".join(rows)


def frontier(lines: Lines, folder: Path) -> None:
    """Draw what each rule gains on average against how many runs it hurts, for light and for dark pages."""
    for theme in THEMES:
        _frontier(lines, folder / f"frontier{theme.suffix}.png", theme)


def _frontier(lines: Lines, path: Path, theme: Theme) -> None:
    figure = plots.blank(9.2, 4.0)
    panels = (
        ("one method and source-only", runs(lines), [name for name in SINGLE if name != "oracle"]),
        ("several methods together, one backbone", groups(lines, both=False), [n for n in TOGETHER if n != "oracle"]),
    )
    for number, (title, own, rules) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 2, number)
        for rule in rules:
            found = gains(own, rule)
            hedged = "hedge" in rule
            axes.scatter(
                hurt(found),
                statistics.mean(found),
                s=42,
                marker="o" if hedged else "s",
                color=theme.after if hedged else theme.before,
                edgecolors=theme.edge,
                linewidths=0.6,
                zorder=3,
            )
            short = rule.replace("mean of z/σ, ", "").replace("mean softmax, source-only a member", "with source-only")
            x, y, side = BESIDE.get(rule, (-7, -3, "right") if hedged else (7, -3, "left"))
            axes.annotate(
                short,
                (hurt(found), statistics.mean(found)),
                xytext=(x, y),
                ha=side,
                textcoords="offset points",
                fontsize=7,
                color=theme.ink,
            )
        axes.axvline(1, color=theme.muted, lw=0.8, ls=":")
        axes.set_title(title)
        axes.set_xlabel("runs more than 1 point below source-only, %")
        axes.set_ylabel("mean gain over source-only, points")
        axes.margins(x=0.3, y=0.14)
        plots.grid(axes, theme)
    plots.save(figure, path, theme)
