"""Adapt, look at the figures, and predict, from Python: python examples/quickstart.py [OUTPUT_DIR]"""

import sys
from pathlib import Path

from sklearn.datasets import load_digits

import hubtl


def main(folder: Path, steps: int = 200) -> None:
    result = hubtl.adapt(
        model="lenet",
        pretrained=False,
        source_dataset="builtin:digits/mnist",
        target_dataset="builtin:digits/uci",
        strategy="coral",
        steps=steps,
        output_dir=str(folder),
        options={"weight": 1.0},  # of the strategy; "optim.clip_norm" and the like are the recipe's keys
        shown=True,
    )
    record = result.record
    for name, figures in (("source-only", record.source_only), (record.strategy, record.adapted)):
        if figures is not None and figures.accuracy is not None:
            print(f"{name:<12} {figures.accuracy:.1%} of {figures.n} held-out target rows")
    for warning in record.warnings:
        print("warning:", warning)

    digits = load_digits()
    pixels = (digits.images[0] * 255 / 16).astype("uint8")
    (prediction,) = hubtl.load(folder).predict([pixels])
    print(f"a {digits.target[0]} is taken for a {prediction.label} ({prediction.confidence:.0%} sure)")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart-run"))
