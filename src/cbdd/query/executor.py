"""Running a query: the plan becomes stages, the stages offer documents.

    query = Query.compile({"city": "Oslo"}, sort=[("name", 1)], limit=10)
    execution = Execution(txn, entry, query)
    while execution.step():
        use(execution.result())

`entry` is the collection, None when it does not exist: then there are no documents. The
transaction stays the caller's and must be open as long as the execution is used. An update or
delete first takes `record_ids()`, because nothing may be written between two steps.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

from bson.codec_options import CodecOptions

from cbdd.catalog.entry import CollectionEntry
from cbdd.expression.context import EMPTY_DOCUMENT, ExpressionContext
from cbdd.expression.value import id_element
from cbdd.index.keys import extract_keys
from cbdd.query.bounds_of import conjuncts_of
from cbdd.query.computed import FOR_UPSERT
from cbdd.query.distinct import DistinctValues
from cbdd.query.distinct_scan import add_by_index, distinct_index
from cbdd.query.index_stages import Covered, Fetch, IdLookup, IndexScan, IndexUnion, find_scan
from cbdd.query.key_range import KeyRange
from cbdd.query.matcher import MatchExpression
from cbdd.query.parser import parse_filter
from cbdd.query.plain_filter import plain_filter
from cbdd.query.planner import Hint, Plan, Planner, Wanted, is_planner_on
from cbdd.query.projection import Projection
from cbdd.query.projection_parser import parse_projection, plain_projection
from cbdd.query.returned_key import returned_key, with_record_id
from cbdd.query.sort import SortPattern, SortSpec, compile_sort
from cbdd.query.sort_stage import Sort
from cbdd.query.stages import CollectionScan, Empty, Limit, Skip, Stage
from cbdd.storage import ReadTransaction


class Query:
    """A compiled query: what is wanted, independent of any collection; immutable, may be reused."""

    def __init__(
        self,
        filter: MatchExpression,
        projection: Projection | None = None,
        sort: SortPattern | None = None,
        skip: int = 0,
        limit: int = 0,
        hint: Hint | None = None,
    ) -> None:
        self.filter = filter
        self.projection = projection
        self.sort = sort
        self.skip = skip
        self.limit = limit
        self.hint = hint
        self.key_range: KeyRange | None = None
        self.returns_key = False
        """Whether the key of the index that was read is returned in place of each document."""
        self.shows_record_id = False
        self.may_use_disk = True
        self.may_use_hidden = False
        """Whether the hint may name a hidden index."""

    @staticmethod
    def compile(
        filter: Mapping[str, Any] | bytes | None = None,
        projection: Mapping[str, Any] | bytes | None = None,
        sort: SortSpec | None = None,
        skip: int = 0,
        limit: int = 0,
        hint: Hint | None = None,
        codec_options: CodecOptions[Any] | None = None,
        let: Mapping[str, Any] | bytes | None = None,
        is_upsert: bool = False,
    ) -> Query:
        """Compile all parts; `OperationFailure` when one of them is wrong or not supported.

        :param limit: 0 for all; as in PyMongo a negative one means the same number, once.
        :param let: variables for expressions in filter and projection.
        :param is_upsert: whether a document is to be made of the filter when none matches.
        """
        plain = plain_filter(filter)
        if plain is not None and let is None:
            fields = plain_projection(projection)
            if fields is not None or projection is None:
                return Query(plain, fields, compile_sort(sort), skip, abs(limit), hint)
        context = ExpressionContext(let, codec_options)
        if is_upsert:
            context.refused_in = FOR_UPSERT
        condition = plain
        if condition is None:
            condition = parse_filter(filter, codec_options, context)
        shown = parse_projection(projection, codec_options, condition, context)
        context.require_sound()
        return Query(condition, shown, compile_sort(sort), skip, abs(limit), hint)

    def is_plain(self) -> bool:
        """Tell whether results are the documents as they are stored."""
        return not self.returns_key and not self.shows_record_id and self.projection is None

    def matches_everything(self) -> bool:
        """Tell whether the filter is empty."""
        return not conjuncts_of(self.filter)


class Execution:
    """One run of a query on one collection; belongs to one thread."""

    def __init__(self, txn: ReadTransaction, entry: CollectionEntry | None, query: Query) -> None:
        self.txn = txn
        self.entry = entry
        self.query = query
        self.plan: Plan | None = None
        self.returned = 0
        if entry is None:
            self.root: Stage = Empty()
        else:
            self.plan = Planner(txn, entry).plan(query.filter, _wanted_of(query))
            self.root = build_stages(txn, entry, query, self.plan)

    def step(self) -> bool:
        """Move to the next document; False when there is none."""
        if not self.root.step():
            return False
        self.returned += 1
        return True

    @property
    def document(self) -> bytes:
        """The current document as stored."""
        return self.root.document

    @property
    def record_id(self) -> int:
        """The record id of the current document."""
        return int.from_bytes(self.root.record_key, "big")

    def result(self) -> bytes:
        """Return the current document as the projection wants it."""
        query = self.query
        document = self.root.document
        if query.returns_key:
            document = self._index_key()
        elif query.projection is not None:
            document = query.projection.apply(document)
        return with_record_id(document, self.record_id) if query.shows_record_id else document

    def fill(self, batch: list[bytes], documents: int, size_bytes: int) -> bool:
        """Append results until there are so many, or so many bytes; False at the end of them.

        :param size_bytes: 0 for no bound.
        """
        size = 0
        is_plain = self.query.is_plain()
        while len(batch) < documents:
            if not self.step():
                return False
            document = self.root.document if is_plain else self.result()
            batch.append(document)
            size += len(document)
            if size_bytes and size >= size_bytes:
                break
        return True

    def _index_key(self) -> bytes:
        """Return the current entry of the index that is read; no fields when none is."""
        if self.plan is not None and self.plan.id_key is not None:
            identity = id_element(self.root.document) + b"\0"
            return (len(identity) + 4).to_bytes(4, "little") + identity
        scan = find_scan(self.root)
        if self.plan is None or self.plan.choice is None or scan is None:
            return EMPTY_DOCUMENT
        definition = self.plan.choice.definition
        document = self.root.document
        if self.plan.sort is None:
            return returned_key(definition, scan.key, document)
        return returned_key(definition, extract_keys(definition, document).keys[0], document)

    def record_ids(self) -> array[int]:
        """Run to the end and return the record ids, in order, 8 bytes each."""
        found: array[int] = array("q")
        while self.step():
            found.append(self.record_id)
        return found


def _wanted_of(query: Query) -> Wanted:
    needed = query.skip + query.limit if query.limit else 0
    is_whole = query.returns_key or query.projection is None
    projection = None if is_whole else query.projection
    wanted = Wanted(query.sort, needed, query.hint, projection, query.key_range)
    wanted.may_use_hidden = query.may_use_hidden
    return wanted


def build_stages(txn: ReadTransaction, entry: CollectionEntry, query: Query, plan: Plan) -> Stage:
    """Return the topmost stage of a plan."""
    filter = None if query.matches_everything() else plan.filter
    skip = query.skip
    stage: Stage
    if plan.id_key is not None:
        stage = IdLookup(txn, entry, plan.id_key, _rest_of(filter))
    elif plan.union:
        stage = Fetch(txn, entry, IndexUnion([IndexScan(txn, each) for each in plan.union]), filter)
    elif plan.choice is not None:
        rest = filter if plan.needs_filter() else None
        skipped = 0
        if rest is None and plan.sort is None and not plan.choice.definition.is_multikey:
            skipped, skip = skip, 0
        scan = IndexScan(txn, plan.choice, skipped)
        if plan.is_covered:
            stage = Covered(txn, entry, scan, rest)
        else:
            stage = Fetch(txn, entry, scan, rest)
    elif filter is None and plan.sort is None:
        stage = CollectionScan(txn, entry.record_tree, None, plan.is_reverse, skip)
        skip = 0
    else:
        stage = CollectionScan(txn, entry.record_tree, filter, plan.is_reverse)
    if plan.sort is not None:
        needed = query.skip + query.limit if query.limit else 0
        stage = Sort(txn, entry, stage, plan.sort, needed, query.may_use_disk)
    if skip:
        stage = Skip(stage, skip)
    if query.limit:
        stage = Limit(stage, query.limit)
    return stage


def _rest_of(filter: MatchExpression | None) -> MatchExpression | None:
    """Return what a look-up by `_id` must still ask: nothing when `_id` is all there is."""
    if filter is None or len(conjuncts_of(filter)) == 1:
        return None
    return filter


def count(txn: ReadTransaction, entry: CollectionEntry | None, query: Query) -> int:
    """Count the documents of a query, from the counts in the trees where they say it exactly."""
    if entry is None:
        return 0
    total = _exact_count(txn, entry, query)
    if total is None:
        plain = Query(query.filter, skip=query.skip, limit=query.limit, hint=query.hint)
        execution = Execution(txn, entry, plain)
        while execution.step():
            pass
        return execution.returned
    total = max(0, total - query.skip)
    return min(total, query.limit) if query.limit else total


def _exact_count(txn: ReadTransaction, entry: CollectionEntry, query: Query) -> int | None:
    """Return the count without reading a document, or None when no index says it.

    Keys are counted without visiting them, except in a multikey index: there a document may have
    several, and each is looked at once. It has no key twice.
    """
    if query.matches_everything() and query.hint is None:
        return txn.count(entry.record_tree)
    choice = Planner(txn, entry).exact_choice(query.filter, query.hint)
    if choice is None:
        return None
    total = 0
    intervals = choice.composite.intervals
    is_one_key = (
        len(intervals) == 1 and intervals[0].is_point and len(choice.definition.fields) == 1
    )
    if choice.definition.is_multikey and not is_one_key:
        scan = IndexScan(txn, choice)
        while scan.step():
            total += 1
        return total
    for interval in intervals:
        total += txn.count_range(choice.definition.tree_id, interval.low, interval.high)
    return total


def distinct(txn: ReadTransaction, entry: CollectionEntry | None, key: str, query: Query) -> bytes:
    """Return the different values of a path as the document {values: [...]}."""
    found = DistinctValues(key)
    if entry is not None and query.hint is None and query.matches_everything() and is_planner_on():
        index = distinct_index(entry, key)
        if index is not None and add_by_index(txn, entry, index, found):
            return found.to_bson()
        found = DistinctValues(key)
    execution = Execution(txn, entry, query)
    while execution.step():
        found.add(execution.document)
    return found.to_bson()
