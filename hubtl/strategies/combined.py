"""Combine methods that only add a loss, such as ``cdan+mcc``."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

import torch
from pydantic import create_model
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.modules import Encoder
from hubtl.strategy import Additive, Learner, Pair, Phase, Progress, Strategy, StrategyOptions, scalar, views_of
from hubtl.tasks import Task


class Combined(Additive):
    """Add the losses of several methods on one forward pass."""

    names: tuple[str, ...] = ()
    parts: tuple[type[Additive], ...] = ()

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        parts = []
        for name, cls in zip(self.names, self.parts, strict=True):
            own = {key: getattr(self.options, field_name(name, key)) for key in cls.Options.model_fields}
            part = cls(encoder, head, task, cls.Options(**own))
            networks = [key for key, _ in part.named_children() if key not in ("encoder", "head")]
            for key in networks:
                self.add_module(field_name(name, key), getattr(part, key))
            parts.append((name, part, networks))
        # not registered: each holds the encoder and the head again
        object.__setattr__(self, "_parts", parts)

    def phases(self) -> Sequence[Phase]:
        """Return one phase, with the views that any part asks for."""
        asked = views_of(phase for _, part, _ in self.__dict__["_parts"] for phase in part.phases())
        return [Phase("adapt", self.step, asked, self.learners())]

    def learners(self) -> dict[str, Learner]:
        """Return every network that its part trains, by name."""
        groups = super().learners()
        for name, part, networks in self.__dict__["_parts"]:
            trained = part.learners()
            for key in networks:
                if key not in trained:
                    del groups[field_name(name, key)]
        return groups

    def prepared(self, source: Batch, target: Batch, *, at: Progress) -> tuple[Batch, Batch]:
        for name, part, networks in self.__dict__["_parts"]:
            # the engine wraps the children of this module; some parts encode views of their own
            part.encoder, part.head = self.encoder, self.head
            for key in networks:
                setattr(part, key, getattr(self, field_name(name, key)))
            source, target = part.prepared(source, target, at=at)
        return source, target

    def added(self, pair: Pair, *, at: Progress) -> tuple[Tensor, Mapping[str, Tensor]]:
        total, logs = torch.zeros((), device=pair.zs.device), dict[str, Tensor]()
        for name, part, _ in self.__dict__["_parts"]:
            loss, shown = scalar(part, part.added(pair, at=at))
            total = total + loss
            logs |= {f"{name}/{key}": value for key, value in shown.items()}
        return total, logs


def combine(name: str, parts: Sequence[type[Strategy]]) -> type[Combined]:
    """Make the class of ``a+b``. It has the options of its parts (``a_weight`` and so on).

    Args:
        name: the sum as written, ``a+b``.
        parts: the classes of its parts, in that order.

    Raises:
        HubtlError: for a part that does more than add a loss, and for one that is named twice.
    """
    names = name.split("+")
    for own, cls in zip(names, parts, strict=True):
        if not issubclass(cls, Additive):
            raise HubtlError(
                f"{name}: {own} does more than add a loss, and cannot be combined", hint="combine dann, cdan, mcc, …"
            )
    if len(set(names)) < len(names):
        raise HubtlError(f"{name} names a method twice", hint="+".join(dict.fromkeys(names)))
    classes = tuple(cls for cls in parts if issubclass(cls, Additive))
    fields: dict[str, Any] = {
        field_name(own, key): (field.annotation, field)
        for own, cls in zip(names, classes, strict=True)
        for key, field in cls.Options.model_fields.items()
    }
    joint = any(cls.joint for cls in classes)
    titles = " ".join((cls.__doc__ or "").strip().split("\n")[0] for cls in classes)
    forwards = "Both domains go through one forward." if joint else "The domains go through separate forwards."
    return type(
        "".join(cls.__name__ for cls in classes),
        (Combined,),
        {
            "__doc__": f"{titles}\n\nThe sum of the losses that {', '.join(names)} add. {forwards}",
            "Options": create_model("CombinedOptions", __base__=StrategyOptions, **fields),
            "names": tuple(names),
            "parts": classes,
            "joint": joint,
            "judging": reduce(or_, (cls.judging for cls in classes)),
            "needs": tuple(dict.fromkeys(need for cls in classes for need in cls.needs)),
            "unknown": any(cls.unknown for cls in classes),
            "suits": suits(names, classes),
            "ablations": {
                own: {field_name(own, "weight"): 0.0}
                for own, cls in zip(names, classes, strict=True)
                if "weight" in cls.Options.model_fields
            },
            "moves_features": any(cls.moves_features for cls in classes),
            "trains_backbone": any(cls.trains_backbone for cls in classes),
            "paper": next((cls.paper for cls in classes if cls.paper), None),
            "defaults": {key: value for cls in reversed(classes) for key, value in cls.defaults.items()},
        },
    )


def suits(names: Sequence[str], classes: Sequence[type[Additive]]) -> dict[str, dict[str, Any]]:
    """Return the relations that suit every part. Each has the options that it changes.

    Options have their part's name as prefix.
    """
    return {
        relation: {
            field_name(own, key): value
            for own, cls in zip(names, classes, strict=True)
            for key, value in cls.suits[relation].items()
        }
        for relation in classes[0].suits
        if all(relation in cls.suits for cls in classes)
    }


def field_name(part: str, key: str) -> str:
    return f"{part.replace('-', '_')}_{key}"
