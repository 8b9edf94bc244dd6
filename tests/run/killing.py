"""hubtl's command line in processes killed at a file event. The event is chosen.

``Warm`` starts one process that has imported everything once and forks itself for each command: importing torch takes
longer than a short training. A child may be told to kill itself (SIGKILL) right before its n-th file event below a folder,
or right after its n-th checkpoint has taken its name. Events are files opened for writing, flushed, renamed or removed,
and folders made or removed, as Python's audit hooks see them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


@dataclass(frozen=True)
class Outcome:
    code: int  # negative: a signal's number
    out: str
    err: str
    events: int  # how many there were


class Warm:
    """A process that forks for each command."""

    def __enter__(self) -> "Warm":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.run.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, *command: str, folder: Path, before: int = 0, checkpoint: int = 0) -> Outcome:
        """Run ``hubtl`` with some arguments; 0 kills at no event."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        logs = [str(folder.parent / f"{folder.name}.{name}") for name in ("out", "err", "events")]
        wish = {"command": command, "folder": str(folder), "before": before, "checkpoint": checkpoint, "logs": logs}
        print(json.dumps(wish), file=self._process.stdin, flush=True)
        code = json.loads(self._process.stdout.readline())
        out, err, events = (Path(name).read_text(encoding="utf-8") for name in logs)
        return Outcome(code, out, err, len(events.splitlines()))


def watch(folder: str, before: int, checkpoint: int, log: int) -> None:
    """Count the events below a folder, and kill this process. It is killed where that was asked for."""
    counted = [0, 0]
    own = os.getpid()
    fsync, replace = os.fsync, os.replace

    def count(what: str) -> None:
        if os.getpid() != own:  # a loader process
            return
        os.write(log, f"{what}\n".encode())
        counted[0] += 1
        if counted[0] == before:
            os.kill(own, signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if os.path.abspath(os.fspath(arguments[0])).startswith(folder):
            count(f"{event} {arguments[0]}")

    def flushed(handle: int) -> None:
        fsync(handle)
        if os.readlink(f"/proc/self/fd/{handle}").startswith(folder):
            count("fsync")

    def replaced(old: Any, new: Any) -> None:
        replace(old, new)
        if os.path.basename(new) == "checkpoint.pt":
            counted[1] += 1
            if counted[1] == checkpoint:
                os.kill(own, signal.SIGKILL)

    os.fsync, os.replace = flushed, replaced
    sys.addaudithook(hook)


def child(wish: dict[str, Any]) -> None:
    with contextlib.ExitStack() as opened:
        out, err, events = (opened.enter_context(open(name, "w", encoding="utf-8")) for name in wish["logs"])
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["hubtl", *wish["command"]]
        watch(wish["folder"], wish["before"], wish["checkpoint"], events.fileno())
        code: Any = 0
        from hubtl.__main__ import main

        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:  # noqa: BLE001 - as an interpreter would end
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    import hubtl.card.plots
    import hubtl.engine.optimise
    import hubtl.python
    import hubtl.strategies.shot

    with tempfile.TemporaryDirectory() as name:  # a first run imports whatever else there is to import
        hubtl.python.adapt(
            model="lenet",
            pretrained=False,
            source_dataset="builtin:digits/mnist",
            target_dataset="builtin:digits/uci",
            target_eval_split="test[:8]",
            source_split="train[:16]",
            target_split="train[:16]",
            strategy="mcc",
            steps=1,
            batch_size=4,
            device="cpu",
            options={"run.plots": False},
            output_dir=name + "/run",
        )
    for line in sys.stdin:
        wish = json.loads(line)
        if (process := os.fork()) == 0:
            child(wish)
        _, status = os.waitpid(process, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    serve()
