//! The link layer: Ethernet and up to two VLAN tags.

use crate::Reason;
use crate::abi::{Egress, VlanTag};
use crate::cursor::Cursor;
use crate::header::{Ethernet, Macs, TagRest, ether_type};
use crate::wire::Be16;

/// An Ethernet header and its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Destination and source MAC address.
    pub macs: Macs,
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
            macs: ethernet.macs(),
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
        Self { macs: macs(egress), tags: egress.tags, tag_count, ether_type }
    }

    /// Writes the Ethernet header and the tags.
    #[inline(always)]
    pub fn write(&self, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        let [first, second] = self.tags;
        let ether_type = if self.tag_count == 0 { self.ether_type } else { first.tpid };
        cursor.write(self.macs)?;
        cursor.write(ether_type.raw())?;
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

/// The addresses of an egress entry. Four bytes at a time: the entry is aligned, and the compiler sees that.
#[inline(always)]
const fn macs(egress: &Egress) -> Macs {
    let Egress { destination_mac: d, source_mac: s, .. } = egress;
    [
        u32::from_ne_bytes([d[0], d[1], d[2], d[3]]),
        u32::from_ne_bytes([d[4], d[5], s[0], s[1]]),
        u32::from_ne_bytes([s[2], s[3], s[4], s[5]]),
    ]
}
