"""Write a program that predicts a recording, as a card shows it."""

from collections.abc import Mapping
from typing import Any

from hubtl.modalities.audio.reader import SLACK

PROGRAM = """\
import soundfile
import torch
from scipy.signal import resample_poly
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

extractor = AutoFeatureExtractor.from_pretrained("{where}")
model = AutoModelForAudioClassification.from_pretrained("{where}").eval()

{inputs}
with torch.inference_mode():
    logits = {logits}
{prints}
"""

ONE = """\
sound, rate = soundfile.read("sound.wav", dtype="float32", always_2d=True)
sound = resample_poly(sound.mean(axis=1), {rate}, rate)[:{samples}]  # one channel, {rate} samples a second
inputs = extractor(sound, sampling_rate={rate}, return_tensors="pt")"""

# one window may be classified alone: the first seconds of a recording
SEVERAL = """\
sound, rate = soundfile.read("sound.wav", dtype="float32", always_2d=True)
sound = resample_poly(sound.mean(axis=1), {rate}, rate)  # one channel, {rate} samples a second
count = min({windows}, max(1, -(-(len(sound) - {slack}) // {samples})))  # windows of a long recording
spare = max(0, min(len(sound), count * {samples}) - {samples})
starts = [place * spare // max(1, count - 1) for place in range(count)]
windows = [extractor(sound[s : s + {samples}], sampling_rate={rate}, return_tensors="pt") for s in starts]"""


def program(where: str, spec: Mapping[str, Any], prints: str) -> str:
    """Return the program for a model's input, as the record describes it."""
    return PROGRAM.format(where=where, inputs=inputs(spec), logits=logits(spec), prints=prints)


def inputs(spec: Mapping[str, Any]) -> str:
    """Return the lines that prepare a recording with ``extractor``."""
    rate, windows = int(spec["rate"]), int(spec.get("windows", 1))
    given = {"rate": rate, "samples": round(rate * spec["seconds"]), "slack": round(SLACK * rate)}
    return ONE.format(**given) if windows == 1 else SEVERAL.format(windows=windows, **given)


def logits(spec: Mapping[str, Any]) -> str:
    """Return the logits, the mean over windows where there are several."""
    if spec.get("windows", 1) == 1:
        return "model(**inputs).logits"
    return "sum(model(**inputs).logits for inputs in windows) / count"
