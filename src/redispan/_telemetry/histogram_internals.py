"""``PreparedHistogram``: a histogram of the SDK for sets of attributes that are known beforehand.

For every measurement, the SDK cleans, copies, sorts and hashes the attributes to find the aggregation of that set. This
is two thirds of the cost of recording a command (docs/adr/0008). Instead, ``PreparedHistogram`` remembers the
aggregation of each set in a ``Cell``.

This is the only module that uses private attributes of the SDK's metrics. It reads them, never writes them, and imports
nothing of the SDK. If anything differs from what it knows, it records through the public API. A canary test checks that
the private attributes are as this module expects.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, NoOpHistogram

from redispan._core.slot import SLOT

_FAMILIAR = frozenset({"_ExplicitBucketHistogramAggregation", "_ExponentialBucketHistogramAggregation"})
_TRIES = 3
"""How many times the cells of a set are looked for. A set beyond the SDK's cardinality limit has no aggregation."""

_NEWEST = 128
"""How many of the newest aggregations are searched for a set, so that the cost of a new set stays bounded."""

WITHOUT_EXEMPLAR = Context({"redispan-without-exemplar": True})
"""A context without a span. It must not be empty, because the SDK uses the current context instead of an empty one."""


class AttributeSet:
    """The attributes of measurements, and the cells that aggregate these measurements.

    Attributes:
        attributes: The attributes.
        cells: One cell per metric reader; empty until they are found.
        found_in: The SDK's dictionary of reader storages in which the cells were found. The cells are valid as long as
            the SDK uses this same dictionary.
        tries: How many times the cells were looked for.
    """

    __slots__ = ("attributes", "cells", "found_in", "tries")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.cells: tuple[Cell, ...] = ()
        self.found_in: Any = None
        self.tries = 0


class Cell:
    """The aggregation of one attribute set for one metric reader.

    Attributes:
        match: The SDK's object that holds the aggregations of the instrument for the reader.
        key: The key of the set in ``match``.
        attributes: The attributes as the SDK keeps them.
        aggregation: The aggregation; None if it has to be looked up by ``key`` each time.
    """

    __slots__ = ("aggregation", "attributes", "key", "match")

    def __init__(self, match: Any, key: Any, aggregation: Any) -> None:
        self.match = match
        self.key = key
        self.attributes = aggregation._attributes
        # A delta reader discards its aggregations at each collection, so each measurement looks them up.
        self.aggregation = None if getattr(match, "_reset_on_collect", False) else aggregation


class _Measured:
    """The part of a measurement that an aggregation reads if no exemplar is offered."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value


class PreparedHistogram:
    """Records measurements into one histogram, directly into the aggregation where possible."""

    def __init__(self, histogram: Histogram) -> None:
        """Wrap a histogram.

        Args:
            histogram: A histogram of any meter provider, or the API's proxy while no provider is set.
        """
        self._histogram = histogram
        self._consumer: Any = None
        self._familiar = True
        self._discards = isinstance(histogram, NoOpHistogram)
        self._proxy: Any = histogram if hasattr(histogram, "_real_instrument") else None
        self.record_publicly = histogram.record

    def record(self, amount: float, known: AttributeSet) -> None:
        """Record a measurement without an exemplar.

        Args:
            amount: The value, which must be finite and not negative.
            known: The attributes, with the cells that were found for them.
        """
        consumer = self._consumer
        if consumer is None or known.found_in is not consumer._reader_storages:
            if self._proxy is not None and self._proxy._real_instrument is None:
                return  # no meter provider is set
            if not self._discards:
                self.record_publicly(amount, known.attributes, WITHOUT_EXEMPLAR)
                if self._familiar and known.tries < _TRIES:
                    self._find_cells(known)
            return
        try:
            measured = _Measured(amount)
            for cell in known.cells:
                if cell.aggregation is not None:
                    cell.aggregation.aggregate(measured, False)
                else:
                    match = cell.match
                    with match._lock:
                        match._get_or_create_aggregation(cell.key, cell.attributes).aggregate(measured, False)
        except Exception:
            self._go_public()

    def _go_public(self) -> None:
        SLOT.runtime.self_metrics.telemetry_error("histogram")
        self._familiar = False
        self._consumer = None

    def _find_cells(self, known: AttributeSet) -> None:
        """Look up the cells of a set that was just recorded through the public API."""
        try:
            instrument = self._histogram if self._proxy is None else self._proxy._real_instrument
            consumer = getattr(instrument, "_measurement_consumer", None)
            storages = getattr(consumer, "_reader_storages", None)
            if storages is None or not _is_enabled(instrument):
                self._familiar = False
                return
            known.tries += 1
            cells = []
            for storage in storages.values():
                for match in storage._instrument_view_instrument_matches[instrument]:
                    kind = type(match._aggregation).__name__
                    if kind == "_DropAggregation":
                        continue
                    if kind not in _FAMILIAR:
                        self._familiar = False
                        return
                    cell = _cell_of(match, known.attributes)
                    if cell is None:
                        return
                    cells.append(cell)
            known.cells = tuple(cells)
            known.found_in = storages
            self._consumer = consumer
        except Exception:
            self._go_public()


def _is_enabled(instrument: Any) -> bool:
    asked = getattr(instrument, "_is_enabled", None)
    return asked is None or bool(asked())


def _cell_of(match: Any, attributes: dict[str, Any]) -> Cell | None:
    kept = match._view._attribute_keys
    wanted = attributes if kept is None else {key: value for key, value in attributes.items() if key in kept}
    for key in islice(reversed(tuple(match._attributes_aggregation)), _NEWEST):
        aggregation = match._attributes_aggregation.get(key)
        if aggregation is not None and dict(aggregation._attributes or {}) == wanted:
            return Cell(match, key, aggregation)
    return None
