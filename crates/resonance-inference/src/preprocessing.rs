//! From the samples of a window to the row of a tensor.
