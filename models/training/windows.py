"""Features of windows, computed as the gateway computes them.

The statistics and their names are those of a package's manifest. They are computed in double
precision and rounded to single precision once, at the end, as the gateway does.
"""

import numpy as np

LAST = 5


def _slope(samples):
    count = samples.shape[1]
    if count < 2:
        return np.zeros(samples.shape[0])
    steps = np.arange(count) - (count - 1) / 2
    centred = samples - samples.mean(axis=1, keepdims=True)
    return (steps * centred).sum(axis=1) / (count * (count * count - 1) / 12)


STATISTICS = {
    "last": lambda samples: samples[:, -1],
    "first": lambda samples: samples[:, 0],
    "mean": lambda samples: samples.mean(axis=1),
    "std_dev": lambda samples: samples.std(axis=1),
    "min": lambda samples: samples.min(axis=1),
    "max": lambda samples: samples.max(axis=1),
    "range": lambda samples: samples.max(axis=1) - samples.min(axis=1),
    "rms": lambda samples: np.sqrt((samples**2).mean(axis=1)),
    "slope": _slope,
    "mean_last5": lambda samples: samples[:, -LAST:].mean(axis=1),
}


def features_of(columns, spec, samples, ends):
    """One row for each window that ends at one of `ends` (inclusive, row numbers).

    `columns` maps the name of a feature's point to its samples in the model's unit; `spec` lists
    pairs of such a name and its statistics, in the manifest's order.
    """
    ends = np.asarray(ends)
    rows = ends[:, None] + np.arange(1 - samples, 1)[None, :]
    numbers = []
    for name, statistics in spec:
        window = columns[name][rows]
        numbers += [STATISTICS[statistic](window) for statistic in statistics]
    return np.stack(numbers, axis=1).astype(np.float32)


def conformal_half_width(errors, coverage):
    """Half the width of an interval that covers this share of cases exchangeable with `errors`
    (split conformal prediction: the ceil((n + 1) * coverage)-th smallest absolute error)."""
    errors = np.sort(np.abs(errors))
    at = min(len(errors) - 1, int(np.ceil((len(errors) + 1) * coverage)) - 1)
    return float(errors[at])


def rmse(truth, answers):
    return float(np.sqrt(np.mean((np.asarray(truth) - np.asarray(answers)) ** 2)))
