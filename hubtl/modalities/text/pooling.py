"""Choose the pooling of a text model: by sentence-transformers' modules, the user, or the mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtl.backbones.reach import out_of_reach
from hubtl.errors import HubtlError
from hubtl.hub.names import POOLED
from hubtl.io import plain
from hubtl.modalities.native.source import Source

OWN = "own"
KEYS = {  # of 1_Pooling/config.json, which sentence-transformers wrote before it wrote ``pooling_mode``
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
MODES = tuple(KEYS)
WORDS = {
    "cls": "the first token",
    "max": "the maximum over tokens",
    "mean": "the mean over tokens",
    "mean_sqrt_len_tokens": "the sum over tokens by the root of their number",
    "weightedmean": "the mean over tokens, later ones weighing more",
    "lasttoken": "the last token",
}


@dataclass(frozen=True)
class Pooling:
    """Describe how tokens become one vector per text."""

    mode: str  # OWN: the library's own head; else of MODES, or several as ``a+b``
    normalize: bool = False  # the vector to length 1
    because: str = ""  # for a note; empty where nobody need be told
    left_out: tuple[str, ...] = ()  # modules that are not read

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes for plan and card."""
        if self.mode == OWN or not self.because:
            return ()
        how = " and ".join(WORDS[mode] for mode in self.mode.split("+")) + (", to length 1" if self.normalize else "")
        own = "; with --set model.pooling=own that head is trained, and the saved model opens without code" * (
            self == UNTRAINED
        )
        lost = (f"its modules {', '.join(self.left_out)} are not read",) if self.left_out else ()
        return (f"pooled by {how}: {self.because}{own}", *lost)


UNTRAINED = Pooling("mean", because="the weights lack the library's own pooling head")


def chosen(source: Source, config: Any, pooling: str | None, normalize: bool | None) -> Pooling | None:
    """Return the pooling that the user or the model's files choose.

    The files are those of the saved model or sentence-transformers' modules; None: neither does.

    Raises:
        HubtlError: for a saved model without a head, and for unreadable modules.
    """
    saved = is_pooled(config)
    if saved:
        if pooling == OWN:
            raise HubtlError(
                f"{source.shown} pools by {config.pooling}: it has no head of its own", hint="leave model.pooling out"
            )
        said: Pooling | None = Pooling(config.pooling, config.normalize)
    else:
        settled = pooling is not None and normalize is not None  # the files have nothing to add, damaged or not
        said = declared(source) if pooling != OWN and not settled else None
    if pooling is None and (normalize is None or said is None):
        if normalize is not None:
            raise HubtlError("model.normalize needs model.pooling", hint="--set model.pooling=mean")
        return said
    if pooling == OWN:
        if normalize:
            raise HubtlError("a library's own head is not normalised", hint="--set model.pooling=mean")
        return Pooling(OWN)
    mode = pooling or (said.mode if said else "mean")
    length = normalize if normalize is not None else bool(said and said.normalize)
    return Pooling(mode, length, because="as model.pooling says" if pooling else "as model.normalize says")


def declared(source: Source) -> Pooling | None:
    """Return the pooling of a sentence-transformers model, or None for another model.

    It is in ``modules.json`` and in the folder of its pooling.
    """
    listed = _read(source, "modules.json")
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise _odd(source, "modules.json", "is no list of modules")
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in listed]
    if "Pooling" not in kinds:
        return None
    at = kinds.index("Pooling")
    name = f"{listed[at].get('path', '')}/config.json"
    if name.startswith(("/", ".")) or ".." in name:
        raise _odd(source, "modules.json", f"names {name!r}")
    given = _read(source, name)
    if not isinstance(given, dict):
        raise _odd(source, name, "is missing" if given is None else "is no mapping")
    after = kinds[at + 1 :]
    other = tuple(kind for kind in after if kind != "Normalize")
    # length 1 after a module that is left out says nothing of the vector before it
    normalize = "Normalize" in after and not other
    return Pooling(_mode(source, name, given), normalize, f"as its {name} says", other)


def _mode(source: Source, name: str, given: dict[str, Any]) -> str:
    """Return the modes of a Pooling module; the library's default is the mean."""
    if (asked := given.get("pooling_mode")) is not None:
        modes = [asked] if isinstance(asked, str) else list(asked) if isinstance(asked, list | tuple) else [asked]
        modes = [str(mode).lower() for mode in modes]
    else:
        chosen = {mode: given.get(key, mode == "mean") for mode, key in KEYS.items()}
        for mode, value in chosen.items():
            if value is not None and value not in (False, True):  # "false" is true to Python
                raise _odd(source, name, f"has {value!r} for {KEYS[mode]}, neither true nor false")
        modes = [mode for mode, value in chosen.items() if value]
    if not modes or (odd := [mode for mode in modes if mode not in MODES]):
        what = f"pools by {odd[0]!r}" if modes else "names no pooling"
        raise _odd(source, name, f"{what}; known: {', '.join(MODES)}")
    return "+".join(modes)


def _read(source: Source, name: str) -> Any:
    """Return a small JSON file of the model's folder or repository; None without one."""
    folder = Path(source.where)
    path: Path | None = folder / name
    if not folder.is_dir():
        path = _fetched(source, name)
    if path is None or not path.is_file():
        return None
    try:
        return plain.json_of(path)
    except (OSError, ValueError) as error:
        raise _odd(source, name, f"cannot be read: {error}") from error


def _fetched(source: Source, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download, is_offline_mode
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(source.where, name, revision=source.revision))
    except LocalEntryNotFoundError as error:
        if is_offline_mode():
            return None
        raise out_of_reach(source.shown, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:
        raise out_of_reach(source.shown, error) from error


def _odd(source: Source, name: str, what: str) -> HubtlError:
    return HubtlError(
        f"{source.shown}: {name} {what}",
        hint="--set model.pooling=mean --set model.normalize=false, or download the model again",
    )


def is_pooled(config: Any) -> bool:
    """Return whether a configuration is of hubtl's own pooled format."""
    return bool(config.model_type == POOLED)


def register() -> None:
    """Register hubtl's own format with transformers. It then runs no code of a repository for it."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from hubtl.modalities.text.modeling_pooled import PooledConfig, PooledForSequenceClassification

    AutoConfig.register(POOLED, PooledConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(PooledConfig, PooledForSequenceClassification, exist_ok=True)


def untrained(missing: Iterable[str], classifier: str) -> bool:
    """Return whether the weights lack a part of the head. The last linear layer does not count."""
    own = {f"{classifier}.weight", f"{classifier}.bias"}
    return any(name not in own and not name.endswith("masked_spec_embed") for name in missing)
