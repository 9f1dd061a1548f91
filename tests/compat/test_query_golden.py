"""What a real MongoDB answered, against our filters, updates, projections, sorts and distinct.

Every recorded call is run. A call this release refuses must name what it does not support; every
other one must give the recorded answer, or fail with the recorded code.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
from bson import ObjectId, Timestamp, json_util
from bson.codec_options import CodecOptions
from bson.json_util import JSONMode, JSONOptions
from pymongo.errors import OperationFailure

from cbdd.expression.context import ExpressionContext
from cbdd.query import DistinctValues, Update, compile_sort, parse_filter, parse_projection
from cbdd.query.computed import FOR_UPSERT
from tests.unit.query.conftest import Items

GOLDEN = Path(__file__).with_name("golden.jsonl.gz")
OPTIONS = JSONOptions(json_mode=JSONMode.CANONICAL, tz_aware=True)
AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
SERVER_TIME = Timestamp(4_000_000_000, 1)
UNSUPPORTED = re.compile(r"(\$\w+|a computed key \S+) is not supported")

KNOWN: dict[tuple[str, int], str] = {
    ("filter", 704): "of two operands that both fail, the first one's error is ours",
    ("filter", 1260): "of two operands that both fail, the first one's error is ours",
}
"""Calls answered otherwise than by MongoDB, and why; docs/query-language.md says so too."""

Case = dict[str, Any]


def golden(kind: str) -> list[Case]:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [decoded(case) for case in cases if case["kind"] == kind]


def decoded(case: Any) -> Any:
    """Decode Extended JSON, where {"$regex": ...} is an operator and not a value."""
    hidden = json.dumps(case).replace('{"$regex":', '{"\\ue000$regex":')
    return renamed(json_util.loads(hidden, json_options=OPTIONS))


def renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lstrip("\ue000"): renamed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [renamed(item) for item in value]
    return value


def stored(case: Case) -> list[bytes]:
    """Encode the documents as inserted: the server fills in empty timestamps at the top."""
    return [
        bson.encode({k: SERVER_TIME if v == Timestamp(0, 0) else v for k, v in document.items()})
        for document in case["docs"]
    ]


def text(document: Any) -> str:
    """Return canonical Extended JSON, with what the server makes up itself made equal."""
    written = json_util.dumps(document, json_options=OPTIONS)
    written = re.sub(r'"t": (4000000000|179\d{7}), "i": \d+', '"t": "now"', written)
    return re.sub(r'"\$oid": "(?!5f0000)[0-9a-f]{24}"', '"$oid": "new"', written)


def texts(documents: list[bytes]) -> list[str]:
    return [text(bson.decode(document, AWARE)) for document in documents]


def judge(
    kind: str, answer: Callable[[Case], Any], expected: Callable[[Case], Any]
) -> Counter[str]:
    """Run all cases of a kind; `answer` gives ours, `expected` the recorded one."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    for number, case in enumerate(golden(kind)):
        if (kind, number) in KNOWN:
            seen["known"] += 1
            continue
        try:
            ours = answer(case)
        except OperationFailure as error:
            if "by this release" in str(error):
                assert UNSUPPORTED.search(str(error)), str(error)
                seen["unsupported"] += 1
            elif "error" not in case or case["error"]["code"] != error.code:
                wrong.append(f"{kind} {number}: raised {error.code} {error}")
            else:
                seen["refused alike"] += 1
            continue
        if "error" in case:
            wrong.append(f"{kind} {number}: should raise {case['error']}")
        elif ours != expected(case):
            wrong.append(f"{kind} {number}: {ours} instead of {expected(case)}")
        else:
            seen["equal"] += 1
    assert not wrong, "\n".join(wrong[:10])
    return seen


def found(case: Case) -> list[bytes]:
    matches = parse_filter(case["filter"])
    return [document for document in stored(case) if matches.matches(document)]


def ids(documents: list[bytes]) -> list[Any]:
    return [bson.decode(document, AWARE)["_id"] for document in documents]


def test_filters_find_what_mongodb_finds() -> None:
    seen = judge("filter", lambda case: ids(found(case)), lambda case: case["expect"]["ids"])
    assert seen == {"equal": 1230, "refused alike": 191, "known": 2}


def test_sorts_order_as_mongodb_does() -> None:
    def ordered(case: Case) -> list[Any]:
        pattern = compile_sort(case["sort"])
        assert pattern is not None
        return ids(sorted(stored(case), key=pattern.key))

    seen = judge("sort", ordered, lambda case: case["expect"]["ids"])
    assert seen == {"equal": 294, "refused alike": 35}


def test_distinct_values_are_those_of_mongodb() -> None:
    def distinct(case: Case) -> list[str]:
        values = DistinctValues(case["key"])
        for document in found(case):
            values.add(document)
        return sorted(text(value) for value in bson.decode(values.to_bson(), AWARE)["values"])

    seen = judge(
        "distinct",
        distinct,
        lambda case: sorted(text(value) for value in case["expect"]["values"]),
    )
    assert seen == {"equal": 151, "refused alike": 10}


def test_projections_return_what_mongodb_returns() -> None:
    def projected(case: Case) -> list[str]:
        context = ExpressionContext()
        filter = parse_filter(case["filter"], context=context)
        projection = parse_projection(case["projection"], filter=filter, context=context)
        context.require_sound()
        documents = [document for document in stored(case) if filter.matches(document)]
        if projection is None:
            return texts(documents)
        return texts([projection.apply(document) for document in documents])

    seen = judge("project", projected, lambda case: [text(d) for d in case["expect"]["docs"]])
    assert seen == {"equal": 338, "refused alike": 118}


class Updated:
    """The collection of one case, in memory, while an update runs over it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.documents = stored(case)
        # As the server does, look at the update before the filter.
        self.update = Update.compile(case["update"], case.get("array_filters"))
        context = ExpressionContext()
        if case["upsert"]:
            context.refused_in = FOR_UPSERT
        self.filter = parse_filter(case["filter"], context=context)
        context.require_sound()
        self.matched = self.modified = 0
        self.upserted: Any = None
        self.before: bytes | None = None
        self.after: bytes | None = None

    def run(self) -> Updated:
        try:
            self.change()
        except OperationFailure:
            if "after_error" in self.case:
                assert self.contents() == sorted(text(d) for d in self.case["after_error"])
            raise
        return self

    def change(self) -> None:
        for place in self.places():
            self.matched += 1
            self.before = self.documents[place]
            self.after = self.update.apply(self.before, filter=self.filter)
            self.modified += self.after is not self.before
            self.documents[place] = self.after
            if not self.case.get("multi"):
                return
        if not self.matched and self.case["upsert"]:
            self.after = self.update.insert_document(self.filter)
            self.documents.append(self.after)
            self.upserted = bson.decode(self.after, AWARE)["_id"]

    def places(self) -> Iterator[int]:
        matching = (i for i, d in enumerate(self.documents) if self.filter.matches(d))
        if "sort" not in self.case:
            return matching  # one by one: a filter can fail on a document that is never reached
        pattern = compile_sort(self.case["sort"])
        assert pattern is not None
        return iter(sorted(matching, key=lambda place: pattern.key(self.documents[place])))

    def contents(self) -> list[str]:
        return sorted(texts(self.documents))


def same_id(value: Any) -> str:
    return "new" if isinstance(value, ObjectId) else text({"_id": value})


def test_updates_change_what_mongodb_changes() -> None:
    def answer(case: Case) -> Any:
        run = Updated(case).run()
        return run.matched, run.modified, same_id(run.upserted), run.contents()

    def expected(case: Case) -> Any:
        expect = case["expect"]
        documents = sorted(text(document) for document in expect["docs"])
        return expect["matched"], expect["modified"], same_id(expect["upserted"]), documents

    seen = judge("update", answer, expected)
    assert seen == {"equal": 374, "refused alike": 668}


def test_find_and_update_returns_what_mongodb_returns() -> None:
    def answer(case: Case) -> Any:
        run = Updated(case).run()
        document = run.after if case["after"] else run.before
        shown = None if document is None else text(bson.decode(document, AWARE))
        return shown, run.contents()

    def expected(case: Case) -> Any:
        document = case["expect"]["doc"]
        shown = None if document is None else text(document)
        return shown, sorted(text(d) for d in case["expect"]["docs"])

    seen = judge("fam", answer, expected)
    assert seen == {"equal": 142, "refused alike": 179}


def test_queries_through_indexes_find_what_mongodb_finds(tmp_path: Path) -> None:
    names = iter(range(1000))

    def answer(case: Case) -> Any:
        options = case.get("options", {})
        items = Items(tmp_path / f"{next(names)}.cbdd")
        try:
            items.insert(*[bson.decode(document, AWARE) for document in stored(case)])
            items.create_index(dict(case["keys"]), **options)
            error = insert_error(items, case["insert"])
            assert error == (case["insert_error"] and case["insert_error"]["code"])
            return sorted(map(str, items.ids(case["filter"]))), items.count()
        finally:
            items.engine.close()

    def expected(case: Case) -> Any:
        return sorted(map(str, case["expect"]["ids"])), case["expect"]["docs"]

    seen = judge("index", answer, expected)
    assert seen["equal"] >= 60


def insert_error(items: Items, document: dict[str, Any]) -> int | None:
    try:
        items.insert(document)
    except OperationFailure as error:
        return error.code
    return None
