//! The spool and the MQTT sink against mosquitto and a Python subscriber.

pub(crate) mod broker;
mod delivery;
pub(crate) mod gateway;
mod outage;
mod spool_files;
pub(crate) mod subscriber;
