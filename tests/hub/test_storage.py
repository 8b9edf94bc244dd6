"""Large files reach the Hub, and nothing is sent twice. A push that was cut short leaves a known state."""

import random
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from hubtl.errors import HubtlError
from hubtl.hub.send import REFUSED
from tests.hub.client import Client, contents, hubtl
from tests.hub.loopback import Hub, env_for

HALVES = {  # random: xet compresses what can be compressed, and this Hub does not unpack
    f"model-0000{i}-of-00002.safetensors": random.Random(i).randbytes(150_000 + i) for i in (1, 2)
}
TOTAL = sum(map(len, HALVES.values()))


@pytest.fixture
def halves(run: Path) -> Path:
    """The run with its weights in two files."""
    (run / "model.safetensors").unlink()
    for name, content in HALVES.items():
        (run / name).write_bytes(content)
    return run


def there(hub: Hub, repo: str = "user/large") -> bool:
    """Whether the repository has the weights, byte for byte."""
    files = hub.files(repo)
    return all(files[name] == content for name, content in HALVES.items())


def steps(hub: Hub, part: str) -> list[str]:
    return [path for _, path in hub.log if part in path]


def test_large_files_go_by_lfs_in_one_piece(hub, client, halves):
    client.push(halves, "user/large")
    assert there(hub)
    assert hub.received == {"basic": TOTAL}
    assert len(steps(hub, "/verify")) == 2


def test_large_files_go_by_lfs_in_parts(hub, client, halves):
    hub.part_size = 40_000
    client.push(halves, "user/large")
    assert there(hub)
    assert hub.received == {"multipart": TOTAL}
    assert len(steps(hub, "/part/")) == 8
    assert len(steps(hub, "/complete/")) == 2


def test_large_files_go_by_xet(hub, halves, tmp_path):
    hub.xet = True
    done = hubtl(hub, tmp_path / "home", "push", halves, "user/large", HF_HUB_DISABLE_XET="")
    assert done.returncode == 0, done.stderr
    assert there(hub)
    assert hub.received == {"xet": TOTAL}
    assert not steps(hub, "/info/lfs/")
    assert done.stderr == ""


def test_a_hub_without_xet_storage_gets_large_files_by_lfs(hub, halves, tmp_path):
    done = hubtl(hub, tmp_path / "home", "push", halves, "user/large", HF_HUB_DISABLE_XET="")
    assert done.returncode == 0, done.stderr
    assert there(hub)
    assert hub.received == {"basic": TOTAL}
    assert len(hub.repos["user/large"].messages) == 1
    assert len(done.stderr.splitlines()) == 1  # hubtl says so, and the client's own warning is not repeated
    assert "xet storage does not answer" in done.stderr


def test_a_token_that_xet_refuses_is_not_tried_by_lfs(hub, halves, tmp_path):
    hub.add("user/large", {"config.json": b"{}"})
    hub.faults["xet"] = "403"
    done = hubtl(hub, tmp_path / "home", "push", halves, "user/large", HF_HUB_DISABLE_XET="")
    assert done.returncode == 2
    assert "xet storage refuses" in done.stderr
    assert done.stderr.rstrip().endswith(f"hubtl push {halves} user/large")
    assert hub.received == {}
    assert hub.files("user/large") == {"config.json": b"{}"}


def test_a_port_with_the_digits_of_a_refusal_is_none():
    said = "HTTP status client error ({}), domain: http://127.0.0.1:40343/api/models/user/large/xet-write-token/main"
    assert REFUSED.search(said.format("403 Forbidden"))
    assert REFUSED.search(said.format("401 Unauthorized"))
    assert not REFUSED.search(said.format("404 Not Found"))


@pytest.mark.parametrize("part_size", [None, 40_000])
def test_after_a_cut_upload_only_the_rest_is_sent(hub, client, halves, part_size):
    """The second file's upload is cut, whole or in its third part: the first is not sent again."""
    hub.part_size = part_size
    old = hub.add("user/large", {"config.json": b"old"})
    second = list(HALVES.values())[1]
    oid = sha256(second).hexdigest()
    hub.faults[f"put:{oid}" if part_size is None else f"part:{oid}/3"] = "cut"
    before = contents(halves)
    with pytest.raises(HubtlError, match="failed or was cut") as caught:
        client.push(halves, "user/large")
    assert caught.value.hint.endswith(f"hubtl push {halves} user/large")
    assert hub.repos["user/large"].refs["main"] == old
    assert hub.files("user/large") == {"config.json": b"old"}
    hub.faults.clear()
    hub.received.clear()
    client.push(halves, "user/large")
    assert there(hub)
    assert hub.received == {"basic" if part_size is None else "multipart": len(second)}
    assert contents(halves) == before


@pytest.mark.parametrize("xet", [False, True])
def test_after_a_commit_that_failed_no_large_file_is_sent_again(hub, halves, tmp_path, xet):
    hub.xet = xet
    hub.add("user/large", {"config.json": b"old"})
    hub.faults["commit"] = "403"
    settings = {"HF_HUB_DISABLE_XET": "" if xet else "1"}
    failed = hubtl(hub, tmp_path / "home", "push", halves, "user/large", **settings)
    assert failed.returncode == 2
    assert hub.received == {"xet" if xet else "basic": TOTAL}
    assert hub.files("user/large") == {"config.json": b"old"}
    hub.faults.clear()
    done = hubtl(hub, tmp_path / "home", "push", halves, "user/large", **settings)
    assert done.returncode == 0, done.stderr
    assert hub.received == {"xet" if xet else "basic": TOTAL}
    assert there(hub)


def test_a_killed_push_leaves_the_old_commit_and_the_next_one_sends_the_rest(hub, client, halves, tmp_path):
    old = hub.add("user/large", {"config.json": b"old"})
    before = contents(halves)
    victim = Client(hub, tmp_path / "victim")
    hub.hooks["commit"] = victim.process.kill
    hub.faults["commit"] = "cut"
    with pytest.raises(AssertionError, match="the client died"):
        victim.push(halves, "user/large")
    victim.stop()
    assert hub.repos["user/large"].refs["main"] == old
    assert contents(halves) == before
    hub.faults.clear()
    client.push(halves, "user/large")
    assert hub.received == {"basic": TOTAL}  # what the killed push sent
    assert there(hub)
    assert len(hub.repos["user/large"].messages) == 2


def test_ctrl_c_during_a_push_leaves_the_old_commit(hub, halves, tmp_path):
    hub.add("user/large", {"config.json": b"old"})
    command = [sys.executable, "-m", "hubtl", "push", str(halves), "user/large"]
    with subprocess.Popen(
        command, env=env_for(hub, tmp_path / "home"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # no answer before the process is gone: one that races with the signal may be met first
        hub.hooks["commit"] = lambda: (process.send_signal(signal.SIGINT), process.wait(timeout=30))
        hub.faults["commit"] = "cut"
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().endswith(f"hubtl push {halves} user/large")
    assert hub.files("user/large") == {"config.json": b"old"}


def test_what_the_repository_has_is_not_sent_again(hub, client, halves):
    first = client.push(halves, "user/large")
    assert first.unchanged == []
    hub.log.clear()
    again = client.push(halves, "user/large")
    assert (again.url, again.commit) == (None, first.commit)
    assert again.unchanged == [name for name, _ in again.files]
    assert not steps(hub, "/preupload/")
    assert not steps(hub, "/commit/")
    (halves / "config.json").write_text('{"architecture": "resnet18"}')
    third = client.push(halves, "user/large")
    assert hub.repos["user/large"].changes[1:] == [["config.json"]]
    assert set(third.unchanged) == {name for name, _ in third.files} - {"config.json"}
    assert there(hub)


def test_a_repository_that_changed_meanwhile_is_not_overwritten(hub, client, halves):
    hub.add("user/large", {"config.json": b"old"})
    hub.hooks["commit"] = lambda: hub.add("user/large", {"README.md": b"# Written meanwhile\n"})
    with pytest.raises(HubtlError, match=r"changed meanwhile.*\(412"):
        client.push(halves, "user/large")
    assert hub.files("user/large") == {"config.json": b"old", "README.md": b"# Written meanwhile\n"}
    client.push(halves, "user/large")
    assert "# Written meanwhile" in hub.files("user/large")["README.md"].decode()
    assert there(hub)
