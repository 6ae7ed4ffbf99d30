"""Keyed sketches of prompts, made at the edge, so that detection never sees a prompt's text."""

from stream_app.sketches.keys import Key, KeyFileError, load_key
from stream_app.sketches.prompts import Sketch, sketch_prompt
from stream_app.sketches.scores import PromptScorer
from stream_app.sketches.weights import WeightsError

__all__ = ["Key", "KeyFileError", "PromptScorer", "Sketch", "WeightsError", "load_key", "sketch_prompt"]
