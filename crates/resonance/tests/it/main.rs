//! What only shows over real sockets and with foreign peers.

mod certificates;
mod chain;
mod contract;
mod grpc;
mod http;
mod mes;
mod model_command;
mod model_compare;
mod model_packages;
mod mqtt;
mod mtconnect;
mod needs;
#[cfg(target_os = "linux")]
mod opcua_memory;
mod opcua_server;
mod opcua_source;
mod operating;
mod peers;
mod plant_schema;
mod result_record;
mod simulate;
