//! Sans-IO protocol codecs.
