"""Run by the Python that has PySAD (``library``): two of NAB's own entrants, series in, scores out, as .npz files."""

import sys

import numpy as np
from pysad.models import KNNCAD, RelativeEntropy


def main() -> None:
    """Read ``IN``, arrays by name and the probation's length before each; write ``DETECTOR/NAME`` to ``OUT``."""
    series = np.load(sys.argv[1])
    scores = {}
    for name, (probation, *values) in series.items():
        models = {
            "KNN-CAD": KNNCAD(int(probation)),
            # As in NAB, whose detectors are told the range of the whole series beforehand.
            "relative entropy": RelativeEntropy(min(values), max(values)),
        }
        for model_name, model in models.items():
            told = [float(np.squeeze(model.fit_score_partial(np.array([value])))) for value in values]
            scores[f"{model_name}/{name}"] = np.nan_to_num(np.array(told))
        print(name, flush=True)  # how far it is
    np.savez(sys.argv[2], **scores)


if __name__ == "__main__":
    main()
