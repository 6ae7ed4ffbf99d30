"""Colours by tone, for light and dark surroundings; the report's page has the same (``reports/page.css``)."""

LIGHT = {
    "page": "#ffffff",
    "text": "#1d1f23",
    "dim": "#63676f",
    "frame": "#b9bdc4",
    "grid": "#eaecef",
    "rate": "#93a1b8",
    "own": "#3f68b5",
    "asked": "#56637a",
    "band": "#d9ebdd",
    "usual": "#2f7d4f",
    "limit": "#1d1f23",
    "allow": "#2f7d4f",
    "observe": "#8a6a00",
    "throttle": "#b85a00",
    "challenge": "#7a3fb0",
    "block": "#b3202c",
}
DARK = {
    "page": "#1c1f24",
    "text": "#e6e7ea",
    "dim": "#9aa0aa",
    "frame": "#4b5058",
    "grid": "#2b2f35",
    "rate": "#6d7c96",
    "own": "#9cc0ff",
    "asked": "#aab6ca",
    "band": "#24412f",
    "usual": "#5fbf86",
    "limit": "#e6e7ea",
    "allow": "#5fbf86",
    "observe": "#d9b23c",
    "throttle": "#f09a4a",
    "challenge": "#c291f0",
    "block": "#f27a82",
}


def tone_of(classes: str) -> str:
    """The colour's name among an element's classes: the last."""
    return classes.rpartition(" ")[2]
