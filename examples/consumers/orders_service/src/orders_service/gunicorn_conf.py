"""gunicorn's settings: several workers with threads, each with the file open by itself.

The application is not loaded before the fork, since a handle must not cross one; `worker_exit`
closes the worker's own, so that the last worker of a graceful stop leaves a clean file.
"""

from __future__ import annotations

from typing import Any

bind = "127.0.0.1:8000"
workers = 2
threads = 4
preload_app = False
graceful_timeout = 10
control_socket_disable = True


def worker_exit(_server: Any, worker: Any) -> None:
    """Close the database of a worker that ends; one that failed to start has none."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["orders"].close()
