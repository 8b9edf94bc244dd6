"""Saved models and records with something wrong in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.hostile import saved
from tests.hostile.kit import Corpus, picture

MODELS = Corpus()


def _predict(run: Path, root: Path) -> list[str]:
    return ["predict", str(run), str(picture(root / "a.png"))]


def _bytes(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / file).write_bytes(change((run / file).read_bytes()))

    return damage


def _json(file: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        raw = json.loads((run / file).read_text())
        changed = change(raw)
        (run / file).write_text(json.dumps(raw if changed is None else changed))

    return damage


def _tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        tensors = load_file(run / "model.safetensors")
        change(tensors)
        save_file({name: t.contiguous() for name, t in tensors.items()}, run / "model.safetensors")

    return damage


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


def _spoil(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[_first(tensors)].view(-1)[0] = value

    return change


WEIGHTS = "model.safetensors"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights of no bytes": (_bytes(WEIGHTS, lambda _: b""), r"model\.safetensors"),
    "weights cut in half": (_bytes(WEIGHTS, lambda whole: whole[: len(whole) // 2]), r"model\.safetensors"),
    "weights with a header of garbage": (
        _bytes(WEIGHTS, lambda whole: b"\xff" * 64 + whole[64:]),
        r"model\.safetensors",
    ),
    "weights that are a pointer": (
        _bytes(WEIGHTS, lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
        r"model\.safetensors",
    ),
    "weights that are a web page": (_bytes(WEIGHTS, lambda _: b"<!doctype html>"), r"model\.safetensors"),
    "no weights": (lambda run: (run / WEIGHTS).unlink(), r"model\.safetensors|weights"),
    "a missing tensor": (_tensors(lambda t: t.__delitem__(_first(t))), r"missing|lacks?"),
    "a tensor too many": (_tensors(lambda t: t.update({"stranger.weight": torch.zeros(3)})), r"stranger\.weight"),
    "a tensor of another shape": (_tensors(lambda t: t.update({_first(t): torch.zeros(3)})), r"shape|size"),
    "renamed tensors": (
        _tensors(lambda t: [t.update({f"x.{n}": t.pop(n)}) for n in list(t)] and None),
        r"no classifier",
    ),
    "a weight that is not a number": (_tensors(_spoil(float("nan"))), r"(?i)nan|finite"),
    "a weight that is infinite": (_tensors(_spoil(float("inf"))), r"(?i)inf|finite"),
    "settings of no bytes": (_bytes("hubtl.json", lambda _: b""), r"hubtl\.json"),
    "settings that are no JSON": (_bytes("hubtl.json", lambda whole: whole[:-9]), r"hubtl\.json"),
    "settings that are a list": (_json("hubtl.json", lambda _: [1]), r"hubtl\.json"),
    "configuration of no bytes": (_bytes("config.json", lambda _: b""), r"config\.json"),
    "configuration that is a list": (_json("config.json", lambda _: []), r"config\.json"),
}
for _name, (_damage, _says) in DAMAGES.items():

    @MODELS.refused(f"a model with {_name}", _says)
    def _(root: Path, damage: Callable[[Path], None] = _damage) -> list[str]:
        run = saved.copy(root)
        damage(run)
        return _predict(run, root)


RECORDS: dict[str, Callable[[Path], None]] = {
    "of no bytes": _bytes("record.json", lambda _: b""),
    "cut in half": _bytes("record.json", lambda whole: whole[: len(whole) // 2]),
    "that is a list": _json("record.json", lambda _: []),
    "of deep brackets": _bytes("record.json", lambda _: b"[" * 100_000),
    "with text for a number": _json("record.json", lambda raw: raw | {"adapted": {"n": "many"}}),
    "that is a pointer": _bytes("record.json", lambda _: b"version https://git-lfs.github.com/spec/v1\n"),
}
for _name, _damage in RECORDS.items():
    for _command in ("card", "push"):

        @MODELS.refused(f"{_command} of a record {_name}", r"record\.json|record")
        def _(root: Path, damage: Callable[[Path], None] = _damage, command: str = _command) -> list[str]:
            run = saved.copy(root)
            damage(run)
            return [command, str(run), *(["someone/model"] if command == "push" else [])]


@MODELS.works("a model with settings without classes", r"hubtl\.json names no outputs: those of config\.json are taken")
def no_classes(root: Path) -> list[str]:
    run = saved.copy(root)
    (run / "hubtl.json").write_text('{"version": 1}')
    return _predict(run, root)


@MODELS.refused("a model that is a folder of nothing", r".")
def empty(root: Path) -> list[str]:
    (root / "run").mkdir()
    return _predict(root / "run", root)


@MODELS.refused("a model that is a picture", r".")
def a_picture(root: Path) -> list[str]:
    return _predict(picture(root / "b.png"), root)


@MODELS.refused("a model that is a path with a NUL", r".")
def a_nul(root: Path) -> list[str]:
    return _predict(Path(f"{root}/x\0y"), root)


@MODELS.refused("a card of a folder that is no run", r".")
def card_of_nothing(root: Path) -> list[str]:
    return ["card", str(root)]


@MODELS.refused("an output that is a folder", r"out")
def output_is_a_folder(root: Path) -> list[str]:
    (root / "out.csv").mkdir()
    return [*_predict(saved.model(), root), "--output", str(root / "out.csv")]
