"""``hubtl cache``: what is kept is shown, and cleared when asked, never more than that."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from hubtl.data import cache

KEYS = [cache.key_of({"name": name}) for name in ("first", "second")]


@pytest.fixture(autouse=True)
def two_entries(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "home"))
    for days, (key, precision) in enumerate(zip(KEYS, ("no", "bf16"), strict=True)):
        facts = {"model": f"net{days}", "name": f"data{days}/train", "rows": 30, "width": 8, "precision": precision}
        cache.put(key, np.ones((30, 8), dtype=np.float32), facts)
        os.utime(cache.folder() / key / "facts.json", (time.time() - 86400 * 10 * days,) * 2)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hubtl", "cache", *words], capture_output=True, text=True, check=False)


def terminal(answer: str, *words: str) -> tuple[int, str]:
    """Run on a pseudo-terminal and answer what is asked. Returns the exit code, and what was shown."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hubtl", "cache", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(timeout=30), shown.decode()


def keys() -> list[str]:
    return [entry.key for entry in cache.entries()]


def test_the_list_is_one_line_an_entry_for_programs():
    done = run("list")
    assert done.returncode == 0
    header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert header == ["key", "model", "data", "rows × width", "precision", "size", "last used"]
    assert [line[:6] for line in lines] == [
        [KEYS[0][:12], "net0", "data0/train", "30 × 8", "float32", "1.2 KiB"],
        [KEYS[1][:12], "net1", "data1/train", "30 × 8", "bf16, as float32", "1.2 KiB"],
    ]
    assert done.stderr.startswith("2 entries, 2.4 KiB, in ")


def test_the_list_as_json_has_exact_figures():
    found = json.loads(run("list", "--json").stdout)
    assert [entry["key"] for entry in found["entries"]] == KEYS
    first = found["entries"][0]
    assert (first["rows"], first["width"], first["dtype"], first["precision"]) == (30, 8, "float32", "no")
    assert found["bytes"] == sum(entry.bytes for entry in cache.entries())


def test_an_empty_and_a_damaged_cache_are_said_to_be_so():
    (cache.folder() / KEYS[0] / "facts.json").write_text("not JSON")
    assert "damaged" in run("list").stdout
    assert [entry["damaged"] for entry in json.loads(run("list", "--json").stdout)["entries"]] == [True, False]
    cache.clear()
    done = run("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("0 entries, 0 B, in ")


def test_all_is_cleared_and_what_it_freed_is_said():
    total = sum(entry.bytes for entry in cache.entries())
    done = run("clear", "--json")
    assert json.loads(done.stdout) == {"removed": 2, "bytes": total}
    assert keys() == []
    assert run("clear").stdout == "removed 0 entries: 0 B are free\n"


def test_one_is_cleared_by_the_beginning_of_its_key():
    done = run("clear", KEYS[0][:6])
    assert done.stdout == "removed 1 entry: 1.2 KiB are free\n"
    assert keys() == [KEYS[1]]


def test_those_that_no_run_used_for_long_are_cleared():
    assert run("clear", "--older-than", "30").stdout.startswith("removed 0")
    assert run("clear", "--older-than", "5").stdout.startswith("removed 1 entry")
    assert keys() == [KEYS[0]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("clear", "zzz"), "no features with a key that begins with 'zzz'"),
        (("clear", ""), "no features with a key that begins with ''"),
        (("clear", "../.."), "no features with a key"),
        (("clear", KEYS[0][:6], "--older-than", "1"), "a key and --older-than are given"),
        (("clear", "--older-than", "-1"), "--older-than"),
    ],
)
def test_a_mistake_is_said_and_removes_nothing(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "\ntry: " in done.stderr
    assert keys() == KEYS


def test_a_beginning_that_several_keys_have_is_refused():
    twin = KEYS[0][:8] + "0" * 24
    cache.put(twin, np.ones((30, 8), dtype=np.float32), {})
    done = run("clear", KEYS[0][:8])
    assert done.returncode == 2
    assert "2 keys begin with" in done.stderr
    assert len(keys()) == 3


def test_a_terminal_is_asked_first():
    code, shown = terminal("n\n", "clear")
    assert (code, len(keys())) == (1, 2)
    assert "remove 2 entries (2.4 KiB)" in shown
    assert "nothing was removed" in shown
    code, shown = terminal("y\n", "clear", KEYS[0][:6])
    assert (code, keys()) == (0, [KEYS[1]])
    code, shown = terminal("", "clear", "--yes")
    assert (code, keys()) == (0, [])
    assert "?" not in shown


def test_a_terminal_gets_an_aligned_table():
    code, shown = terminal("", "list")
    assert code == 0
    assert "\t" not in shown
    assert KEYS[0][:12] in shown
    assert "2 entries" in shown


def test_the_group_alone_shows_its_help():
    done = run()
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
    assert "clear  Remove cached features" in done.stderr
