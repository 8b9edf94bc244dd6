"""Write the pictures that answers draw of their images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubtl.errors import HubtlError

if TYPE_CHECKING:
    from hubtl.tasks import Answer


def check(model: Any, pictures: Mapping[str, Path]) -> None:
    """Check that answers draw pictures, and that folders can be written.

    Raises:
        HubtlError: if they do not, or cannot.
    """
    from hubtl.io.places import check_writable

    for kind, folder in pictures.items():
        if kind not in model.task.draws:
            raise HubtlError(f"--{kind}: a model for {model.task.name} draws none", hint="leave it out")
        check_writable(folder)


def drawn(model: Any, source: Any, answers: Sequence["Answer"], pictures: Mapping[str, Path]) -> list["Answer"]:
    """Write the pictures of answers.

    Inputs without an answer were left out as unreadable. The answers come back with their sizes in pixels.

    Args:
        model: the model.
        source: what was predicted.
        answers: its answers, in order.
        pictures: the folder of each kind of picture.
    """
    intake, (modality, *_) = model.intake(), model.info.modalities
    waiting, found, used = list(answers), [], set[str]()
    for name, value in intake.each(source):
        if not waiting or waiting[0].input != name:
            continue
        try:
            image = intake.value({modality: value})
        except HubtlError:
            continue
        answer = waiting.pop(0).of(image)
        stem = _free(Path(name).stem.replace(" ", "-"), used)
        for kind, folder in pictures.items():
            folder.mkdir(parents=True, exist_ok=True)
            answer.drawn(kind, image).save(folder / f"{stem}.png")
        found.append(answer)
    return found


def _free(stem: str, used: set[str]) -> str:
    """Return a name that no other input has: inputs of two folders may be called alike."""
    names = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(used) + 2))
    free = next(name for name in names if name.casefold() not in used)
    used.add(free.casefold())
    return free
