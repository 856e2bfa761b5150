//! The spool and the MQTT sink against mosquitto and a Python subscriber.

mod broker;
mod delivery;
mod gateway;
mod outage;
mod spool_files;
mod subscriber;
