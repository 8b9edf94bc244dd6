"""A program that predicts a recording, as a card shows it."""

PROGRAM = """\
import soundfile
import torch
from scipy.signal import resample_poly
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

extractor = AutoFeatureExtractor.from_pretrained("{where}")
model = AutoModelForAudioClassification.from_pretrained("{where}").eval()

sound, rate = soundfile.read("sound.wav", dtype="float32", always_2d=True)
sound = resample_poly(sound.mean(axis=1), {rate}, rate)[: {samples}]  # one channel, {rate} samples a second
inputs = extractor(sound, sampling_rate={rate}, return_tensors="pt")
with torch.inference_mode():
    logits = model(**inputs).logits
{prints}
"""
