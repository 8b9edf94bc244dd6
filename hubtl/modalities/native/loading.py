"""Load and write transformers' models and processors, without irrelevant reports."""

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hubtl._compat import ensure_torchvision
from hubtl.backbones.reach import out_of_reach
from hubtl.backbones.transformers import prepares
from hubtl.backbones.weights import check_report, check_source
from hubtl.errors import HubtlError
from hubtl.modalities.native.source import Source

ensure_torchvision()  # beside a torch of another build, before transformers meets it


def auto_names(mapping: str) -> Mapping[str, Any]:
    """Return one of transformers' maps from model types to classes."""
    from transformers.models.auto import modeling_auto

    found: Mapping[str, Any] = getattr(modeling_auto, mapping)
    return found


@contextlib.contextmanager
def told(shown: str, source: Source | None = None) -> Iterator[None]:
    """Explain why a model cannot be loaded; silence bars and reports on intended omissions."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except HubtlError:
        raise
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise HubtlError(
                f"{shown} needs its own code to run, and none from the Hub is run", hint="choose another model"
            ) from error
        if source is not None:
            check_source(source.where, source.revision)
        raise out_of_reach(shown, error) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def config_of(source: Source) -> Any:
    from transformers import AutoConfig

    with told(source.shown, source):
        return AutoConfig.from_pretrained(source.where, **_options(source))


def model_of(
    source: Source,
    cls: Any,
    config: Any,
    pretrained: bool,
    *,
    may_lack: str = "pooler",
    idle: str = "",
    **arguments: Any,
) -> Any:
    """Load a model of a class or an Auto class in float32. Other towers and heads are left out.

    Parameters with ``may_lack`` in their names may be missing in the checkpoint: they are not used. The checkpoint may
    have parameters that match ``idle`` and that the model lacks.

    Raises:
        HubtlError: for missing weights, and where other tensors are missing or left over.
    """
    with told(source.shown, source):
        if not pretrained:
            build = cls.from_config if hasattr(cls, "from_config") else cls._from_config
            return build(config, **arguments).float()
        model, report = cls.from_pretrained(
            source.where, config=config, dtype="float32", output_loading_info=True, **_options(source), **arguments
        )
    check_report(source.shown, model, report, fresh=re.escape(may_lack), idle=idle, headless=True)
    return model


def without_pooler(config: Any) -> dict[str, Any]:
    """Return the argument that makes AutoModel leave out the pooler. It is empty where it is not supported."""
    from transformers import AutoModel

    cls = AutoModel._model_mapping.get(type(config), None)
    takes = cls is not None and "add_pooling_layer" in inspect.signature(cls.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def processor_of(source: Source, load: Callable[..., Any], **arguments: Any) -> Any | None:
    """Return a tokenizer, image processor or feature extractor; None without one."""
    try:
        with told(source.shown):
            return load(source.where, **_options(source), **arguments)
    except HubtlError as error:
        if isinstance(error.__cause__, OSError | ValueError | TypeError | KeyError):
            # for one that says how it wants its rows, what others want would be a guess
            if written := prepares(source.where, source.revision):
                raise HubtlError(
                    f"{written} cannot be used: {error}", hint="download or save the model again"
                ) from error
            return None
        raise


def _options(source: Source) -> dict[str, Any]:
    return {"revision": source.revision, "trust_remote_code": False}


def write(model: Any, folder: Path, *companions: Any) -> None:
    """Write the model's own format: config.json, safetensors, and the processors."""
    folder.mkdir(parents=True, exist_ok=True)
    with told(folder.name):
        model.save_pretrained(folder)
        for companion in companions:
            companion.save_pretrained(folder)
