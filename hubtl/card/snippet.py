"""Write the code that loads the model, predicts one input and prints its answer."""

from collections.abc import Mapping

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.record import RunRecord

TIMM = """\
import timm
import torch
from PIL import Image

model = timm.create_model("{where}", pretrained=True).eval()
config = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**config, is_training=False)

image = Image.open("image.jpg").convert("{mode}")
with torch.inference_mode():
    logits = model(transform(image).unsqueeze(0))
{prints}
"""

TRANSFORMERS = """\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("{where}")
model = AutoModelForImageClassification.from_pretrained("{where}").eval()

image = Image.open("image.jpg").convert("{mode}")
with torch.inference_mode():
    logits = model(**processor(image, return_tensors="pt")).logits
{prints}
"""

TEXT = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{where}"{code})
model = AutoModelForSequenceClassification.from_pretrained("{where}"{code}).eval()

inputs = tokenizer("What it says.", truncation=True, max_length={max_length}, return_tensors="pt")
with torch.inference_mode():
    logits = model(**inputs).logits
{prints}
"""

AUDIO = """\
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

HUBTL = """\
import hubtl
from PIL import Image

model = hubtl.load("{where}")
image = Image.open("image.jpg").convert("{mode}")
logits = model.logits([image])
{prints}
"""

ASKED = """\
import hubtl

model = hubtl.load("{where}")
answer = model.predict(["image.jpg"])[0]
print({printed})
"""

ROWS = """\
import hubtl  # pip install hubtl hubtl-multimodal

model = hubtl.load("{where}")
row = {{{row}}}  # leave out what a row lacks
{prints}
"""
EXAMPLES = {"image": "image.jpg", "text": "What it says.", "audio": "sound.wav"}

FRAME = """\
from PIL import Image

image = Image.open("image.jpg").convert("{mode}")
{given}
names = {names}
{prints}
"""


def needs_code(given: object) -> bool:
    """Return whether a model with such an ``input`` in its record loads with the code beside it."""
    return isinstance(given, Mapping) and given.get("pooling", "own") != "own"


def loader(record: RunRecord) -> str:
    """Return the library that a reader needs: timm, transformers, or hubtl."""
    library = record.model.library
    return library if record.native and library in ("timm", "transformers") else "hubtl"


def default(record: RunRecord, repo: str | None) -> str:
    """Return complete code for the library of the record.

    Without a repository it loads the folder that the card lies in.
    """
    printed = _printed(record)
    if record.model.parts:
        row = ", ".join(f'"{m}": "{EXAMPLES.get(m, m)}"' for m in record.model.parts)
        prints = (
            f"answer = model.predict(row)[0]\nprint({printed})" if printed else "print(model.predict(row)[0].label)"
        )
        return ROWS.format(where=repo or ".", row=row, prints=prints)
    library, takes = loader(record), record.model.modalities
    prints = _prints(record, library)
    if library == "transformers" and takes == ["text"]:
        given = record.model.input
        code = ", trust_remote_code=True" if needs_code(given) else ""
        return TEXT.format(where=repo or ".", max_length=given["max_length"], code=code, prints=prints)
    if library == "transformers" and takes == ["audio"]:
        rate = int(record.model.input["rate"])
        samples = round(rate * record.model.input["seconds"])
        return AUDIO.format(where=repo or ".", rate=rate, samples=samples, prints=prints)
    if library == "timm":
        return TIMM.format(where=f"hf-hub:{repo}" if repo else "local-dir:.", mode=_mode(record), prints=prints)
    if library == "hubtl" and printed:
        return ASKED.format(where=repo or ".", printed=printed)
    template = TRANSFORMERS if library == "transformers" else HUBTL
    return template.format(where=repo or ".", mode=_mode(record), prints=prints)


def complete(given: str, record: RunRecord) -> str:
    """Complete a backbone's code, which sets ``logits`` for a PIL image in ``image``.

    Code that opens its own image is complete already.
    """
    if "Image.open" in given or record.model.modalities != ["image"]:
        return given
    code = {"given": given.strip("\n"), "names": _literal(record.outputs.names), "prints": _prints(record)}
    return FRAME.format(mode=_mode(record), **code)


def _prints(record: RunRecord, library: str | None = None) -> str:
    """Return the last lines, which print the meaning of ``logits``.

    They print plain numbers where the task's package is not installed.
    """
    try:
        task = plugins.load("tasks", record.task)
    except HubtlError:
        return "print(logits)"
    return str(task(record.outputs).prints(library))


def _printed(record: RunRecord) -> str | None:
    """Return the attributes of an answer to print, where hubtl loads the model.

    None: the task reads ``logits``.
    """
    try:
        found: str | None = plugins.load("tasks", record.task).printed
    except HubtlError:
        return None
    return found


def _literal(names: list[str]) -> str:
    line = repr(names)
    if len(line) <= 100:
        return line
    return "[\n" + "".join(f"    {name!r},\n" for name in names) + "]"


def _mode(record: RunRecord) -> str:
    return "L" if record.model.input.get("channels") == 1 else "RGB"
