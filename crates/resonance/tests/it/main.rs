//! What only shows over real sockets and with foreign peers.

mod model_packages;
mod opcua_source;
mod peers;
