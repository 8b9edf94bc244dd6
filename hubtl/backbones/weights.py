"""Check that weights are complete: no missing or extra tensors, damaged files, or NaN."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hubtl.errors import HubtlError
from hubtl.io import plain
from hubtl.io.shown import plural

SHOWN = 6  # names in a message
# Made anew when a model is built, or counters that nothing is computed from.
HARMLESS = re.compile(
    r"(^|\.)(num_batches_tracked|position_ids|token_type_ids|relative_position_index|relative_coords_table|attn_mask|inv_freq)$"
)
PLAIN = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
WORDS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")  # of any format
AUXILIARY = re.compile(
    r"(^|\.)(pooler|mask_token|masked_spec_embed)(\.|$)"
)  # of pretraining: nothing computes with them
PICKLES = ("*.bin", "*.pth", "*.pt")
POINTER = b"version https://git-lfs"
EIGHT = ("I8", "U8")  # of safetensors: weights that another program has quantised
AGAIN = "download or save the model again"


def named(names: Iterable[str]) -> str:
    """Return the first names of a list, and that there are more."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def matter(names: Iterable[str], aside: str | None = None) -> list[str]:
    """Return the names of tensors that a model computes with. The layer ``aside`` is left out."""
    return sorted(n for n in names if not HARMLESS.search(n) and (aside is None or n.rpartition(".")[0] != aside))


def check_fit(
    shown: str,
    missing: Iterable[str],
    unexpected: Iterable[str] = (),
    unlike: Iterable[str] = (),
    *,
    model: str = "the model",
    hint: str = "",
) -> None:
    """Raise HubtlError that names missing, extra or misshapen tensors of weights."""
    lists = {"missing": list(missing), "unexpected": list(unexpected), "of another shape": list(unlike)}
    found = [f"{len(names)} {what} ({named(names)})" for what, names in lists.items() if names]
    if not found:
        return
    prefix = _prefix(lists["missing"], lists["unexpected"])
    raise HubtlError(
        f"the weights of {shown} do not fit {model}: tensors {', '.join(found)}",
        hint=prefix or hint or "weights of this architecture and size; or --no-pretrained for random ones",
    )


def _prefix(missing: list[str], unexpected: list[str]) -> str | None:
    """Return a hint where names differ only by a prefix."""
    if not missing or not unexpected:
        return None
    first = next((n for n in unexpected if n.endswith(f".{missing[0]}")), None)
    if first is not None:
        return f"save the tensors without {first.removesuffix(missing[0])!r} before their names"
    first = next((n for n in missing if n.endswith(f".{unexpected[0]}")), None)
    return first and f"save the tensors with {first.removesuffix(unexpected[0])!r} before their names"


def trunk_of(model: Any) -> tuple[str, nn.Module]:
    """Return the trunk of a transformers classifier: by the library's name, else the largest part."""
    children = dict(model.named_children())
    name = str(model.base_model_prefix)
    if name not in children:
        sizes = {child: sum(p.numel() for p in module.parameters()) for child, module in children.items()}
        name = max(sizes, key=lambda child: sizes[child], default="")
    return (name, children[name]) if name else ("", model)


def check_report(
    shown: str, model: Any, report: Mapping[str, Any], *, fresh: str = "", idle: str = "", headless: bool = False
) -> list[str]:
    """Return the parameters that transformers initialised at random. Those of the trunk are an error.

    Extra heads of other tasks, and a pooler of the trunk, are ignored.

    Args:
        shown: the model's name, for errors.
        model: the model.
        report: its ``output_loading_info``.
        fresh: a pattern of trunk parameters that may be missing.
        idle: a pattern of trunk parameters that may be left over.
        headless: whether the model is a trunk alone.

    Raises:
        HubtlError: for other missing or extra parameters.
    """
    own, trunk = (str(model.base_model_prefix), model) if headless else trunk_of(model)
    prefix = f"{own}." if own else ""
    parts = {name for name, _ in (*trunk.named_children(), *trunk.named_parameters(recurse=False))}
    unlike = {key[0] if isinstance(key, tuple) else key for key in report["mismatched_keys"]}
    missing = matter({*report["missing_keys"], *unlike})

    def inside(name: str) -> bool:
        bare = name.removeprefix(prefix)
        return headless or (name.startswith(prefix) and bare.split(".")[0] in parts)

    def left_over(name: str) -> bool:
        return name.removeprefix(prefix).split(".")[0] in parts and not AUXILIARY.search(name)

    lost = [name for name in missing if inside(name) and not (fresh and re.search(fresh, name))]
    extra = [name for name in matter(report["unexpected_keys"]) if left_over(name)]
    extra = [name for name in extra if not (idle and re.search(idle, name))]
    check_fit(shown, [name for name in lost if name not in unlike], extra, [name for name in lost if name in unlike])
    return missing


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], shown: str, **said: str) -> None:
    """Load a state dict.

    Raises:
        HubtlError: for tensors that are missing, unexpected, of another shape, or integers.
    """
    own = module.state_dict()
    unlike = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    check_fit(shown, matter(own.keys() - tensors.keys()), matter(tensors.keys() - own.keys()), unlike, **said)
    if whole := [
        n for n, value in own.items() if value.is_floating_point() and not tensors.get(n, value).is_floating_point()
    ]:
        raise HubtlError(
            f"the weights of {shown} are integers: {named(whole)}; quantised ones are not read", hint=AGAIN
        )
    module.load_state_dict(tensors, strict=False)


def check_finite(tensors: Mapping[str, Any] | Iterable[tuple[str, Any]], where: str, *, hint: str) -> None:
    """Raise HubtlError that names the tensors with NaN or infinite values."""
    pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
    bad = [n for n, t in pairs if isinstance(t, Tensor) and t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise HubtlError(f"{where}: {len(bad)} tensors hold NaN or infinite values: {named(bad)}", hint=hint)


def check_folder(folder: Path, *, weights: bool = True) -> None:
    """Raise HubtlError for a model's folder with a damaged file; with ``weights``, for one without any."""
    for name in PLAIN:
        if (folder / name).is_file():
            read_json(folder / name)
    for name in WORDS:
        if (folder / name).is_file():
            check_pointer(folder / name)
    for path in sorted(folder.glob("*.index.json")) if weights else ():
        shards = read_json(path).get("weight_map")
        names = set(shards.values()) if isinstance(shards, dict) else set()
        if lacking := sorted(str(name) for name in names if not (folder / str(name)).is_file()):
            raise HubtlError(
                f"{path} names {plural(len(lacking), 'file')} not in the folder: {named(lacking)}", hint=AGAIN
            )
    if not weights:
        return
    files = sorted(folder.glob("*.safetensors")) or sorted(p for kind in PICKLES for p in folder.glob(kind))
    if not files:
        raise HubtlError(f"{folder} holds no weights", hint="model.safetensors beside config.json, or --no-pretrained")
    for path in files:
        check_file(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        HubtlError: that names the file where it is damaged, or holds something else.
    """
    check_pointer(path)
    try:
        found = plain.json_of(path)
    except ValueError as error:
        raise HubtlError(f"{path} cannot be used: {' '.join(str(error).split())[:100]}", hint=AGAIN) from error
    if not isinstance(found, dict):
        raise HubtlError(f"{path} holds a JSON {type(found).__name__}, and is not a configuration", hint=AGAIN)
    return found


def check_pointer(path: Path) -> None:
    """Raise HubtlError for an empty file, a pipe or a pointer. The pointer is one of Git LFS."""
    if path.exists() and not path.is_file():
        raise HubtlError(f"{path} is not a file", hint=AGAIN)
    with path.open("rb") as file:
        start = file.read(len(POINTER))
    if not start:
        raise HubtlError(f"{path} is empty", hint=AGAIN)
    if start == POINTER:
        raise HubtlError(f"{path} is a Git LFS pointer, not the file itself", hint="git lfs pull, or hubtl pull")


def check_file(path: Path) -> None:
    """Raise HubtlError for a weights file that is empty, truncated or unknown.

    Its tensors are not read.
    """
    check_pointer(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                shapes = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                quantised = [n for n, part in shapes.items() if part.get_dtype() in EIGHT and len(part.get_shape()) > 1]
        except (SafetensorError, OSError, ValueError) as error:
            raise HubtlError(f"{path} is damaged: {' '.join(str(error).split())[:120]}", hint=AGAIN) from error
        if quantised and not _says_how(path.parent):
            raise HubtlError(
                f"the weights in {path} are integers: {named(quantised)}; quantised ones are not read", hint=AGAIN
            )
        return
    with path.open("rb") as file:
        start = file.read(2)
    if zipfile.is_zipfile(path) or start[:1] == b"\x80":
        return
    what = "is cut short" if start == b"PK" else "is no file of weights"
    raise HubtlError(f"{path} {what}", hint=AGAIN)


def _says_how(folder: Path) -> bool:
    """Return whether a configuration describes the quantisation of weights."""
    config = folder / "config.json"
    return config.is_file() and "quantization_config" in read_json(config)


def cached(repo: str, revision: str | None) -> Path | None:
    """Return the folder of a repository in the Hub's cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repo, "config.json", revision=revision)
    except (OSError, ValueError):
        return None
    return Path(found).parent if isinstance(found, str) else None


def check_source(source: str, revision: str | None = None, *, weights: bool = True) -> None:
    """Check a folder, or a Hub id's cached files, by ``check_folder``."""
    path = Path(source.removeprefix("local-dir:")).expanduser()
    if path.is_dir():
        check_folder(path, weights=weights)
        return
    repo, _, at = source.removeprefix("hf-hub:").partition("@")
    folder = cached(repo, revision or at or None)
    if folder is not None:
        check_folder(folder, weights=weights and _has_weights(folder))


def _has_weights(folder: Path) -> bool:
    return any(True for kind in ("*.safetensors", "*.index.json", *PICKLES) for _ in folder.glob(kind))
