"""Recipes that leave much open, and the recorded decisions. A refactoring is seen to decide the same.

python -m tests.run.decided    # write tests/run/decided.json anew, where other decisions are meant
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from hubtl.recipe.reading import parse
from hubtl.run.prepare import Prepared, prepare
from tests.run.test_label_sets import digits
from tests.run.test_source_free import timm_folder

FILE = Path(__file__).with_name("decided.json")
LENET = {"model": {"name": "lenet", "pretrained": False}}
PAIR = {**LENET, "source": "SOME/source", "target": "SOME/target"}
ALONE = {**LENET, "target": "SOME/target"}
RECIPES: dict[str, dict[str, Any]] = {
    "auto, adaptation": PAIR,
    "auto, partial": {**PAIR, "target": "SOME/few"},
    "auto, open": {**PAIR, "source": "SOME/low"},
    "auto, transfer": ALONE,
    "auto, source-free": {"model": "SOME/resnet", "target": "SOME/target"},
    "source-only": {**PAIR, "strategy": "source-only", "run": {"fallback": True}},
    "partial, with an option": {
        **PAIR,
        "target": "SOME/few",
        "strategy": {"name": "shot", "options": {"min_count": 3}},
        "run": {"validator": "infomax"},
    },
    "frozen backbone": {**PAIR, "strategy": "subspace-alignment"},
    "sequential": {**PAIR, "strategy": "sequential"},
    "linear probe in epochs": {**ALONE, "strategy": "linear-probe", "run": {"epochs": 3}},
    "adjusting": {**ALONE, "strategy": "finetune", "run": {"adjust": True}},
    "given": {
        **PAIR,
        "strategy": "dann",
        "optim": {"lr": 0.1, "schedule": "constant", "backbone_lr_scale": 0.5},
        "run": {"steps": 40, "evaluate_every": 10, "validator": "last", "calibrate": True, "fallback": False},
        "data": {"augment": "standard"},
        "model": {"name": "lenet", "pretrained": False, "bottleneck": 16, "image_size": 32},
        "tuner": "full",
    },
}


def data(root: Path) -> Path:
    """The folders and files that the recipes name."""
    digits("mnist", [0, 1, 2, 3], root / "low")
    digits("mnist", [0, 1, 2, 3, 4, 5], root / "source")
    digits("uci", [0, 1], root / "few")
    digits("uci", [0, 1, 2, 3, 4, 5], root / "target")
    timm_folder(root / "resnet")
    return root


def prepared(name: str, root: Path) -> Prepared:
    return prepare(parse(json.loads(json.dumps(RECIPES[name]).replace("SOME/", f"{root}/"))))


def resolved(run: Prepared, root: Path) -> dict[str, Any]:
    """Every key of the recipe that has a value."""
    found = run.recipe.model_dump(mode="json", exclude_none=True)
    return dict(json.loads(json.dumps(found).replace(f"{root}/", "SOME/")))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        root = data(Path(home))
        known = {name: resolved(prepared(name, root), root) for name in RECIPES}
    FILE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
