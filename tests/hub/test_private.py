"""A push does not reveal the folders of its machine."""

import shlex
from pathlib import Path

import yaml

from hubtl.record import RunRecord
from tests import records
from tests.hub.client import contents


def test_no_path_of_this_machine_is_pushed(hub, client, run, tmp_path):
    """Nor a part of one: of each the last name alone, in the record, the recipe, the card and its command line."""
    home = str(Path.home())
    source, target = f"{tmp_path}/clients/acme corp/amazon", f"{home}/clients/acme/webcam"
    recipe = {
        "source": {"dataset": source},
        "target": {"dataset": target},
        "model": {"name": "~/clients/acme/model"},
        "run": {"output_dir": str(run)},
    }
    words = ["hubtl", "adapt", f"{home}/clients/acme/mine.yaml", "--source-dataset", source, f"--output-dir={run}"]
    command = shlex.join(words).replace(home, "~")
    warnings = [f"cannot read {source}/x.png", "class /m/01abc is rare"]
    record = records.gain(status="finished", recipe=recipe, command=command, warnings=warnings, plots=[])
    record.classes[0] = "/m/01abc"
    record.save(run)
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    before = contents(run)
    planned = dict(client.push(run, "user/model", dry_run=True).files)
    done = client.push(run, "user/model")
    pushed = hub.files("user/model")
    assert planned == dict(done.files) == {name: len(content) for name, content in pushed.items()}
    everything = b"\n".join(pushed.values()).decode("latin-1")
    assert not [word for word in (str(tmp_path), home, "clients", "acme", "~/") if word in everything]
    told = RunRecord.model_validate_json(pushed["record.json"])
    assert told.command == "hubtl adapt mine.yaml --source-dataset amazon --output-dir=run"
    assert told.warnings == ["cannot read amazon/x.png", warnings[1]]
    assert (told.classes, told.adapted, told.created) == (record.classes, record.adapted, record.created)
    assert yaml.safe_load(pushed["recipe.yaml"])["target"]["dataset"] == "webcam"
    assert contents(run) == before
    assert client.push(run, "user/model").url is None  # nothing new the second time


def test_a_record_without_paths_is_pushed_as_it_is(hub, client, run):
    client.push(run, "user/model")
    for name in ("record.json", "recipe.yaml", "hubtl.json", "config.json"):
        assert hub.files("user/model")[name] == (run / name).read_bytes()
