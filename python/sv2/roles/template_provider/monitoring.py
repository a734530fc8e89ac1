"""``/metrics`` for Prometheus and ``/health`` for whoever restarts or alerts."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sv2.roles.template_provider.config import HostPort

__all__ = ["Metric", "Monitor", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_MORE = 4096
"""Bytes of a request's body that are read."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: ``kind`` is counter or gauge; ``values`` by the value of ``label``, or one."""

    name: str
    kind: str
    help: str
    values: float | Mapping[str, float]
    label: str = "kind"


def render(metrics: Iterable[Metric]) -> str:
    """The text form of Prometheus. Label values are our own words, never a peer's."""
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        if isinstance(metric.values, Mapping):
            for value, number in sorted(metric.values.items()):
                shown = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
                lines.append(f'{metric.name}{{{metric.label}="{shown}"}} {number:.15g}')
        else:
            lines.append(f"{metric.name} {metric.values:.15g}")
    return "\n".join(lines) + "\n"


def process_metrics() -> list[Metric]:
    """What Prometheus clients tell of their process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    return [
        Metric("process_cpu_seconds_total", "counter", "Processor time.", spent),
        Metric("process_max_resident_memory_bytes", "gauge", "Most memory so far.", peak),
        Metric("process_start_time_seconds", "gauge", "Unix time of the start.", _STARTED),
    ]


_STARTED = time.time()


class Monitor:
    """The HTTP server. ``health`` gives whether all is well, and the state as JSON."""

    def __init__(
        self,
        address: HostPort,
        metrics: Callable[[], Iterable[Metric]],
        health: Callable[[], tuple[bool, dict[str, Any]]],
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._health = health
        application = web.Application(client_max_size=NO_MORE)
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/health", self._serve_health)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> HostPort:
        """Listen; the address with the port in use. OSError where it is not to be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host, self._address.port)
        await site.start()
        return HostPort(self._address.host, int(self._runner.addresses[0][1]))

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        text = render([*self._metrics(), *process_metrics()])
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _serve_health(self, request: web.Request) -> web.Response:
        well, state = self._health()
        body = {"status": "ok" if well else "failing", **state}
        return web.json_response(body, status=200 if well else 503)
