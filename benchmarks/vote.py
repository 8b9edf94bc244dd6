"""The vote of label-free scores between source-only and adapted: a row of the tables, and no rule that hubtl ships by.

A constant ("always adapt") is right more often; the tables show both.
"""

from collections.abc import Collection, Mapping

SAME = 1e-6  # scores that differ by no more are equal


def vote(
    before: Mapping[str, float], after: Mapping[str, float], voters: Collection[str], abstain: Collection[str] = ()
) -> tuple[bool, str]:
    """Whether most voters score the adapted model higher, and who does; a tie is source-only's."""
    known = [name for name in voters if name in before and name in after and name not in abstain]
    better = sorted(name for name in known if after[name] > before[name] + SAME)
    worse = sorted(name for name in known if after[name] < before[name] - SAME)
    said = f"{', '.join(better) or 'none'} for the adapted model; {', '.join(worse) or 'none'} for source-only"
    return len(better) > len(worse), said
