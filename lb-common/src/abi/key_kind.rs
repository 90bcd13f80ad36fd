//! What an entry of a service map is for ([`super::ServiceKey4::kind`]).

/// A service on one port, or, with port 0, on every port.
pub const SERVICE: u8 = 0;
/// "Some service of this protocol has this address": tells later fragments, which carry no port, from traffic
/// that is none of ours. The port is 0; of the value only [`super::Service::id`] is meaningful (any one of them).
pub const ADDRESS: u8 = 1;
