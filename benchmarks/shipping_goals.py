"""The table in docs/benchmarks.md of aims and findings. It covers shipping without labels and with few."""

import statistics

import shipping_estimates as estimated
import shipping_table as ship

SHIPPED = "source known, z/σ, hedge 0.7"


def goals(lines: ship.Lines) -> str:
    rows = ["| aim | found | |", "|---|---|---|"]

    def row(aim: str, found: str, reached: bool) -> None:
        rows.append(f"| {aim} | {found} | {'reached' if reached else '**missed**'} |")

    every, several = ship.runs(lines), ship.groups(lines)
    for own, always, rules, said in (
        (every, ship.SINGLE, list(ship.RULES), "one method"),
        (several, ship.SEVERAL, list(ship.TOGETHER), "several methods together"),
    ):
        rule = ship.chosen(own, [name for name in rules if name not in ("never: source-only", always)], always)
        harm, share = ship.hurt(own, rule), 100 * ship.mean(own, rule) / ship.mean(own, always)
        aim = f"{said}: at most 1% hurt, at least 95% of always' gain"
        row(aim, f"{rule}: {harm:.1f}% hurt, {share:.0f}%; chosen on these rows", harm <= 1 and share >= 95)
    gain, harm = ship.apart(lines)
    share = 100 * gain / ship.mean(several, ship.SEVERAL)
    row(
        "the same, each family by the rule that the others chose",
        f"{harm:.1f}% hurt, {share:.0f}%",
        harm <= 1 <= share / 95,
    )
    few = 100 * ship.asked(ship.differing(lines, 1), "right of 20")
    row("right in 95% with at most 20 labels, where the two differ by more than a point", f"{few:.1f}%", few >= 95)
    covered = 100 * ship.asked(every, "covered")
    row("the interval of the gain covers in 88%", f"{covered:.1f}%", covered >= 88)
    refused = 100 * ship.asked(ship.differing(lines, 5), "refused")
    row(
        "a model that is five points worse, or more, is refused within 30 labels in 95%",
        f"{refused:.1f}%",
        refused >= 95,
    )
    for kind, said in (("adapted, beside source-only", "adapted models"), ("source-only", "source-only")):
        error = estimated.error(lines, kind)
        row(f"estimates of {said} are 8 points off on average", f"{error:.1f}", error <= 8)
        inside = estimated.coverage(lines, kind)
        aim = f"the 90% interval of {said} covers in 85%, its width from the other families"
        row(aim, f"{inside:.0f}%", inside >= 85)
    losses = ship.checkpoint_losses(lines)
    rule = min(losses, key=lambda name: statistics.mean(losses[name]))
    lost, most = statistics.mean(losses[rule]), max(losses[rule])
    row("a checkpoint loses 1 point on average, 5 at worst", f"{rule}: {lost:.2f}, {most:.1f}", lost <= 1 and most <= 5)
    two = ship.groups(lines, backbones=2, seeds=2)
    family = two[0]["family"]
    by_method: dict[tuple[str, str], list[float]] = {}
    for line in every:
        if line["family"] == family:
            by_method.setdefault((line["strategy"], line["backbone"]), []).append(line["always"])
    (method, backbone), alone = max(
        ((key, statistics.mean(found)) for key, found in by_method.items()), key=lambda pair: pair[1]
    )
    more = {rule: statistics.mean(ship.TOGETHER[rule](line) for line in two) - alone for rule in ("z/σ", SHIPPED)}
    aim = f"PACS: two backbones 3 points above the best single method ({method} on {backbone})"
    row(aim, ", ".join(f"{rule}: {points:+.1f}" for rule, points in more.items()), max(more.values()) >= 3)
    own = [line for line in several if line["family"] == family]
    low = ship.worst(own, SHIPPED)
    row(f"PACS: never more than a point below source-only, by {SHIPPED}", f"worst {low:+.1f}", low >= -ship.BELOW)
    return "\n".join(rows)
