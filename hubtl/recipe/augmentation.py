"""Parse the strong view of a recipe: RandAugment in timm's syntax, ``rand-m10-n2-mstd2``."""

import re
from typing import NamedTuple

OPERATIONS = (
    *("autocontrast", "equalize", "invert", "posterize", "solarize", "lighten"),
    *("colour", "contrast", "brightness", "sharpness"),
    *("rotate", "shear-x", "shear-y", "move-x", "move-y"),
)
PART = re.compile(r"(mstd|inc|m|n|p)(\d+(?:\.\d*)?|\.\d+)")
EXAMPLE = "rand-m10-n2-mstd2: magnitude m of 0 to 10, n operations, standard deviation of the magnitude; -p0.5: probability of each"


class RandAugment(NamedTuple):
    """Hold number, magnitude and probability of a strong view's operations."""

    strength: float = 1.0  # of the strongest; timm's m is ten times that
    changes: int = 2
    spread: float = 0.2  # standard deviation of the strength
    chance: float = 0.5


def randaugment(text: str) -> RandAugment:
    """Parse ``none`` or timm's ``rand-m…-n…-mstd…-p…``.

    The defaults are timm's: ``m`` 10, ``n`` 2, ``mstd`` 0 and ``p`` 0.5. The operations always grow with the magnitude,
    so that ``inc1`` changes nothing.

    Raises:
        ValueError: for anything else.
    """
    if text == "none":
        return RandAugment(changes=0)
    first, *parts = text.split("-")
    found = {match[1]: float(match[2]) for part in parts if (match := PART.fullmatch(part))}
    whole = found.get("n", 2.0)
    if first != "rand" or len(found) != len(parts) or found.get("inc", 1.0) != 1 or whole != int(whole):
        raise ValueError(f"write {EXAMPLE}")
    made = RandAugment(found.get("m", 10.0) / 10, int(whole), found.get("mstd", 0.0) / 10, found.get("p", 0.5))
    if made.strength > 1 or made.spread > 1 or made.chance > 1 or made.changes > 16:
        raise ValueError("m and mstd are at most 10, p at most 1 and n at most 16")
    return made
