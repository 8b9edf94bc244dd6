"""Predict with a trained model, and write it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from hubtl import plugins
from hubtl.backbones.base import Backbone, BackboneInfo
from hubtl.backbones.loader import LIBRARIES, opener
from hubtl.backbones.weights import check_finite
from hubtl.data.inputs import RowIntake
from hubtl.errors import HubtlError
from hubtl.io import jsontext
from hubtl.modalities.base import Intake, Unreadable
from hubtl.models.onnx import Exported, export
from hubtl.models.trained import DEFAULT
from hubtl.modules import Classifier
from hubtl.plugins import modalities
from hubtl.plugins.blame import minded
from hubtl.record import FORMAT_VERSION, Outputs
from hubtl.settings import logger
from hubtl.tasks import Answer, Task
from hubtl.testtime import TestTime, make
from hubtl.testtime.order import order_of, witness_of

EXPLAINS = "a model of images, or one whose backbone explains itself, such as of --model MODALITY=NAME"


class AdaptedModel:
    """Hold a loaded model; ``predict`` takes files, folders, PIL images, arrays or a dataset."""

    def __init__(
        self,
        classifier: Classifier,
        info: BackboneInfo,
        task: Task | Sequence[str],
        device: str | None = None,
        folder: Path | None = None,
    ) -> None:
        """Wrap a model for its task; a list of names is that of a classifier's classes. It came from ``folder``."""
        self.classifier = classifier.eval()
        self.info, self.folder = info, folder
        self.backbone = cast(Backbone, classifier.encoder.backbone)
        self.task = task if isinstance(task, Task) else plugins.load("tasks", DEFAULT)(task)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.classifier.to(self.device)

    @property
    def names(self) -> list[str]:
        """Return the names of the outputs, in order: the classes of a classifier."""
        return self.task.outputs.names

    @property
    def classes(self) -> list[str]:
        """Return the same names, as a classifier's classes."""
        return self.names

    @property
    def unknown(self) -> str | None:
        """Return the last name, if it stands for unknown inputs."""
        return None if self.task.unknown is None else self.names[self.task.unknown]

    @torch.inference_mode()
    def logits(self, images: Sequence[Any]) -> Tensor:
        """Return logits [b, c] of PIL images or of rows. Rows are of other modalities; logits are on the CPU."""
        return self._forward(self.intake().batch(images))

    def intake(self) -> Intake:
        """Give what prepares inputs for this model: its own modality, or the backbone itself."""
        if self.backbone.collate is not None:
            return RowIntake(self.backbone)
        (modality,) = self.info.modalities
        made: Intake = modalities.of(modality, shown=self.info.name).intake(self.backbone)
        return made

    @torch.inference_mode()
    def _forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = self.classifier({name: x.to(self.device) for name, x in inputs.items()})
        if bad := (~torch.isfinite(logits)).flatten(1).any(dim=1).nonzero().flatten().tolist():
            raise HubtlError(
                f"the logits of {self.info.name} are not finite for {len(bad)} of {len(logits)} inputs, number {bad[0]} first",
                hint="the weights or the input are spoiled: train the model again, or leave the input out",
            )
        return logits.float().cpu()

    def parts(self) -> "list[tuple[AdaptedModel, float]]":
        """Return the models whose weighted outputs are summed, with their factors: this one alone."""
        return [(self, 1.0)]

    def export_onnx(
        self, path: str | Path = "model.onnx", *, external_data: bool = False, opset: int | None = None
    ) -> Exported:
        """Write the model as ONNX, verified against PyTorch.

        The batch size is dynamic. The file's metadata describe the preparation of inputs and the meaning of outputs, as
        JSON under ``hubtl``.

        Args:
            path: the file.
            external_data: write the weights to ``PATH.data``; those of 2 GiB and more always are.
            opset: the version of ONNX's operators; None: PyTorch's default.

        Raises:
            HubtlError: without the extra ``hubtl[onnx]``, for a model that cannot be written, and for outputs that differ
                from PyTorch's; then there is no file.
        """
        return export(self, path, external_data=external_data, opset=opset)

    def explain(self, row: Any, *, label: str | None = None, **options: Any) -> Any:
        """Explain a prediction by the relevance of its parts.

        Parts are the places of an image, or the modalities and tokens of a row of several.

        Args:
            row: an image as ``predict`` takes it, or ``{"image": …, "text": …}``.
            label: the output to explain; None: the predicted one.
            options: those of ``hubtl.tasks.classification.relevance.explain``, or of the backbone's own ``explain``.

        Raises:
            HubtlError: for a row that cannot be read, for a label that the model does not have, and for a modality
                whose parts cannot be taken away.
        """
        self.task.check_explains(label)
        if self.backbone.explain is not None:
            return self.backbone.explain(self.classifier, self.names, row, label=label, **options)
        if (why := self.unexplained) is not None:
            raise HubtlError(why, hint=EXPLAINS)
        modality = modalities.of(self.info.modalities[0], shown=self.info.name)
        for name, what in (("samples", "random subsets: it covers each place"), ("source", "source rows beside it")):
            if options.pop(name, None):
                raise HubtlError(
                    f"a model of {modality.plural} alone is explained without {what}", hint=f"leave {name} out"
                )
        return self.task.explain(self._forward, modality.cover(self.backbone, row), label=label, **options)

    @property
    def unexplained(self) -> str | None:
        """Return why no prediction of this model can be explained; None where one can, as far as the task allows."""
        known = [modalities.known(name) for name in self.info.modalities]
        if self.backbone.explain is not None or (len(known) == 1 and known[0] is not None and known[0].covers):
            return None
        return f"{self.info.name} has no parts to explain a prediction by"

    def test_time(self, method: str, options: Mapping[str, Any] | None = None) -> TestTime:
        """Return a copy of the model that adapts while it predicts.

        Args:
            method: the name of a test-time method, such as ``tent``.
            options: its options.

        Raises:
            HubtlError: for a method that needs probabilities of a task without any.
        """
        cls = plugins.load("testtime", method)
        if not self.task.probabilities and "probabilities" in cls.needs:
            raise HubtlError(
                f"{method} adapts models whose outputs are probabilities that sum to one, and {self.task.name} "
                f"{self.task.no_probabilities}",
                hint="leave --tta out",
            )
        made = make(cls, self.classifier, options)
        if not self.task.probabilities and made.options.guard:
            raise HubtlError(
                f"{method}: guard counts the classes that are predicted, and {self.task.name} predicts none alone",
                hint="--tta-set guard=0",
            )
        return made

    @minded()
    def predict(
        self,
        inputs: Any,
        *,
        batch_size: int = 32,
        on_bad_sample: str = "error",
        tta: TestTime | str | None = None,
        tta_options: Mapping[str, Any] | None = None,
        tta_seed: int | None = 0,
    ) -> list[Answer]:
        """Predict each image or row, in order, decoded by the task: a ``Prediction`` of a classifier.

        With ``tta`` a copy of the model adapts to the inputs, batch by batch; a single remaining row joins the last
        batch. The inputs are all listed first and read in random order, since folders are often sorted by class and a
        batch of one class misleads the method. Predictions always come in the order of ``inputs``.

        Args:
            inputs: an image, a uint8 array ([h, w], [h, w, c] or [n, h, w, c]), a path of a file or of a folder
                (searched for images, sorted), a ``datasets.Dataset`` with an image column, or a sequence of these. For
                a multimodal model: a row ``{"image": …, "text": …}`` with any of them, a sequence of rows, or a
                ``datasets.Dataset`` with their columns. For a model of texts, or of recordings: also a text, or a file.
            batch_size: rows of a batch.
            on_bad_sample: ``error``, or ``skip`` to leave out unreadable inputs.
            tta: the name of a test-time method, or the result of ``test_time``.
            tta_options: options of the method.
            tta_seed: seed of the order. None keeps the order, as of a stream, and warns where it is sorted by class.

        Raises:
            HubtlError: for an unreadable input.
        """
        seen = self._seen(inputs, batch_size, on_bad_sample, tta, tta_options, tta_seed)
        if not seen:
            return []
        return self.task.decode([name for _, name, _ in seen], torch.stack([row for *_, row in seen]))

    def _seen(
        self,
        inputs: Any,
        batch_size: int,
        on_bad_sample: str,
        tta: TestTime | str | None = None,
        tta_options: Mapping[str, Any] | None = None,
        tta_seed: int | None = 0,
    ) -> list[tuple[int, str, Tensor]]:
        """Yield position, name and outputs [c] of each readable input, in order."""
        adapting = self.test_time(tta, tta_options) if isinstance(tta, str) else tta
        witness = witness_of(self.task) if adapting is not None else None
        found: list[tuple[int, str, Tensor]] = []  # place among the inputs, name, outputs
        waiting: list[tuple[int, str, Any]] = []  # place among the inputs, name, batch of one

        def flush(count: int) -> None:
            if now := waiting[:count]:
                images = [image for _, _, image in now]
                inputs = joined(images)
                logits = self._forward(inputs) if adapting is None or tta_seed is None else None
                if adapting is not None:
                    answers = adapting.predict({k: x.to(self.device) for k, x in inputs.items()}).float().cpu()
                    if witness is not None:
                        witness.see(answers, logits)
                    logits = answers
                assert logits is not None
                found.extend((place, name, row) for (place, name, _), row in zip(now, logits, strict=True))
            del waiting[:count]

        intake = self.intake()
        left_out: list[str] = []
        each = enumerate(intake.each(inputs))
        drawn = adapting is not None and tta_seed is not None
        for place, (name, value) in reordered(each, tta_seed) if drawn else each:
            try:
                image = intake.read(value)
            except (OSError, Unreadable, HubtlError) as error:
                if on_bad_sample == "skip":
                    left_out.append(f"{name}: {error}")
                    continue
                raise HubtlError(f"cannot read {name}: {error}", hint="mend it, or --on-bad-sample skip") from error
            waiting.append((place, name, image))
            if len(waiting) == batch_size + (0 if adapting is None else 2):
                flush(batch_size)
        flush(batch_size if adapting is None else batch_size + 1)
        if left_out:
            logger.warning("predict    %d inputs are left out, the first of them %s", len(left_out), left_out[0])
        if adapting is not None:
            adapting.warn(witness)
        return sorted(found, key=lambda one: one[0])


def reordered(each: Iterable[Any], seed: int | None) -> list[Any]:
    """Return all items in an order drawn from a seed."""
    listed = list(each)
    return [listed[i] for i in order_of(len(listed), seed)]


def joined(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join the inputs of single rows into a batch."""
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def save(
    folder: Path, backbone: Backbone, classifier: nn.Linear, outputs: Outputs | Sequence[str], meta: Mapping[str, Any]
) -> None:
    """Write a model in its library's own format, and ``hubtl.json`` beside it.

    The file is of version 1 where a reader of that version understands it: for the classes of a classifier.

    Args:
        folder: the folder.
        backbone: the backbone.
        classifier: the linear head.
        outputs: the outputs, or names of classes.
        meta: task, strategy, base model.
    """
    outputs = outputs if isinstance(outputs, Outputs) else Outputs(names=list(outputs))
    plain = meta.get("task", DEFAULT) == DEFAULT and not outputs.details
    whole = {**backbone.state_dict(), **classifier.state_dict(prefix="classifier.")}
    check_finite(whole, "the model is not saved", hint="a lower --lr, --set optim.clip_norm=1, or no --mixed-precision")
    folder.mkdir(parents=True, exist_ok=True)
    info = backbone.info
    made = opener(backbone)
    facts = {
        "format_version": 1 if plain else FORMAT_VERSION,
        "library": info.library,
        "architecture": info.architecture,
        **({"classes": outputs.names} if plain else {"outputs": outputs.model_dump(mode="json")}),
        "input": info.input.as_dict(),
        "modalities": list(info.modalities),
        **({"pixels": backbone.ranges.as_dict()} if backbone.ranges else {}),
        **{name: value for name, value in meta.items() if name != "problem_type"},
        "native": type(backbone).native,
        "loader": made,
    }
    told = {k: v for k, v in meta.items() if v is not None}
    if made["name"] != LIBRARIES:  # for who has the configuration alone
        told |= {"loader": made, "modalities": list(info.modalities)}
    backbone.save(folder, classifier, outputs.names, told)
    jsontext.save(folder / "hubtl.json", facts)
