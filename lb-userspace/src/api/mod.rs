//! HTTP/JSON over a Unix socket.
