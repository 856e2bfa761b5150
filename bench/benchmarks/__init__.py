"""One module a benchmark: NAME, NOTE, and `measure(folder, options)` that gives rows."""
