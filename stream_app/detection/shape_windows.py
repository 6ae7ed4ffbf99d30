"""Values of the shape features over the last ten minutes."""

from collections.abc import Set

from stream_app.detection.features import CODES
from stream_app.detection.shapes import optional_values
from stream_app.detection.windows import Totals, Windows


def shape_values(
    windows: Windows, minute: int, totals: Totals, usual_mix: dict[str, float], new_models: Set[str]
) -> list[tuple[int, float]]:
    """Values of the shape features by place in the ten minutes up to one with these totals; some request was served."""
    requests, input_tokens, output_tokens, errors, _ = totals
    values = [
        (_INPUT_PER_REQUEST, input_tokens / requests),
        (_OUTPUT_PER_REQUEST, output_tokens / requests),
        (_ERRORS_PERCENT, 100.0 * errors / requests),
        (_ACCOUNTS, windows.distinct_accounts(minute)),
        (_MODEL_SHIFT, 100.0 * total_variation(windows.mix(minute), usual_mix, new_models)),
    ]
    if input_tokens:
        values.append((_OUTPUT_PER_INPUT, 100.0 * output_tokens / input_tokens))
    shapes = [part.shape for part in windows.long(minute) if part.shape is not None]
    return values + (optional_values(shapes, requests) if shapes else [])


_INPUT_PER_REQUEST, _OUTPUT_PER_REQUEST, _ERRORS_PERCENT, _ACCOUNTS, _MODEL_SHIFT, _OUTPUT_PER_INPUT = (
    CODES.index(f"{name}_600s")
    for name in (
        *("input_per_request", "output_per_request", "errors_percent", "accounts", "model_shift_percent"),
        "output_per_input_percent",
    )
)


def total_variation(mix: dict[str, int], usual: dict[str, float], new: Set[str] = frozenset()) -> float:
    """Share of requests that went to other models than usual, 0..1; 0 while nothing is usual yet.

    Those to models that are ``new`` to everybody are none of them.
    """
    asked = sum(mix.values())
    if new:
        mix = {model: requests for model, requests in mix.items() if model not in new}
        usual = {model: weight for model, weight in usual.items() if model not in new}
    requests, weight = sum(mix.values()), sum(usual.values())
    if not requests or not weight:
        return 0.0
    models = mix.keys() | usual.keys()
    differing = sum(abs(mix.get(m, 0) / requests - usual.get(m, 0.0) / weight) for m in sorted(models)) / 2
    return differing * requests / asked
