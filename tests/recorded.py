"""Three short runs whose weights are recorded. A refactoring is seen to change no result.

python -m tests.recorded       # write tests/recorded.json anew, where a change of results is meant
"""

import hashlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import hubtl

FILE = Path(__file__).with_name("recorded.json")
DIGITS = {
    "source_dataset": "builtin:digits/mnist",
    "source_split": "train[:64]",
    "target_dataset": "builtin:digits/uci",
    "target_split": "train[:64]",
    "target_eval_split": "test[:40]",
}
SOURCE = {"source.eval_split": "test[:40]"}
TARGET = {key: value for key, value in DIGITS.items() if key.startswith("target")}
RUNS: dict[
    str, dict[str, Any]
] = {  # lenet has dropout; the ensemble chooses among two checkpoints; transfer reads labels
    "mcc": {**DIGITS, "strategy": "mcc", "options": SOURCE},
    "cdan+mcc": {
        **DIGITS,
        "strategy": "cdan+mcc",
        "validator": "ensemble",
        "options": {**SOURCE, "run.evaluate_every": 4, "run.calibrate": True},
    },
    "finetune": {**TARGET, "strategy": "finetune"},
}


def machine() -> str:
    """Return what a result's last bit depends on beside the code."""
    return f"torch {torch.__version__}, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def trained(name: str, folder: Path) -> dict[str, Any]:
    """Run one and describe its weights: a digest, and mean and spread of each tensor."""
    words = {**RUNS[name]}
    options = {"run.plots": False, **words.pop("options", {})}
    common: dict[str, Any] = {"model": "lenet", "pretrained": False, "steps": 8, "batch_size": 8, "device": "cpu"}
    hubtl.adapt(**common, **words, options=options, output_dir=str(folder))
    path = folder / "model.safetensors"
    tensors = load_file(path)
    return {
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "tensors": {k: [float(v.double().mean()), float(v.double().std())] for k, v in sorted(tensors.items())},
    }


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        runs = {name: trained(name, Path(home) / str(i)) for i, name in enumerate(RUNS)}
    FILE.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
