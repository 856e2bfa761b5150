//! What only shows over real sockets and with foreign peers.

mod opcua_source;
mod peers;
