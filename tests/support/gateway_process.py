"""The program of `support.gateway`: a runtime that does what it is told over a pipe."""

from __future__ import annotations

import resource
import select
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from perilune.dataplane.runtime import Runtime


def serve(connection: Connection) -> None:
    """Start a runtime with the settings that come first, then carry out calls until the pipe closes."""
    try:
        runtime = Runtime(connection.recv())
    except Exception as error:
        connection.send(error)
        return
    connection.send(runtime.device_name)
    while True:
        try:
            method, args, kwargs = connection.recv()
        except EOFError:
            runtime.close()
            return
        try:
            connection.send(perform(runtime, method, args, kwargs))
        except Exception as error:
            connection.send(error)


def perform(runtime: Runtime, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> object:
    """Carry out one call."""
    if method == "wait":
        return bool(select.select([runtime.fileno()], [], [], args[0])[0])
    if method == "cpu_s":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime
    answer: object = getattr(runtime, method)(*args, **kwargs)
    return answer


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
