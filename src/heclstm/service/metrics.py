"""Numbers for Prometheus. No label names a tenant, a job or a key. prometheus_client lives here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EVALUATION_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered requests", "route", "method", "status")
        self.request_seconds = Histogram(
            "heclstm_request_seconds", "From the head of a request to its answer", ["route"], registry=self.registry
        )
        self.received = self._counter("received_bytes", "Bytes of bodies", "route")
        self.evaluated = self._counter("evaluations", "Ended evaluations", "outcome")
        self.evaluation_seconds = Histogram(
            "heclstm_evaluation_seconds",
            "Of one encrypted sequence",
            ["program"],
            registry=self.registry,
            buckets=_EVALUATION_SECONDS,
        )
        self.worker_deaths = self._counter("worker_deaths", "Workers that ended by themselves")
        self.queue = self._gauge("queries", "Queries by state", "state")
        self.workers = self._gauge("workers", "Worker processes by state", "state")
        self.open_key_bytes = self._gauge("open_key_bytes", "Key sets that workers have mapped, each counted once")
        self.memory_bytes = self._gauge("admitted_memory_bytes", "Memory of all workers, as estimated")

    def collect_from(self, source: Callable[[], Mapping[str, float]]) -> None:
        """source: state → number of queries, asked at each scrape."""
        for state in ("queued", "running", "done", "failed"):
            self.queue.labels(state).set_function(partial(_count, source, state))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"heclstm_{name}", help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"heclstm_{name}", help, labels, registry=self.registry)


def _count(source: Callable[[], Mapping[str, float]], state: str) -> float:
    return source().get(state, 0)
