//! HTTP: Open Inference Protocol, server-sent events, status, commands.
