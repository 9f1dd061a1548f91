"""Writers and readers in processes of their own: no lost update, no torn read.

Two writers move money between accounts in transactions and count what they did with ``$inc``; two
readers sum all accounts in one snapshot each time. The sum never changes, the counters equal what
was acknowledged, and the only error is the documented conflict, which is retried.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import Any

import cbdd

ACCOUNTS = 50
START = 1000


def prepare(path: str) -> None:
    with cbdd.connect(path) as client:
        bank = client["bank"]
        bank.accounts.insert_many([{"_id": n, "balance": START} for n in range(ACCOUNTS)])
        bank.accounts.create_index("balance")
        bank.counters.insert_one({"_id": "moves", "n": 0})


def writer(path: str, seconds: float, seed: int) -> dict[str, Any]:
    source = random.Random(seed)
    deadline = time.monotonic() + seconds
    moves = 0
    increments = 0
    conflicts = 0
    with cbdd.connect(path, must_exist=True, durability="normal") as client:
        bank = client["bank"]
        with client.start_session() as session:
            while time.monotonic() < deadline:
                one, other = source.sample(range(ACCOUNTS), 2)
                amount = source.randrange(1, 50)
                session.start_transaction()
                try:
                    for number, change in ((one, -amount), (other, amount)):
                        found = bank.accounts.find_one({"_id": number}, session=session)
                        assert found is not None
                        bank.accounts.update_one(
                            {"_id": number},
                            {"$set": {"balance": found["balance"] + change}},
                            session=session,
                        )
                    session.commit_transaction()
                    moves += 1
                except cbdd.WriteConflictError:
                    conflicts += 1
                    if session.in_transaction:
                        session.abort_transaction()
                    continue
                bank.counters.update_one({"_id": "moves"}, {"$inc": {"n": 1}})
                increments += 1
    return {"moves": moves, "increments": increments, "conflicts": conflicts}


def reader(path: str, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    reads = 0
    last = 0
    with cbdd.connect(path, must_exist=True) as client:
        bank = client["bank"]
        while time.monotonic() < deadline:
            balances = [d["balance"] for d in bank.accounts.find()]
            assert len(balances) == ACCOUNTS, "a torn read"
            assert sum(balances) == ACCOUNTS * START, "a torn read"
            indexed = [d["balance"] for d in bank.accounts.find().sort("balance", 1)]
            assert indexed == sorted(indexed)
            assert sum(indexed) == ACCOUNTS * START, "a torn read by index"
            counter = bank.counters.find_one({"_id": "moves"})
            assert counter is not None
            assert counter["n"] >= last, "a counter went back"
            last = counter["n"]
            reads += 1
    return {"reads": reads}


def run(path: str, seconds: float, seed: int) -> dict[str, int]:
    """Two writers, two readers; returns the totals after judging them."""
    prepare(path)
    roles = [("writer", seed), ("writer", seed + 1), ("reader", 0), ("reader", 0)]
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.soak.processes",
                role,
                path,
                str(seconds),
                str(number),
            ],
            stdout=subprocess.PIPE,
        )
        for role, number in roles
    ]
    totals: dict[str, int] = {}
    for process in processes:
        output, _ = process.communicate(timeout=seconds + 60)
        assert process.returncode == 0, f"seed {seed}: a process failed"
        for name, value in json.loads(output).items():
            totals[name] = totals.get(name, 0) + value
    with cbdd.connect(path, must_exist=True) as client:
        bank = client["bank"]
        counter = bank.counters.find_one({"_id": "moves"})
        assert counter is not None
        assert counter["n"] == totals["increments"], f"seed {seed}: a lost update"
        assert sum(d["balance"] for d in bank.accounts.find()) == ACCOUNTS * START
        assert client.check().is_clean
    return totals


if __name__ == "__main__":
    role, file, duration, number = sys.argv[1:]
    result = (
        writer(file, float(duration), int(number))
        if role == "writer"
        else reader(file, float(duration))
    )
    sys.stdout.write(json.dumps(result))
