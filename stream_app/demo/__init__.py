"""``stillwatch demo``: broker, worker, traffic and limiter on one machine, each the real one."""

from stream_app.demo.run import DemoResult, run_demo
from stream_app.demo.workers import DemoError

__all__ = ["DemoError", "DemoResult", "run_demo"]
