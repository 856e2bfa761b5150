//! The gRPC server over real sockets, with the clients that people use.

mod calls;
mod peers;
