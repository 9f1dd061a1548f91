"""What is told to a tracker: codes, versions and milestones, and nothing from the evidence."""

from __future__ import annotations

import json
from pathlib import Path

import cbdd
from cbdd.ops.bundle import Pseudonyms, collect, write_bundle
from cbdd.ops.incident import (
    IncidentStore,
    assign,
    reach,
    signal_from_bundle,
    signal_from_exception,
    signal_from_file,
)
from cbdd.ops.incident.publication import body_of, labels_of, title_of
from tests.unit.ops.incident.conftest import START_US

SECRETS = ("sekret", "geheim", "salaries", "iban", "DE8937040044")


def broken(folder: Path) -> str:
    place = folder / "sekret"
    place.mkdir()
    path = place / "geheim.cbdd"
    with cbdd.connect(str(path)) as client:
        people = client["geheim"]["salaries"]
        people.create_index("iban")
        people.insert_many([{"_id": n, "iban": f"DE8937040044{n}" * 9} for n in range(90)])
    data = bytearray(path.read_bytes())
    data[data.rfind(b"DE8937040044")] ^= 1
    path.write_bytes(data)
    return str(path)


def test_planted_secrets_are_not_told(tmp_path: Path, store: IncidentStore) -> None:
    path = broken(tmp_path)
    try:
        with cbdd.connect(path) as client:
            list(client["geheim"]["salaries"].find({"iban": "DE8937040044"}))
    except cbdd.CbddError as error:
        store.open(signal_from_exception(error))
    bundle = str(tmp_path / "sent.zip")
    write_bundle(bundle, collect(path, Pseudonyms(bytes(32))), START_US)
    for made in (signal_from_file(path), signal_from_bundle(bundle)):
        store.open(made)
    store.change(1, assign(START_US, "ada"))
    store.change(1, reach(START_US, "triage-complete"))
    for incident in store.all():
        told = [title_of(incident), *labels_of(incident), body_of(incident)]
        assert "PAGE_CHECKSUM" in told[-1]
        for secret in SECRETS:
            assert secret not in json.dumps(told)
    assert "- [x] triage-complete" in body_of(store.get(1))
