//! What a client does not show: bounds, deadlines, cancellation.
