//! Writing service keys so that no packet reads another service's entry.
//!
//! A hash map hands the element of a key that was removed or replaced to the next insert at once, while a packet that
//! found it may still be reading: it would then forward to the pool of a service it does not belong to. So before an
//! insert takes an element that was freed a moment ago, a grace period passes. New keys free nothing and cost no wait;
//! keys that get another value wait once each.

use std::fmt::Debug;

use aya::Pod;
use aya::maps::{HashMap, MapData};

use super::Error;
use super::grace::Grace;
use super::maps::{done, gone};

/// When an element was last freed, in grace periods of this process.
#[derive(Debug, Default)]
pub struct Elements {
    /// The process before this one may have freed one just now, so the first insert waits too.
    freed: u64,
}

impl Elements {
    /// Writes a key or, with `None`, removes it. Removing what is not there is no error.
    pub fn write<K: Pod + Debug, V: Pod>(
        &mut self,
        map: &mut HashMap<MapData, K, V>,
        grace: &mut Grace,
        key: &K,
        value: Option<&V>,
    ) -> Result<(), Error> {
        let Some(value) = value else {
            gone(map.remove(key), key)?;
            self.freed = grace.periods();
            return Ok(());
        };
        if self.freed >= grace.periods() {
            grace.wait()?;
        }
        let replaces = map.get(key, 0).is_ok();
        done(map.insert(key, value, 0), key)?;
        if replaces {
            self.freed = grace.periods();
        }
        Ok(())
    }
}
