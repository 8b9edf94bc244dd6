"""Write a program that predicts a text, as a card shows it."""

from collections.abc import Mapping
from typing import Any

PROGRAM = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{where}"{code})
model = AutoModelForSequenceClassification.from_pretrained("{where}"{code}).eval()

{inputs}
with torch.inference_mode():
    logits = model(**inputs).logits{mean}
{prints}
"""

ONE = 'inputs = tokenizer("What it says.", truncation=True, max_length={max_length}, return_tensors="pt")'

# one window may be classified alone, as transformers' pipeline does: the first tokens of a text
SEVERAL = """\
ids = tokenizer("What it says.")["input_ids"]
first, inner, last = ids[:{before}], ids[{before} : len(ids) - {after}], ids[len(ids) - {after} :]
count = min({windows}, max(1, -(-len(inner) // {inside})))  # windows of a long text
spare = max(0, min(len(inner), count * {inside}) - {inside})
starts = [place * spare // max(1, count - 1) for place in range(count)]
inputs = tokenizer.pad({{"input_ids": [first + inner[s : s + {inside}] + last for s in starts]}}, return_tensors="pt")"""


def program(where: str, spec: Mapping[str, Any], code: str, prints: str) -> str:
    """Return the program for a model's input, as the record describes it."""
    return PROGRAM.format(where=where, code=code, prints=prints, inputs=inputs(spec), mean=mean(spec))


def inputs(spec: Mapping[str, Any]) -> str:
    """Return the lines that prepare a text with ``tokenizer``."""
    if (windows := int(spec.get("windows", 1))) == 1:
        return ONE.format(max_length=spec["max_length"])
    before, after = spec["special"]
    return SEVERAL.format(before=before, after=after, windows=windows, inside=spec["max_length"] - before - after)


def mean(spec: Mapping[str, Any]) -> str:
    """Return what averages the logits of windows."""
    return ".mean(dim=0, keepdim=True)" if spec.get("windows", 1) > 1 else ""
