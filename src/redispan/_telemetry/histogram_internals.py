"""``PreparedHistogram``: a histogram of the SDK, for sets of attributes that are known beforehand.

For every measurement the SDK cleans, copies, sorts and hashes its attributes, which is two thirds of the cost of
watching a command, to find the cell it found the last time (docs/adr/0008). Here the cell of a set is remembered.

This is the one module that knows the private attributes of the SDK's metrics. It reads them, writes none, and imports
nothing of the SDK: where anything looks unfamiliar, measurements go the public way. A canary test holds it.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, NoOpHistogram

from redispan._core.slot import SLOT

_FAMILIAR = frozenset({"_ExplicitBucketHistogramAggregation", "_ExponentialBucketHistogramAggregation"})
_TRIES = 3
"""How often the cell of a set is looked for: beyond the SDK's limit of sets it has none of its own."""

_NEWEST = 128
"""Of how many cells, the newest first, a set's is looked for: a new set must not cost more the more there are."""

WITHOUT_EXEMPLAR = Context({"redispan-without-exemplar": True})
"""A context that holds no span. It must not be empty: an empty one counts as none given."""


class AttributeSet:
    """Attributes of a measurement, and the cells that its measurements are added up in."""

    __slots__ = ("attributes", "cells", "found_in", "tries")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.cells: tuple[Cell, ...] = ()
        self.found_in: Any = None
        """The SDK's table of readers in which the cells were found; while it is the same one, they are in force."""
        self.tries = 0


class Cell:
    """Where one reader adds up one set."""

    __slots__ = ("aggregation", "attributes", "key", "match")

    def __init__(self, match: Any, key: Any, aggregation: Any) -> None:
        self.match = match
        self.key = key
        self.attributes = aggregation._attributes
        # Readers of deltas throw their aggregations away at each collection: those are asked for anew each time.
        self.aggregation = None if getattr(match, "_reset_on_collect", False) else aggregation


class _Measured:
    """As much of a measurement as an aggregation reads when no exemplar is wanted."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value


class PreparedHistogram:
    """Records into one histogram, the short way where it can."""

    def __init__(self, histogram: Histogram) -> None:
        """Wrap a histogram.

        Args:
            histogram: Of any provider, or of none yet.
        """
        self._histogram = histogram
        self._consumer: Any = None
        self._familiar = True
        self._discards = isinstance(histogram, NoOpHistogram)
        self._proxy: Any = histogram if hasattr(histogram, "_real_instrument") else None
        self.record_publicly = histogram.record

    def record(self, amount: float, known: AttributeSet) -> None:
        """Record ``amount`` (not negative, finite), without an exemplar."""
        consumer = self._consumer
        if consumer is None or known.found_in is not consumer._reader_storages:
            if self._proxy is not None and self._proxy._real_instrument is None:
                return  # nobody has set up metrics
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
        """Look up the cells of a set that was just recorded the public way."""
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
