"""The policy of the trials."""

from stream_app.policies import DEFAULT_POLICY


def touchy_policy() -> str:
    """An enforced policy that bursts move up and down its whole ladder within minutes of event time."""
    return (
        DEFAULT_POLICY.read_text()
        .replace("version: default-1", "version: faults-1")
        .replace("mode: shadow", "mode: enforced")
        .replace("cool_down_s: 300", "cool_down_s: 20")
        .replace("enter: 0.999\n", "enter: 0.6\n")
        .replace("leave: 0.99\n", "leave: 0.5001\n")
        .replace("enter: 0.9999\n", "enter: 0.7\n")
        .replace("leave: 0.999\n", "leave: 0.6\n")
        .replace("enter: 0.999999\n", "enter: 0.8\n")
        .replace("leave: 0.9999\n", "leave: 0.7\n")
        .replace("ttl_s: 1800", "ttl_s: 60")
        .replace("ttl_s: 900", "ttl_s: 60")
        .replace("{floor: 30,", "{floor: 10,")
        .replace("{floor: 120,", "{floor: 20,")
    )
