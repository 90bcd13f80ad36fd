//! The link layer: Ethernet and up to two VLAN tags.

use crate::Reason;
use crate::abi::{Egress, VlanTag};
use crate::cursor::Cursor;
use crate::header::{Ethernet, Mac, TagRest, ether_type};
use crate::wire::Be16;

/// An Ethernet header and its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Destination MAC address.
    pub destination: Mac,
    /// Source MAC address.
    pub source: Mac,
    /// Tags, outermost first; the first [`Link::tag_count`] count.
    pub tags: [VlanTag; 2],
    /// 0 to 2.
    pub tag_count: u32,
    /// What follows the last tag.
    pub ether_type: Be16,
}

impl Link {
    /// Reads an Ethernet header and its tags. A third tag is [`Reason::TooManyHeaders`].
    #[inline(always)]
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self, Reason> {
        let ethernet: Ethernet = cursor.read()?;
        let mut link = Self {
            destination: ethernet.destination,
            source: ethernet.source,
            tags: [VlanTag::default(); 2],
            tag_count: 0,
            ether_type: ethernet.ether_type,
        };
        if is_tag(link.ether_type) {
            link.tags[0] = link.tag(cursor)?;
            if is_tag(link.ether_type) {
                link.tags[1] = link.tag(cursor)?;
            }
            if is_tag(link.ether_type) {
                return Err(Reason::TooManyHeaders);
            }
        }
        Ok(link)
    }

    /// What an egress entry puts in front of a packet of `ether_type`.
    #[inline(always)]
    pub fn of_egress(egress: &Egress, tag_count: u32, ether_type: Be16) -> Self {
        Self {
            destination: words(egress.destination_mac),
            source: words(egress.source_mac),
            tags: egress.tags,
            tag_count,
            ether_type,
        }
    }

    /// Writes the Ethernet header and the tags.
    #[inline(always)]
    pub fn write(&self, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        let [first, second] = self.tags;
        let ether_type = if self.tag_count == 0 { self.ether_type } else { first.tpid };
        cursor.write(Ethernet { destination: self.destination, source: self.source, ether_type })?;
        if self.tag_count > 0 {
            let ether_type = if self.tag_count == 1 { self.ether_type } else { second.tpid };
            cursor.write(TagRest { tci: first.tci, ether_type })?;
        }
        if self.tag_count > 1 {
            cursor.write(TagRest { tci: second.tci, ether_type: self.ether_type })?;
        }
        Ok(())
    }

    /// Length with tags, in bytes.
    #[inline(always)]
    pub const fn bytes(&self) -> u32 {
        link_bytes(self.tag_count)
    }

    #[inline(always)]
    fn tag(&mut self, cursor: &mut Cursor<'_>) -> Result<VlanTag, Reason> {
        let rest: TagRest = cursor.read()?;
        let tag = VlanTag { tpid: self.ether_type, tci: rest.tci };
        self.ether_type = rest.ether_type;
        self.tag_count += 1;
        Ok(tag)
    }
}

/// Length of an Ethernet header with some tags, in bytes.
#[inline(always)]
pub const fn link_bytes(tag_count: u32) -> u32 {
    14 + 4 * tag_count
}

#[inline(always)]
fn is_tag(ether_type: Be16) -> bool {
    ether_type == ether_type::VLAN || ether_type == ether_type::SERVICE_VLAN
}

#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "the six bytes")]
const fn words(mac: [u8; 6]) -> Mac {
    let [a, b, c, d, e, f] = mac;
    [
        Be16::from_raw(u16::from_ne_bytes([a, b])),
        Be16::from_raw(u16::from_ne_bytes([c, d])),
        Be16::from_raw(u16::from_ne_bytes([e, f])),
    ]
}
