"""What ``--strategy auto`` takes: by what a run is given, and by how the classes of its domains relate."""

from collections.abc import Sequence

from hubtl import plugins

PICKS = {
    ("transfer", None): ("finetune", "the target is labelled and there is no source"),
    ("source-free", None): ("shot", "a trained classifier, an unlabelled target and no source"),
    ("adaptation", None): (
        "mcc",
        "a labelled source and an unlabelled target; no critic, hence the stablest of the built-in methods",
    ),
    # its paper (arXiv:2002.08546) reports it well ahead of pada and iwan on partial sets, with the options that
    # SHOT.suits sets; and where class weights go wrong, they feed on themselves
    ("adaptation", "partial"): (
        "shot",
        "the target lacks classes of the source; it aligns no domains as wholes, and the source plays no part once "
        "it is learnt",
    ),
    ("adaptation", "open"): (
        "osbp",
        "the target has classes that the source lacks, and it has an output for them",
    ),
    ("adaptation", "open-partial"): (
        "osbp",
        "the target has classes that the source lacks, and it has an output for them, but it is not made for source "
        "classes that the target lacks",
    ),
}


SEVERAL = ("mm-da", "a model of several modalities, which can label the target for each other")


def pick(setting: str, relation: str, modalities: Sequence[str] = ("image",)) -> tuple[str, str]:
    """The name of a strategy and why, for a setting and a relation of the label sets (``record.LabelSets.setting``).

    A relation that asks for nothing of its own, such as ``unknown``, gets what a closed set gets. Of several modalities
    it is the method made for them, where a package brings it.
    """
    closed = setting == "adaptation" and (setting, relation) not in PICKS
    if closed and len(modalities) > 1 and SEVERAL[0] in plugins.entries("strategies"):
        return SEVERAL
    return PICKS.get((setting, relation)) or PICKS[setting, None]
