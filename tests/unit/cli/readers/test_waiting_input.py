"""Waiting for input: what comes is read, and Ctrl-C ends it however early it came."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from cbdd.cli.readers.waiting_input import WaitingInput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_what_comes_is_read_to_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    thread = threading.Thread(
        target=lambda: [os.write(writer, b"line\n" * 30_000), os.close(writer)]
    )
    thread.start()
    with io.BufferedReader(WaitingInput(reader), 1000) as stream:
        assert list(stream) == [b"line\n"] * 30_000
        assert stream.read() == b""
    thread.join()
    os.fstat(reader)  # it stays open


def test_ctrl_c_that_came_before_the_read_is_not_missed(pipe: tuple[int, int]) -> None:
    seen: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        stream = WaitingInput(pipe[0])
        os.kill(os.getpid(), signal.SIGINT)
        while not seen:  # Python has dealt with the signal: a plain read would wait for ever
            pass
        with pytest.raises(KeyboardInterrupt):
            stream.read(10)
        stream.close()
    finally:
        signal.signal(signal.SIGINT, former)


def test_ctrl_c_during_the_read_ends_it(pipe: tuple[int, int]) -> None:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in test workers
    try:
        stream = WaitingInput(pipe[0])
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            stream.read(10)
        timer.join()
        stream.close()
    finally:
        signal.signal(signal.SIGINT, former)


def test_other_signals_do_not_end_it(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    former = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    try:
        stream = WaitingInput(reader)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.write(writer, b"data")
        assert stream.read(10) == b"data"
        stream.close()
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_the_wake_up_pipe_is_given_back(pipe: tuple[int, int]) -> None:
    stream = WaitingInput(pipe[0])
    stream.close()
    stream.close()
    assert signal.set_wakeup_fd(-1) == -1


def test_in_another_thread_it_cannot_be_made(pipe: tuple[int, int]) -> None:
    errors: list[BaseException] = []

    def make() -> None:
        try:
            WaitingInput(pipe[0])
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert len(errors) == 1
