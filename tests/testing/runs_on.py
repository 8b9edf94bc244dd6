"""Writes docs/runs-on.json, which strategy runs on which task, as tried: ``python -m tests.testing.runs_on``."""

import json
from pathlib import Path

from hubtl import plugins
from hubtl.strategy import Strategy
from hubtl.testing.tasks import runs

FILE = Path(__file__).parents[2] / "docs" / "runs-on.json"
TASKS = ("classification", "multi-label", "regression", "segmentation")


def tried(cls: type[Strategy]) -> dict[str, bool]:
    return {task: runs(cls, task) for task in TASKS}


def main() -> None:
    entries = sorted((e for e in plugins.entries("strategies").values() if e.builtin), key=lambda e: e.name)
    FILE.write_text(json.dumps({e.name: tried(e.load()) for e in entries}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
