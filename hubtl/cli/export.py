"""Write a model in another format (``hubtl export``)."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="Run directory, Hub id (user/repo[@revision]) or model folder.")],
    file: Annotated[Path, typer.Argument(help="Output file.")] = Path("model.onnx"),
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX.")] = False,
    external_data: Annotated[
        bool,
        typer.Option("--external-data", help="Write the weights to FILE.data. Those of 2 GiB and more always are."),
    ] = False,
    opset: Annotated[
        int | None, typer.Option(min=18, help="Version of ONNX's operators. Default: that of PyTorch's exporter.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and details.")] = False,
) -> None:
    """Write a model as ONNX, which runs without PyTorch.

    Its batch size is dynamic, and so is the length of texts. It is compared with PyTorch on two rows by onnxruntime; one
    that differs is not written. Its metadata describe the preparation of inputs and the meaning of outputs.
    """
    from hubtl.cli.messages import begin, emit
    from hubtl.errors import HubtlError
    from hubtl.io import shown

    begin(quiet=quiet or json_, debug=debug)
    if not onnx:
        raise HubtlError("no format is named", hint=f"hubtl export {shown.typed(model)} --onnx")
    from hubtl.models import saved
    from hubtl.models.onnx.verify import check_installed

    check_installed()
    made = saved.load(model, device="cpu").export_onnx(file, external_data=external_data, opset=opset)
    if json_:
        data = None if made.data is None else str(made.data)
        emit({"model": model, "file": str(made.path), "data": data, "difference": made.difference, **made.about})
        return
    if quiet:
        return
    inputs = ", ".join(f"{name} {_shape(value['shape'])}" for name, value in made.about["inputs"].items())
    output, value = next(iter(made.about["outputs"].items()))
    typer.echo(f"wrote      {made.path}" + (f" and {made.data}" if made.data else ""))
    typer.echo(f"inputs     {inputs}\noutput     {output} {_shape(value['shape'])}")
    if made.difference is None:
        typer.echo('verified   no: onnxruntime is not installed (pip install "hubtl[onnx]")')
    else:
        typer.echo(f"verified   yes: outputs differ from PyTorch's by at most {made.difference:.1g}")


def _shape(shape: list[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
