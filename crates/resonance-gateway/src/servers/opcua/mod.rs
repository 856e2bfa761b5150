//! OPC UA server over the last values.
