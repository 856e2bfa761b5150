//! The whole chain: the real binary between machines, brokers and clients nobody here wrote.

mod backup;
mod bad_input;
mod connect;
mod demo;
mod gateway;
mod inspection;
mod killed;
mod machine;
mod readme;
mod recording;
mod reload;
mod remote;
mod replay;
mod surfaces;
mod terminal;
mod traces;
