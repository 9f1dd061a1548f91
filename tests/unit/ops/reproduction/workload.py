"""A workload with all that changes documents, definitions and indexes, by seed."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import cbdd


def fill(client: Any, seed: int, steps: int) -> None:
    """Change a database in many ways; what is refused is refused."""
    source = random.Random(seed)
    shop = client["shop"]
    shop.create_collection("log", capped=True, size=3000, max=20)
    things = shop["things"]
    things.create_index("tags")
    things.create_index("email", unique=True, sparse=True)
    things.create_index([("kind", 1), ("tags", -1)])
    things.create_index("kind", partialFilterExpression={"n": {"$gt": 3}}, name="partial")
    things.create_index([("data.$**", 1)])
    things.create_index([("kind", "hashed")])
    for step in range(steps):
        try:
            _step(client, source, step)
        except cbdd.errors.PyMongoError:
            continue


def _document(source: random.Random, number: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": number,
        "kind": source.choice([1, 1.0, "a", None]),
        "n": source.randrange(8),
    }
    if source.random() < 0.7:
        document["tags"] = source.choice([["a", "b"], [], ["c"], "d", [1, 2.0, [3]]])
    if source.random() < 0.5:
        document["email"] = f"{source.randrange(30)}@example.org"
    if source.random() < 0.3:
        document["data"] = {"x": [source.randrange(5), {"y": 1}], "z": "s" * source.randrange(900)}
    return document


def _step(client: Any, source: random.Random, step: int) -> None:
    things = client["shop"]["things"]
    some = source.randrange(max(1, step))
    match source.randrange(14):
        case 0 | 1 | 2:
            things.insert_one(_document(source, step))
        case 3:
            things.insert_many([_document(source, 10_000 + step * 10 + i) for i in range(5)])
        case 4:
            things.update_one({"_id": some}, {"$set": {"tags": ["x", "y"], "kind": 2}}, upsert=True)
        case 5:
            things.update_many({"n": some % 8}, {"$inc": {"n": 1}, "$unset": {"data": 1}})
        case 6:
            things.delete_many({"n": some % 8, "kind": None})
        case 7:
            things.replace_one({"_id": some}, {"tags": "plain", "email": f"{some}@example.org"})
        case 8:
            with client.start_session() as session, session.start_transaction():
                things.delete_one({"_id": some}, session=session)
                things.insert_one(_document(source, some), session=session)
                client["shop"]["others"].insert_one({"_id": step}, session=session)
        case 9:
            client["shop"]["log"].insert_one({"step": step, "pad": "p" * source.randrange(400)})
        case 10 if step > 150:
            client.checkpoint()
        case 11:
            name = things.create_index([("extra", 1), ("n", -1)])
            if source.random() < 0.5:
                things.drop_index(name)
            else:
                things.reindex(name)
        case 12:
            others = client["shop"]["others"]
            if source.random() < 0.3:
                others.drop()
            elif source.random() < 0.4:
                others.rename("renamed", dropTarget=True)
            else:
                others.create_index("a", expireAfterSeconds=5)
        case 13:
            client["shop"].command(
                {"collMod": "things", "index": {"name": "tags_1", "hidden": some % 2 == 0}}
            )


def killed(folder: Path, seed: int, steps: int) -> str:
    """A database whose process died: its log has everything since the last checkpoint."""
    source = folder / "alive"
    source.mkdir(parents=True)
    client = cbdd.connect(str(source / "a.cbdd"), checkpoint_log_bytes=200_000, background=False)
    try:
        fill(client, seed, steps)
        client["shop"]["last"].insert_one({"_id": seed})
        shutil.copytree(source, folder / "killed")
    finally:
        client.close()
    return str(folder / "killed" / "a.cbdd")


if __name__ == "__main__":
    with cbdd.connect(sys.argv[1], durability="off") as opened:
        fill(opened, int(sys.argv[2]), int(sys.argv[3]))
        os._exit(0)
