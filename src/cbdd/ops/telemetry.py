"""Counters of a client as OpenTelemetry metrics; needs the extra ``cbdd[otel]``.

Metrics are read when they are collected, nothing is done meanwhile:

    cbdd.operations        counter     operations, by attribute ``operation``
    cbdd.failures          counter     those that failed, by attribute ``operation``
    cbdd.slow_operations   counter     those that were slow
    cbdd.file_size         gauge, By   size of the file
    cbdd.log_size          gauge, By   log since the last checkpoint
    cbdd.cache_size        gauge, By   pages in memory
    cbdd.lsn               gauge       LSN of the newest commit

Every one has the attribute ``db.name``, the name of the file without its directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from cbdd.client import Client
from cbdd.storage.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation


def instrument(client: Client[Any], meter_provider: MeterProvider | None = None) -> None:
    """Report a client's counters for as long as it is open.

    :param meter_provider: default: the global one.
    :raises ImportError: the extra is not installed.
    """
    try:
        from opentelemetry import metrics
    except ImportError as error:
        raise ImportError("OpenTelemetry is not installed: pip install 'cbdd[otel]'") from error
    meter = metrics.get_meter("cbdd", VERSION, meter_provider)
    attributes = {"db.name": os.path.basename(client.path)}

    def observe(
        read: Callable[[], Iterable[tuple[float, dict[str, str]]]],
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            if client._store.is_closed:
                return []
            return [metrics.Observation(value, {**attributes, **more}) for value, more in read()]

        return callback

    def by_operation(name: str) -> Iterable[tuple[float, dict[str, str]]]:
        counts = cast("dict[str, int]", client.counters()[name])
        return [(count, {"operation": operation}) for operation, count in counts.items()]

    def slow() -> Iterable[tuple[float, dict[str, str]]]:
        return [(cast("int", client.counters()["slow"]), {})]

    def statistic(*names: str) -> Callable[[], Iterable[tuple[float, dict[str, str]]]]:
        def read() -> Iterable[tuple[float, dict[str, str]]]:
            facts = client.statistics()
            return [(sum(cast("int", facts[name]) for name in names), {})]

        return read

    counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
    counter("cbdd.operations", [observe(lambda: by_operation("operations"))])
    counter("cbdd.failures", [observe(lambda: by_operation("failures"))])
    counter("cbdd.slow_operations", [observe(slow)])
    gauge("cbdd.file_size", [observe(statistic("file_size_bytes"))], "By")
    gauge("cbdd.log_size", [observe(statistic("log_bytes"))], "By")
    gauge("cbdd.cache_size", [observe(statistic("cache_clean_bytes", "cache_dirty_bytes"))], "By")
    gauge("cbdd.lsn", [observe(statistic("lsn"))])
