"""Bundles: no planted secret is in them, and nobody's bundle does harm."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cbdd
from cbdd.cli.app import app
from cbdd.cli.failures import BAD_USAGE, DAMAGED
from cbdd.errors import CorruptDataError
from cbdd.ops.bundle import Pseudonyms, collect, read_bundle, write_bundle
from cbdd.ops.bundle.archive import MANIFEST
from cbdd.ops.bundle.content import EVENTS, MEMBERS, NUMBERS
from tests.damage.test_dropped import damage, make

SECRET = "hunter2"
KEY = bytes(range(32))


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with the secret in everything that can hold one."""
    monkeypatch.setenv("CBDD_PASSWORD", SECRET)
    folder = tmp_path / f"home of {SECRET}"
    folder.mkdir()
    made = folder / f"{SECRET}.cbdd"
    with cbdd.connect(made) as client:
        things = client[f"db{SECRET}"][f"c{SECRET}"]
        things.insert_many([{"_id": f"{SECRET}{n}", SECRET: {SECRET: SECRET}} for n in range(2000)])
        things.create_index([(f"{SECRET}.{SECRET}", 1), ("x", "hashed")], name=f"i{SECRET}")
        things.create_index("p", partialFilterExpression={"p": {"$gt": SECRET}})
        things.create_index(f"{SECRET}.$**")
        client[f"db{SECRET}"].create_collection(f"v{SECRET}", validator={SECRET: SECRET})
        client._store.engine.record_event(SECRET, {"error": SECRET, SECRET: 1, "code": SECRET})
        client._store.engine.record_event(
            "open_failed", {"code": "WAL_HOLE", "message": SECRET, "findings": [{"code": SECRET}]}
        )
    with open(f"{made}-events", "ab") as file:
        file.write(json.dumps({"event": "open", "python": SECRET, "lsn": SECRET}).encode() + b"\n")
    return made


def is_clear_of_secrets(data: bytes) -> bool:
    return SECRET.encode() not in data and SECRET.encode().hex().encode() not in data


def all_of(bundle: Path) -> bytes:
    with zipfile.ZipFile(bundle) as archive:
        return bundle.read_bytes() + b"".join(archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize("harm", ["none", "page", "cut", "locked", "catalog", "recorder"])
def test_no_planted_secret_is_in_a_bundle(path: Path, tmp_path: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "page":
        for offset in range(70_000, len(data), 30_000):
            data = data[:offset] + b"\xff" + data[offset + 1 :]
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:100_000])
    elif harm == "locked":
        path.write_bytes(SECRET.encode() * 10_000)
    elif harm == "catalog":
        with cbdd.connect(path) as client, client._store.engine.begin_write("x") as txn:
            txn.put(1, b"db\0" + SECRET.encode(), SECRET.encode())
            txn.commit()
    elif harm == "recorder":
        os.unlink(f"{path}-events")
        os.mkdir(f"{path}-events")
    output = tmp_path / "bundle.zip"
    result = run("bundle", str(path), "--output", str(output), "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert is_clear_of_secrets(result.stdout.encode())
    assert is_clear_of_secrets(all_of(output))
    assert output.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "bundle.zip.key").stat().st_mode & 0o777 == 0o600
    assert run("bundle", "verify", str(output)).exit_code == 0
    assert is_clear_of_secrets(run("bundle", "show", str(output)).stdout.encode())


def test_every_string_is_of_a_known_kind(path: Path) -> None:
    members = collect(str(path), Pseudonyms(KEY))
    strings: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            strings.add(value)

    walk(members)
    assert strings
    for text in strings:
        is_name = any(text.startswith(f"{kind}-") for kind in "dcifu")
        assert is_name or len(text) < 25
    assert "other" in strings
    assert not EVENTS & NUMBERS


def test_a_bundle_tells_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "shop.cbdd"
    make(path)
    damage(path, "k_1", 0)
    names = Pseudonyms(KEY)
    members = collect(str(path), names)
    (finding,) = members["doctor.json"]["findings"]
    assert (finding["code"], finding["severity"]) == ("PAGE_CHECKSUM", "SEV-2")
    assert finding["where"]["index"] == names.of("index", "k_1")
    things = next(
        each
        for each in members["structure.json"]["collections"]
        if each["collection"] == names.of("collection", "things")
    )
    assert things["documents"]["entries"] == 6000
    assert [each["unique"] for each in things["indexes"]] == [True, False]
    assert {"open", "close"} <= {each["event"] for each in members["events.json"]}
    assert members["statistics.json"]["page_size_bytes"] == 4096
    assert sorted(members) == sorted(MEMBERS)


def test_the_key_gives_the_names_back(tmp_path: Path) -> None:
    path, output = tmp_path / "shop.cbdd", tmp_path / "b.zip"
    make(path)
    assert run("bundle", str(path), "--output", str(output), "--yes").exit_code == 0
    hidden = run("bundle", "show", str(output)).stdout
    assert '"things"' not in hidden
    key = f"{output}.key"
    shown = run("bundle", "show", str(output), "--key", key, "--names-of", str(path)).stdout
    assert '"things"' in shown
    again = run("bundle", str(path), "--output", str(tmp_path / "c.zip"), "--yes", "--key", key)
    assert again.exit_code == 0
    first, second = read_bundle(str(output)), read_bundle(str(tmp_path / "c.zip"))
    assert first.members["structure.json"] == second.members["structure.json"]
    assert Pseudonyms(KEY).of("index", "a") != Pseudonyms(bytes(32)).of("index", "a")


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    path, output = tmp_path / "shop.cbdd", tmp_path / "b.zip"
    make(path)
    before = sorted(tmp_path.iterdir())
    assert "nothing was written" in run("bundle", str(path)).stdout
    assert "nothing was written" in run("bundle", str(path), "--output", str(output)).stdout
    assert sorted(tmp_path.iterdir()) == before
    output.write_text("mine")
    result = run("bundle", str(path), "--output", str(output), "--yes")
    assert (result.exit_code, output.read_text()) == (BAD_USAGE, "mine")


# -- somebody else's -------------------------------------------------------------------------


def packed(members: dict[str, bytes], names: list[str] | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for name in names or []:
            archive.writestr(name, b"{}")
    return made.getvalue()


@pytest.fixture
def good(tmp_path: Path) -> dict[str, bytes]:
    write_bundle(str(tmp_path / "good.zip"), {name: {} for name in MEMBERS}, 1)
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def hostile(good: dict[str, bytes]) -> dict[str, bytes]:
    deep = b"[" * 200_000
    return {
        "no zip": b"hello",
        "empty": b"",
        "a member missing": packed({MANIFEST: good[MANIFEST]}),
        "a path for a name": packed(good, ["../../etc/passwd"]),
        "an absolute path": packed(good, ["/etc/passwd"]),
        "one more member": packed(good, ["evil.py"]),
        "a bomb": packed({**good, "doctor.json": b"0" * (40 << 20)}),
        "a changed member": packed({**good, "doctor.json": b'{"a": 1}'}),
        "no JSON": packed({**good, "manifest.json": b"import os"}),
        "nested without end": packed({**good, "manifest.json": deep}),
        "another manifest": packed({**good, "manifest.json": b"[1]"}),
        "cut": packed(good)[:-30],
        "a flipped bit": packed(good)[:60] + b"\xff" + packed(good)[61:],
    }


NAMES = list(hostile({MANIFEST: b"", **dict.fromkeys(MEMBERS, b"{}")}))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_bundle_is_refused(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(hostile(good)[name])
    with pytest.raises(CorruptDataError) as caught:
        read_bundle(str(path))
    assert caught.value.code == "BUNDLE_INVALID"
    for what in ("show", "verify"):
        assert run("bundle", what, str(path)).exit_code == DAMAGED


def test_two_members_of_one_name_are_refused(tmp_path: Path, good: dict[str, bytes]) -> None:
    path = tmp_path / "bad.zip"
    with pytest.warns(UserWarning, match="Duplicate"):
        path.write_bytes(packed(good, ["doctor.json"]))
    with pytest.raises(CorruptDataError):
        read_bundle(str(path))


def test_what_is_in_a_bundle_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    members = {name: {"\x1b[2J": "\x1b]0;owned\x07"} for name in MEMBERS}
    write_bundle(str(path), members, 1)
    assert "\x1b" not in run("bundle", "show", str(path)).stdout


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    assert run("bundle", "show", str(tmp_path / "none.zip")).exit_code == 1
    assert run("bundle", "verify").exit_code == BAD_USAGE
    (tmp_path / "key").write_text("short")
    make(tmp_path / "a.cbdd")
    result = run("bundle", str(tmp_path / "a.cbdd"), "--key", str(tmp_path / "key"))
    assert (result.exit_code, "BUNDLE_KEY" in result.output) == (BAD_USAGE, True)
