"""The tables in docs/benchmarks.md on shipping without labels. They also tell what a few labels buy."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Line = dict[str, Any]
Lines = Sequence[Line]
Rule = Callable[[Line], float]
BELOW = 1.0  # points: a run that ends further below source-only is hurt
HALF = 0.5  # of the way from chance to perfect on the source, below which source-only is kept
SINGLE = "always: adapted"
SEVERAL = "always: mcc"


def of(key: str) -> Rule:
    return lambda line: float(line[key])


def known(rule: Rule) -> Rule:
    """The same rule, but source-only where the source itself was hardly learnt."""
    return lambda line: rule(line) if line["known"] >= HALF else float(line["source_only"])


HEDGES = {f"hedge {a}": of(f"hedge {a}") for a in (0.4, 0.5, 0.6, 0.7)}
RULES: dict[str, Rule] = {
    "never: source-only": of("source_only"),
    SINGLE: of("always"),
    "vote of scores": of("vote"),
    "mean softmax": of("mean softmax"),
    **HEDGES,
    **{f"source known, {name}": known(rule) for name, rule in HEDGES.items()},
}
LABELS = "at most 20 labels"
ORACLE = "oracle"
WEIGHTED: dict[str, Rule] = {
    "z/σ": of("mean of z/σ"),
    **{f"z/σ, hedge {a}": of(f"mean of z/σ, hedge {a}") for a in (0.4, 0.5, 0.6, 0.7, 0.8)},
    **{f"rows, hedge {a}": of(f"mean of rows, hedge {a}") for a in (0.5, 0.6, 0.7)},
}
TOGETHER: dict[str, Rule] = {
    "never: source-only": of("source_only"),
    SEVERAL: of("always mcc"),
    "always: mean over methods": of("mean single method"),
    "source-only, z/σ over seeds": of("source-only, mean of z/σ"),
    "mcc, mean softmax": of("mcc, mean softmax"),
    "mean softmax": of("mean softmax"),
    "mean softmax, source-only a member": of("mean softmax, source-only a member"),
    **WEIGHTED,
    **{f"source known, {n}": known(r) for n, r in WEIGHTED.items() if n.endswith(("σ", "0.6", "0.7", "0.8"))},
    "EnsV's pick": of("EnsV's pick"),
}


def runs(lines: Lines) -> list[Line]:
    return [line for line in lines if line["kind"] == "run"]


def groups(lines: Lines, backbones: int | None = None, seeds: int | None = None) -> list[Line]:
    """Ensembles, of so many backbones and seeds."""
    return [
        line
        for line in lines
        if line["kind"] == "group"
        and backbones in (None, 1 + line["backbone"].count("+"))
        and seeds in (None, len(line["seeds"]))
    ]


def outcomes(lines: Lines, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """A rule's gain on source-only in points, and how often. The share is that of all."""
    rules = RULES if lines[0]["kind"] == "run" else TOGETHER
    base = np.array([line["source_only"] for line in lines])
    if rule == ORACLE:
        best = np.array([max(line["source_only"], line.get("oracle", line.get("always"))) for line in lines])
        return best - base, np.ones(len(lines))
    if rule != LABELS:
        return np.array([rules[rule](line) for line in lines]) - base, np.ones(len(lines))
    gain = np.array([line["always"] for line in lines]) - base
    right = np.array([(line["labels"] or {"right of 20": 1.0})["right of 20"] for line in lines])
    adapted = np.where(gain >= 0, right, 1 - right)
    return np.concatenate([gain, np.zeros(len(lines))]), np.concatenate([adapted, 1 - adapted])


def mean(lines: Lines, rule: str) -> float:
    gain, weight = outcomes(lines, rule)
    return float(np.average(gain, weights=weight))


def hurt(lines: Lines, rule: str) -> float:
    gain, weight = outcomes(lines, rule)
    return 100 * float(np.average(gain < -BELOW, weights=weight))


def worst(lines: Lines, rule: str) -> float:
    gain, weight = outcomes(lines, rule)
    return float(gain[weight > 0].min())


def _table(lines: Lines, rules: Sequence[str], always: str) -> list[str]:
    families = sorted({line["family"] for line in lines})
    head = " | ".join(f"{name}: gain, hurt" for name in families)
    rows = [f"| shipped | mean gain | of always' | hurt | worst | {head} |", "|---" * (5 + len(families)) + "|"]
    for rule in rules:
        own = {name: [line for line in lines if line["family"] == name] for name in families}
        cells = " | ".join(f"{mean(some, rule):+.1f}, {hurt(some, rule):.0f}%" for some in own.values())
        share = f"{100 * mean(lines, rule) / mean(lines, always):.0f}%"
        first = f"{mean(lines, rule):+.2f} | {share} | {hurt(lines, rule):.1f}% | {worst(lines, rule):+.1f}"
        rows.append(f"| {rule} | {first} | {cells} |")
    return rows


def _counted(lines: Lines) -> str:
    families = sorted({line["family"] for line in lines})
    return ", ".join(f"{sum(line['family'] == name for line in lines)} {name}" for name in families)


def single(lines: Lines) -> str:
    """One method and source-only: each rule over all runs, and by family."""
    every = runs(lines)
    rows = _table(every, [*RULES, LABELS, ORACLE], SINGLE)
    return "\n".join([*rows, "", f"{len(every)} runs: {_counted(every)}."])


def together(lines: Lines) -> str:
    """All methods of a case: each rule over the ensembles, and by family."""
    every = groups(lines)
    rows = _table(every, [*TOGETHER, ORACLE], SEVERAL)
    kinds = (
        (1, 1, "one seed"),
        (1, 2, "two seeds"),
        (2, 1, "one seed, two backbones"),
        (2, 2, "two seeds, two backbones"),
    )
    parts = ", ".join(f"{len(groups(lines, b, s))} of {said}" for b, s, said in kinds)
    return "\n".join([*rows, "", f"{len(every)} ensembles: {parts}; {_counted(every)}."])


def by_kind(lines: Lines) -> str:
    """Return the gain of more seeds and of a second backbone."""
    kinds = {
        "one seed": (1, 1),
        "two seeds": (1, 2),
        "one seed, two backbones": (2, 1),
        "two seeds, two backbones": (2, 2),
    }
    rows = ["| shipped: gain, hurt, worst | " + " | ".join(kinds) + " |", "|---" * (1 + len(kinds)) + "|"]
    shown = (
        SEVERAL,
        "mean softmax",
        "z/σ",
        "z/σ, hedge 0.7",
        "rows, hedge 0.6",
        "source known, z/σ, hedge 0.7",
        ORACLE,
    )
    for rule in shown:
        own = [groups(lines, *kind) for kind in kinds.values()]
        cells = [f"{mean(some, rule):+.1f}, {hurt(some, rule):.0f}%, {worst(some, rule):+.1f}" for some in own]
        rows.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(rows)


def chosen(lines: Lines, rules: Sequence[str], always: str) -> str:
    """The rule that gains most among the safe ones; safe rules hurt at most 1 % and keep 95 % of always' gain; else the
    one that hurts least.
    """
    fit = [r for r in rules if hurt(lines, r) <= 1 and mean(lines, r) >= 0.95 * mean(lines, always)]
    if fit:
        return max(fit, key=lambda rule: mean(lines, rule))
    keeps = [r for r in rules if mean(lines, r) >= 0.95 * mean(lines, always)]
    return min(keeps or list(rules), key=lambda rule: (hurt(lines, rule), -mean(lines, rule)))


def left_out(lines: Lines) -> list[tuple[str, str, Lines]]:
    """Of each family: its name, the rule that the other families would choose, and its ensembles."""
    every = groups(lines)
    found = []
    for family in sorted({line["family"] for line in every}):
        others = [line for line in every if line["family"] != family]
        rule = chosen(others, list(WEIGHTED), SEVERAL)
        found.append((family, rule, [line for line in every if line["family"] == family]))
    return found


def leave_out(lines: Lines) -> str:
    rows = ["| family left out | chosen on the others | mean gain | hurt | worst |", "|---|---|---|---|---|"]
    for family, rule, own in left_out(lines):
        figures = f"{mean(own, rule):+.2f} | {hurt(own, rule):.1f}% | {worst(own, rule):+.1f}"
        rows.append(f"| {family} | {rule} | {figures} |")
    gain, harm = apart(lines)
    rows.append(
        f"| all | – | {gain:+.2f} | {harm:.1f}% | {min(worst(own, rule) for _, rule, own in left_out(lines)):+.1f} |"
    )
    return "\n".join(rows)


def apart(lines: Lines) -> tuple[float, float]:
    """Mean gain and share hurt, family by family. Each ships by the rule that the others chose."""
    parts = [(len(own), mean(own, rule), hurt(own, rule)) for _, rule, own in left_out(lines)]
    total = sum(n for n, _, _ in parts)
    return sum(n * gain for n, gain, _ in parts) / total, sum(n * harm for n, _, harm in parts) / total


def checkpoint_losses(lines: Lines) -> dict[str, list[float]]:
    every = runs(lines)
    rules = [rule for rule in every[0]["checkpoints"] if rule != "oracle"]
    return {rule: [run["checkpoints"]["oracle"] - run["checkpoints"][rule] for run in every] for rule in rules}


def checkpoints(lines: Lines) -> str:
    """Return each rule's loss among ten checkpoints. It is compared with the best one."""
    families = sorted({line["family"] for line in runs(lines)})
    rows = [f"| rule | accuracy lost | worst | {' | '.join(families)} |", "|---" * (3 + len(families)) + "|"]
    for rule, lost in sorted(checkpoint_losses(lines).items(), key=lambda item: statistics.mean(item[1])):
        own = [checkpoint_losses([line for line in lines if line["family"] == name])[rule] for name in families]
        cells = " | ".join(f"{statistics.mean(some):.2f}" for some in own)
        rows.append(f"| {rule} | {statistics.mean(lost):.2f} | {max(lost):.1f} | {cells} |")
    return "\n".join(rows)


def asked(lines: Lines, key: str) -> float:
    found = [line["labels"][key] for line in runs(lines) if line["labels"] and key in line["labels"]]
    return statistics.mean(found) if found else float("nan")


def differing(lines: Lines, least: float) -> list[Line]:
    every = [line for line in runs(lines) if line["labels"]]
    return [line for line in every if abs(line["always"] - line["source_only"]) > least]


def labels(lines: Lines) -> str:
    """Labels asked for one at a time, with simulated answers. They are of rows on which the two models disagree."""
    rows = [
        "| the two differ by | runs | right, at most 50 labels | labels asked | right, at most 20 labels | interval covers |"
    ]
    rows[0] += " harmful one refused within 30 | not shipped after 30 |"
    rows.append("|---" * 8 + "|")
    for least in (0, 1, 5, 10, 20):
        own = differing(lines, least)
        right, few, covered = (100 * asked(own, key) for key in ("right", "right of 20", "covered"))
        planted = ["–", "–"]
        if least >= 5:
            planted = [f"{100 * asked(own, key):.1f}%" for key in ("refused", "not shipped")]
        said = "anything" if not least else f"> {least} points"
        rows.append(
            f"| {said} | {len(own)} | {right:.1f}% | {asked(own, 'asked'):.1f} | {few:.1f}% | {covered:.1f}% "
            f"| {' | '.join(planted)} |"
        )
    return "\n".join(rows)
