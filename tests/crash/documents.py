"""A workload of documents, indexes and collections, and the judge of its crash states."""

from __future__ import annotations

import random
from typing import Any

from cbdd.errors import CbddError
from cbdd.testing import CrashedDatabase, CrashingDatabase, RefusedRecovery, SilentOutcome

Documents = dict[int, dict[str, Any]]
SCHEMA_CHANGES = 0.1


class DocumentRun:
    """Random statements and transactions on one collection with indexes, and the model."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.source = random.Random(seed)
        self.crashing = CrashingDatabase(seed)
        self.models: list[Documents] = [{}]

    def run(self, steps: int) -> None:
        with self.crashing.connect(checkpoint_log_bytes=8192) as client:
            things = client.shop.things
            things.create_index("n")
            things.create_index([("tags", 1), ("n", -1)])
            for _ in range(steps):
                self._step(client)

    def _step(self, client: Any) -> None:
        source, things = self.source, client.shop.things
        model = {key: dict(value) for key, value in self.models[-1].items()}
        number = len(self.models)
        choice = source.random()
        key = source.randrange(40)
        document = {
            "_id": key,
            "n": source.randrange(10),
            "tags": source.sample(["a", "b", "c", "d"], 2),
            "pad": source.randbytes(source.choice([5, 100, 1500])),
        }
        self.models.append(model)
        self.crashing.begun(number)
        if source.random() < SCHEMA_CHANGES:
            self._change_schema(things, model)
        elif choice < 0.5:
            model[key] = document
            things.replace_one({"_id": key}, document, upsert=True)
        elif choice < 0.7:
            n = source.randrange(10)
            for key in [k for k, v in model.items() if v["n"] == n]:
                del model[key]
            things.delete_many({"n": n})
        elif choice < 0.85:
            for value in model.values():
                if "a" in value["tags"]:
                    value["n"] += 1
            things.update_many({"tags": "a"}, {"$inc": {"n": 1}})
        else:
            with client.start_session() as session, session.start_transaction():
                for other in (key, key + 100):
                    model[other] = {**document, "_id": other}
                    things.replace_one({"_id": other}, model[other], upsert=True, session=session)
        self.crashing.acknowledged(number)

    def _change_schema(self, things: Any, model: Documents) -> None:
        """Drop the collection, or make or drop an index: in documents only the first is seen."""
        if self.source.random() < 0.3:
            model.clear()
            things.drop()
            things.create_index("n")
        elif "pad_1" in things.index_information():
            things.drop_index("pad_1")
        else:
            things.create_index("pad", partialFilterExpression={"n": {"$gt": 2}})

    def judge(self, state: CrashedDatabase) -> None:
        """Every document, by scan and by index, is that of one commit that may be there."""
        try:
            with state.connect() as client:
                found = {d["_id"]: d for d in client.shop.things.find()}
                by_index = {
                    d["_id"]: d for n in range(30) for d in client.shop.things.find({"n": n})
                }
                problems = client.check().problems
        except CbddError as error:
            raise RefusedRecovery(f"documents, seed {self.seed}, {state}: {error}") from error
        allowed = self.models[state.acknowledged : state.begun + 1]
        if found not in allowed or by_index != found or problems:
            raise SilentOutcome(
                f"documents, seed {self.seed}, {state}: {len(found)} documents, {len(by_index)} by "
                f"index, expected those of commit {state.acknowledged} to {state.begun}; {problems}"
            )
