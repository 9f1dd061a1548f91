"""Whatever a user can cause ends in one line and an exit code, never in a traceback."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cbdd
from cbdd.cli import failures
from cbdd.cli.failures import exit_code_of
from cbdd.storage import StorageEngine
from tests.unit.cli.conftest import Shop

Commands = Callable[[str], list[list[str]]]
CREATES = "import"


def command(*arguments: str) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "cbdd.cli", *arguments]


def assert_told(result: subprocess.CompletedProcess[str], exit_code: int) -> None:
    assert result.returncode == exit_code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 1


def test_the_table_of_exit_codes_is_complete() -> None:
    table = {int(code) for code in re.findall(r"^    (\d+) ", failures.__doc__ or "", re.M)}
    assert table == set(failures.EXIT_CODES)


def test_a_missing_file_cannot_be_opened_and_is_not_created(
    shop: Shop, each_command: Commands
) -> None:
    missing = str(shop.folder / "missing.cbdd")
    for arguments in each_command(missing):
        if arguments[0] != CREATES:
            result = shop.run(*arguments)
            assert result.exit_code == 4, arguments
            assert "no database at" in result.stderr
            assert not os.path.exists(missing)


def test_a_file_that_is_something_else_cannot_be_opened(shop: Shop, each_command: Commands) -> None:
    for name, content in (("text.cbdd", "hello"), ("empty.cbdd", ""), ("zero.cbdd", b"\0" * 99999)):
        other = shop.file(name, content)
        for arguments in each_command(other):
            result = shop.run(*arguments)
            assert result.exit_code == 4, (arguments, result.stderr)
        assert Path(other).stat().st_size == len(content)


def test_a_folder_cannot_be_opened(shop: Shop, each_command: Commands) -> None:
    for arguments in each_command(str(shop.folder)):
        result = shop.run(*arguments)
        assert result.exit_code == 4
        assert "is a directory" in result.stderr


def test_a_server_is_not_a_file(shop: Shop) -> None:
    assert shop.run("stats", "mongodb://localhost/").exit_code == 2


def test_an_unknown_collection_is_named_with_those_that_exist(full_shop: Shop) -> None:
    for arguments in (["find", full_shop.path, "itmes"], ["indexes", full_shop.path, "itmes"]):
        result = full_shop.run(*arguments)
        assert result.exit_code == 1
        assert "no collection shop.itmes; the file has: items" in result.stderr
    result = full_shop.run("find", full_shop.path, "items", "--database", "shep")
    assert "items --database shop" in result.stderr


@pytest.mark.parametrize(
    ("filter", "exit_code", "words"),
    [
        ("{qty: 1}", 2, "not JSON"),
        ("[1]", 2, "expected an object"),
        ('{"a": {"$oid": 1}}', 2, "Extended JSON"),
        ('{"a": {"$unheard": 1}}', 1, "$unheard"),
        ('{"$unheard": 1}', 1, "$unheard"),
        ('{"a": {"$in": 1}}', 1, "$in"),
    ],
)
def test_a_bad_filter_is_explained(
    full_shop: Shop, filter: str, exit_code: int, words: str
) -> None:
    result = full_shop.run("find", full_shop.path, "items", filter)
    assert result.exit_code == exit_code
    assert words in re.sub(r"[\s│]+", " ", result.stderr)


def test_bad_names_and_keys_are_explained(full_shop: Shop) -> None:
    path = full_shop.path
    assert full_shop.run("find", path, "a..b").exit_code != 0
    assert full_shop.run("stats", path, "--nonsense").exit_code == 2
    assert full_shop.run("find", path, "items", "--database", "a b").exit_code == 2
    assert full_shop.run("find", path, "items", "--sort", ",").exit_code == 2
    assert full_shop.run("create-index", path, "items", '{"a": "nonsense"}').exit_code == 1
    assert full_shop.run("find", path, "items", "--hint", "nonsense").exit_code == 1


def test_errors_are_json_when_json_is_asked_for(full_shop: Shop) -> None:
    result = full_shop.run("find", full_shop.path, "nothing", "--json")
    error = json.loads(result.stderr)
    assert error["exit_code"] == 1
    assert error["error"]["code"] == "NAMESPACE_NOT_FOUND"
    result = full_shop.run("stats", str(full_shop.folder / "missing.cbdd"), "--json")
    assert json.loads(result.stderr)["error"]["code"] == "NOT_FOUND"


def test_a_file_that_another_process_writes_is_locked_for_writers_only(full_shop: Shop) -> None:
    engine = StorageEngine.open(full_shop.path)
    txn = engine.begin_write("test")
    try:
        txn.put(2, b"held", b"1")
        arguments = ["create-index", full_shop.path, "items", "name", "--wait", "0.2"]
        blocked = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
        reading = command("find", full_shop.path, "items", "--count")
        read = subprocess.run(reading, capture_output=True, text=True, check=False)
    finally:
        txn.abort()
        engine.close()
    assert_told(blocked, 4)
    assert str(os.getpid()) in blocked.stderr
    assert read.stdout == "20\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_says_so(full_shop: Shop) -> None:
    os.chmod(full_shop.path, 0o400)
    assert full_shop.run("checkpoint", full_shop.path).exit_code == 4
    assert full_shop.run("stats", full_shop.path).exit_code == 0


def test_a_full_disk_refuses_the_output(full_shop: Shop) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    for arguments in (["find", full_shop.path, "items"], ["export", full_shop.path, "items"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert_told(done, 5)
        assert "No space left" in done.stderr


def test_a_full_disk_keeps_what_was_stored(shop: Shop) -> None:
    limit = 1 << 20

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    lines = "".join(f'{{"_id": {n}, "text": "{"x" * 1000}"}}\n' for n in range(3000))
    source = shop.file("a.jsonl", lines)
    done = subprocess.run(
        command("import", shop.path, "items", source, "--batch", "100"),
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_told(done, 5)
    assert "DISK_FULL" in done.stderr
    stored = int(done.stdout.split()[0].replace(",", ""))
    assert [each["_id"] for each in shop.documents("items")] == list(range(stored))
    assert shop.run("check", shop.path).exit_code == 0


def test_a_reader_that_goes_away_ends_the_output_quietly(full_shop: Shop) -> None:
    with cbdd.connect(full_shop.path, durability="off") as client:
        client.shop.items.drop_index("qty_1_name_-1")
        client.shop.items.insert_many([{"text": "x" * 1000} for _ in range(2000)])
    for name in ("find", "export"):
        with subprocess.Popen(
            command(name, full_shop.path, "items"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == 141


def test_ctrl_c_ends_an_import_and_says_what_is_stored(shop: Shop) -> None:
    arguments = command("import", shop.path, "items", "-", "--batch", "10", "--json")
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"".join(b'{"_id": %d}\n' % n for n in range(25)))
        process.stdin.flush()
        wait_until_stored(shop, 20)
        process.send_signal(signal.SIGINT)
        assert select.select([process.stdout], [], [], 60)[0]
        output = process.stdout.read()
        errors = process.stderr.read()
        assert process.wait(60) == 130
    assert b"Traceback" not in errors
    assert json.loads(output)["inserted"] == 20
    assert [each["_id"] for each in shop.documents("items")] == list(range(20))


def heed_interrupts() -> None:
    """Tests that run in the background inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_stored(shop: Shop, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists(shop.path) and os.path.getsize(shop.path) > 0:
            with cbdd.connect(shop.path, read_only=True) as client:
                if client.shop.items.estimated_document_count() >= count:
                    return
        time.sleep(0.05)
    raise AssertionError(f"{count} documents were not stored in time")


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        (errno.ENOSPC, 5),
        (errno.EIO, 5),
        (errno.ENOENT, 1),
        (errno.EACCES, 1),
        (errno.EPIPE, 141),
    ],
)
def test_system_errors_have_exit_codes(number: int, exit_code: int) -> None:
    assert exit_code_of(OSError(number, os.strerror(number))) == exit_code
