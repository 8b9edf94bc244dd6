"""A flag does not come, go or change by accident: scripts and recipes of users type them."""

import copy

from tests.cli import flags


def test_the_flags_of_every_command_are_those_of_the_table():
    found = flags.changes(flags.kept(), flags.current())
    assert not found, "\n".join(
        ["the command line is another than in tests/cli/flags.json", *found, "say so in CHANGELOG.md, then: make flags"]
    )


def test_the_table_is_written_as_make_flags_writes_it():
    assert flags.TABLE.read_text(encoding="utf-8") == flags.text(flags.kept())


def test_each_kind_of_change_is_named():
    before = flags.kept()
    after = copy.deepcopy(before)
    del after["hubtl adapt"]["--steps"], after["hubtl doctor"]
    after["hubtl adapt"]["--strides"] = {"type": "integer", "default": None}
    after["hubtl predict"]["--tta-seed"] |= {"default": 7, "hidden": True}
    was = before["hubtl predict"]["--tta-seed"]["default"]
    assert flags.changes(before, after) == [
        "came: hubtl adapt --strides",
        f"changed: hubtl predict --tta-seed: default is 7, was {was!r}",
        "changed: hubtl predict --tta-seed: hidden is True, was None",
        "went: hubtl adapt --steps",
        "went: hubtl doctor",
    ]
