"""A program that predicts a text, as a card shows it."""

PROGRAM = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{where}"{code})
model = AutoModelForSequenceClassification.from_pretrained("{where}"{code}).eval()

inputs = tokenizer("What it says.", truncation=True, max_length={max_length}, return_tensors="pt")
with torch.inference_mode():
    logits = model(**inputs).logits
{prints}
"""
