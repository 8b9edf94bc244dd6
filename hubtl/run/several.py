"""Train the members of a run in turn; ship one of them, or their average."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hubtl.record import RunRecord
from hubtl.run import export
from hubtl.run.arm import BASELINE, Arm, Arms
from hubtl.run.combine import Part, combined
from hubtl.run.members import Member, averages, members_of
from hubtl.run.prepare import Prepared


def together(
    arms: Arms, each: Sequence[Prepared], record: RunRecord, before: Arm | None
) -> tuple[Arm, Callable[[Path], None] | None]:
    """Train all members and return the shipped arm. The function that saves the members comes with it.

    Facts on the others go to the record. Several strategies or backbones, or a hedge, are averaged. Several seeds alone
    are reported: the first one's model is shipped.

    Args:
        arms: the arms of the run.
        each: the run on each of its backbones.
        record: its record.
        before: the baseline of the first backbone.
    """
    recipe, members = arms.prepared.recipe, members_of(each)
    first = members[0]
    hedge = 1.0 if recipe.auto.hedge is None or before is None else recipe.auto.hedge
    averaged = averages(recipe.ensemble.members, recipe.ensemble.seeds, [one.recipe.model.name for one in each], hedge)
    parts, bases = [], [] if before is None else [Part(first, before)]
    for member in members:
        own = _arms(arms, member, first)
        base = _base(bases, member, any_seed=averaged)
        if base is None and before is not None and (base := own.baseline(member.strategy)) is not None:
            bases.append(Part(member, base))
        parts.append(Part(member, own.trained(member.strategy, baseline=base.evaluation if base else None)))
    if len(members) > 1 and not averaged:
        record.repeats = [part.facts(_base(bases, part.member)) for part in parts]
    if not averaged:
        return parts[0].arm, None
    shipped, record.ensemble, counts = combined(arms, parts, bases, hedge)
    named = [*((part, part.member.strategy) for part in parts), *((base, BASELINE) for base in bases)][: len(counts)]
    models = [(replace(part.home, task=part.arm.task), part.arm.model, strategy) for part, strategy in named]
    return shipped, lambda folder: export.keep_members(folder, models, counts, record)


def _base(bases: Sequence[Part], member: Member, *, any_seed: bool = False) -> Arm | None:
    """Return source-only of a member's backbone and seed. It has to be trained already.

    An average takes that of the first seed.
    """
    fit = (base for base in bases if base.member.model == member.model)
    return next((base.arm for base in fit if any_seed or base.member.seed == member.seed), None)


def _arms(arms: Arms, member: Member, first: Member) -> Arms:
    """Return the arms that train a member.

    All but those on the first backbone with the first seed keep their states apart.
    """
    key = "" if member.seed == first.seed else f"-seed{member.seed}"
    key += "" if member.model == first.model else f"-{Path(member.model).name}-{zlib.crc32(member.model.encode()):08x}"
    return replace(arms, prepared=member.prepared, key=key)
