"""Commands end, whatever they do: with their output, their signal, and nothing left running."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from cbdd.errors import UsageError
from cbdd.ops.processes import Completed, Stop, StoppedError, run_command


def run_python(code: str, **options: float) -> Completed:
    return run_command([sys.executable, "-c", code], **options)


def test_output_of_both_streams_and_the_exit_code_come_back(tmp_path: Path) -> None:
    code = (
        "import os,sys; print(os.getcwd(), flush=True); sys.stderr.write('oh\\n\\n'); sys.exit(3)"
    )
    done = run_command([sys.executable, "-c", code], tmp_path)
    assert done.exit_code == 3
    assert done.output.splitlines()[0] == str(tmp_path)
    assert done.last_line == "oh"
    assert not done.is_success


def test_a_signal_is_named() -> None:
    done = run_python("import os; os.kill(os.getpid(), 11)")
    assert done.signal_name == "SIGSEGV"
    assert run_python("pass").signal_name == ""


def test_a_command_that_takes_too_long_is_ended() -> None:
    done = run_python(
        "print('begun', flush=True); import signal; signal.pause()", timeout_seconds=0.3
    )
    assert done.is_timed_out
    assert not done.is_success


def test_output_beyond_the_limit_loses_its_middle() -> None:
    done = run_python("print('first'); print('x' * 300_000); print('last')", limit_bytes=1000)
    assert done.output.startswith("first\n")
    assert done.output.endswith("last\n")
    assert "bytes left out" in done.output
    assert len(done.output) < 1100


def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    done = run_command(["sh", "-c", f"exec 9>{pipe}; sleep 600 & echo left $!"])
    os.set_blocking(reader, True)
    assert done.last_line.startswith("left")
    assert os.read(reader, 1) == b""  # nobody has the other end open any more
    os.close(reader)


@pytest.mark.parametrize("command", [["no-such-command-anywhere"], [], ["a\0b"]])
def test_a_command_that_cannot_be_started_is_a_coded_error(command: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        run_command(command)
    assert caught.value.code == "COMMAND_FAILED"


def test_stopping_ends_what_runs_and_lets_nothing_begin(tmp_path: Path) -> None:
    stop = Stop()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            run_command(["sh", "-c", f"echo > {pipe}; sleep 600"], stop=stop)
        except StoppedError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    pipe.read_text()  # it runs
    stop.set()
    thread.join(30)
    assert len(outcome) == 1
    with pytest.raises(StoppedError):
        run_command(["true"], stop=stop)
