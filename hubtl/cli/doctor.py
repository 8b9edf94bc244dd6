"""Check the installation, and suggest repairs (``hubtl doctor``)."""

import importlib
import os
from typing import Annotated

import typer

from hubtl.io import shown


def doctor(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False) -> None:
    """Check the installation, and suggest repairs.

    It checks versions, devices, torchvision's operators, plugins and settings of the Hub.
    """
    from hubtl import plugins
    from hubtl._compat import ensure_torchvision
    from hubtl.cli.messages import begin, emit
    from hubtl.errors import HubtlError
    from hubtl.run.plan import hardware, installed_versions
    from hubtl.settings import cache_dir

    begin(quiet=True)
    checks: dict[str, str] = {}
    ensure_torchvision()
    from hubtl import _compat

    ok = "declared by hubtl: the wheel was built for another torch" if _compat._library is not None else "ok"
    checks["torchvision operators"] = ok
    for package in ("timm", "transformers", "peft", "tensorboard", "onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(package)
            checks[package] = "ok"
        except ImportError as error:
            checks[package] = f"missing: {error}"
    broken = []
    for kind in plugins.KINDS:
        for entry in plugins.entries(kind).values():
            try:
                entry.load()
            except HubtlError as error:
                broken.append(str(error))
    checks["plugins"] = "; ".join(broken) or "ok"
    checks["Hub"] = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    checks["Hub offline"] = "yes" if os.environ.get("HF_HUB_OFFLINE", "0") in ("1", "true", "yes") else "no"
    checks["Hub token"] = "set" if _has_token() else "none: hf auth login, or HF_TOKEN"
    checks["cache"] = str(cache_dir())
    report = {"versions": installed_versions(), "hardware": hardware(), "checks": checks}
    if json_:
        emit(report)
        return
    for title, rows in report.items():
        typer.echo(title)
        for name, value in rows.items():
            typer.echo(f"  {name:<22} {value}")
    if broken:
        raise HubtlError(
            f"{shown.plural(len(broken), 'plugin')} cannot be loaded", hint="reinstall what the report names"
        )


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None
