"""Job J1 in Quix Streams: hopping windows that close by the partition's event time, then a stateful score."""

import argparse
from math import sqrt
from typing import Any

import quixstreams.dataframe.windows.aggregations as agg
from quixstreams import Application, State


def measured(event: dict[str, Any]) -> dict[str, int]:
    """The fields that the windows aggregate."""
    return {"tokens": event["input_tokens"] + event["output_tokens"], "error": int(event["status_code"] >= 400)}


def score(window: dict[str, Any], state: State[str, Any]) -> dict[str, Any]:
    """The window with its z, which is None during warm-up; the tenant's moments move on."""
    closed, mean, variance = state.get("moments", (0, 0.0, 0.0))
    distance = window["count"] - mean
    z = distance / sqrt(variance + 1) if closed >= 10 else None
    state.set("moments", (closed + 1, mean + 0.05 * distance, 0.95 * (variance + 0.05 * distance * distance)))
    return {**window, "z": z}


def decision(window: dict[str, Any], key: Any, _timestamp: int, _headers: Any) -> dict[str, Any]:
    """What goes to the output topic."""
    return {
        "tenant_id": key.decode(),
        "window_end_ms": window["end"],
        "count": window["count"],
        "tokens": window["tokens"],
        "errors": window["errors"],
        "z": window["z"],
    }


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    for flag in ("bootstrap", "input", "output", "group", "dir"):
        parser.add_argument(f"--{flag}", required=True)
    args = parser.parse_args()
    app = Application(
        broker_address=args.bootstrap,
        consumer_group=args.group,
        auto_offset_reset="earliest",
        commit_interval=5.0,
        state_dir=args.dir,
        loglevel="WARNING",
    )
    windows = (
        app.dataframe(app.topic(args.input))
        .apply(measured)
        .hopping_window(60_000, 10_000, grace_ms=5_000)
        .agg(count=agg.Count(), tokens=agg.Sum("tokens"), errors=agg.Sum("error"))
        .final(closing_strategy="partition")
    )
    decided = windows.apply(score, stateful=True).filter(lambda window: window["z"] is not None and window["z"] >= 3)
    decided.apply(decision, metadata=True).to_topic(app.topic(args.output))
    app.run()


if __name__ == "__main__":
    main()
