//! Cutting a packet into fragments (RFC 791, section 3.2; RFC 8200, section 4.5).

use crate::extension_header::{
    FRAGMENT, FRAGMENT_OCTETS, HeaderChain, IPV4_OCTETS, IPV6_OCTETS, NO_NEXT_HEADER, Place,
};
use crate::ip::{self, set_ipv4_checksum};
use crate::transport::{length_field, put, tcp};

/// Fragments carry multiples of this, except the last.
const UNIT: usize = 8;
const DONT_FRAGMENT: u8 = 0x40;
/// The first bit of the flags, which nobody may use or change.
const RESERVED: u8 = 0x80;
const MORE_FRAGMENTS: u16 = 0x2000;
/// Octets that every next layer's header has at least, or that are worth looking at.
const LEAST_HEADER: usize = 8;
/// The bit of an IPv4 option's type that puts it into every fragment.
const COPIED: u8 = 0x80;

/// Why a packet is not cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FragmentError {
    /// IPv4's Don't Fragment bit is set.
    DontFragment,
    /// An IPv6 packet with a fragment header already; only its source cuts it.
    IsFragment,
    /// Not a sound packet.
    Malformed,
    /// Not even the headers and eight octets fit.
    TooSmall,
}

/// A packet and the plan of how to cut it.
#[derive(Debug, Clone, Copy)]
pub struct Fragments<'a> {
    packet: &'a [u8],
    chain: HeaderChain,
    /// Octets in front of the data in the packet.
    headers: usize,
    /// Octets of data in each fragment but the last; all when the packet fits.
    size: usize,
    identification: u32,
}

impl<'a> Fragments<'a> {
    /// Plan to cut the packet that `octets` begin with.
    ///
    /// A packet that fits makes one "fragment", itself. An IPv4 fragment may be cut again.
    ///
    /// Args:
    ///     mtu: The most octets of a fragment, IP header included.
    ///     identification: For IPv6, not used lately between the two addresses; an IPv4 packet
    ///         has its own.
    ///
    /// # Errors
    ///
    /// [`FragmentError`], when it has to be sent whole or not at all.
    pub fn plan(octets: &'a [u8], mtu: usize, identification: u32) -> Result<Self, FragmentError> {
        let chain = HeaderChain::parse(octets).ok_or(FragmentError::Malformed)?;
        let packet = octets.get(..chain.total).ok_or(FragmentError::Malformed)?;
        let mut plan = Self {
            packet,
            chain,
            headers: chain.per_fragment.offset,
            size: chain.total,
            identification,
        };
        if chain.total > mtu {
            plan.check_may_cut()?;
            plan.size = mtu
                .checked_sub(plan.added())
                .and_then(|room| room.checked_sub(plan.headers))
                .map(|room| room & !(UNIT - 1))
                .filter(|room| *room >= plan.least_data())
                .ok_or(FragmentError::TooSmall)?;
        }
        Ok(plan)
    }

    /// How many fragments it makes, at least one.
    #[inline]
    pub fn count(&self) -> usize {
        self.data().len().div_ceil(self.size.max(1)).max(1)
    }

    /// Write a fragment, counted from zero, to the start of `to`.
    ///
    /// Returns:
    /// Its octets, or `None` when there is no such fragment or too little room.
    pub fn write(&self, index: usize, to: &mut [u8]) -> Option<usize> {
        if index >= self.count() {
            return None;
        }
        if self.count() == 1 {
            to.get_mut(..self.packet.len())?
                .copy_from_slice(self.packet);
            return Some(self.packet.len());
        }
        let start = index.checked_mul(self.size)?;
        let end = start.checked_add(self.size)?.min(self.data().len());
        let data = self.data().get(start..end)?;
        let is_last = end == self.data().len();
        let headers = if self.is_ipv6() {
            self.write_ipv6(start, data.len(), is_last, to)?
        } else {
            self.write_ipv4(start, data.len(), is_last, to)?
        };
        let total = headers.checked_add(data.len())?;
        to.get_mut(headers..total)?.copy_from_slice(data);
        Some(total)
    }

    fn is_ipv6(&self) -> bool {
        self.packet.first().is_some_and(|first| first >> 4 == 6)
    }

    /// What is cut: all behind the headers that each fragment repeats.
    fn data(&self) -> &'a [u8] {
        self.packet.get(self.headers..).unwrap_or_default()
    }

    /// Octets that a fragment has more than the packet's own headers.
    fn added(&self) -> usize {
        if self.is_ipv6() { FRAGMENT_OCTETS } else { 0 }
    }

    fn check_may_cut(&self) -> Result<(), FragmentError> {
        match self.packet {
            [first, _, _, _, _, _, flags, ..] if first >> 4 == 4 => {
                if flags & DONT_FRAGMENT == 0 {
                    Ok(())
                } else {
                    Err(FragmentError::DontFragment)
                }
            }
            _ if self.chain.fragment.is_some() => Err(FragmentError::IsFragment),
            _ => Ok(()),
        }
    }

    /// The least data of the first fragment: in IPv6 "all headers through the upper-layer header".
    fn least_data(&self) -> usize {
        if !self.is_ipv6() {
            return UNIT;
        }
        let next_layer = match self.chain.protocol {
            ip::TCP => tcp::MIN_OCTETS,
            NO_NEXT_HEADER => 0,
            _ => LEAST_HEADER,
        };
        let extensions = self.chain.next_layer.offset.saturating_sub(self.headers);
        extensions.saturating_add(next_layer).max(UNIT)
    }

    fn write_ipv4(&self, start: usize, data: usize, is_last: bool, to: &mut [u8]) -> Option<usize> {
        let (fixed, options) = self.packet.get(..self.headers)?.split_first_chunk()?;
        let (place, rest) = to.split_first_chunk_mut::<IPV4_OCTETS>()?;
        *place = *fixed;
        let options = if start == 0 {
            rest.get_mut(..options.len())?.copy_from_slice(options);
            options.len()
        } else {
            copy_options(options, rest)?
        };
        let headers = IPV4_OCTETS.checked_add(options)?;
        let words = u8::try_from(headers.checked_div(4)?).ok()?;
        put(to, 0, [0x40 | words]);
        put(to, 2, length_field(headers.checked_add(data)?));
        let was = self.chain.fragment;
        let offset = was.map_or(0, |was| was.offset).checked_add(start)?;
        let more = !is_last || was.is_some_and(|was| was.more);
        let field = u16::try_from(offset.checked_div(UNIT)?).ok()?;
        let reserved = u16::from(fixed.get(6).map_or(0, |flags| flags & RESERVED)) << 8;
        let field = reserved | field | if more { MORE_FRAGMENTS } else { 0 };
        put(to, 6, field.to_be_bytes());
        set_ipv4_checksum(to, headers);
        Some(headers)
    }

    fn write_ipv6(&self, start: usize, data: usize, is_last: bool, to: &mut [u8]) -> Option<usize> {
        let at: Place = self.chain.per_fragment;
        let kept = to.get_mut(..at.offset)?;
        kept.copy_from_slice(self.packet.get(..at.offset)?);
        let next_header = at.rename(kept, FRAGMENT)?;
        let headers = at.offset.checked_add(FRAGMENT_OCTETS)?;
        let payload = headers.checked_add(data)?.checked_sub(IPV6_OCTETS)?;
        put(to, 4, u16::try_from(payload).ok()?.to_be_bytes());
        let [high, low] = u16::try_from(start).ok()?.to_be_bytes();
        let low = low | u8::from(!is_last);
        let [i0, i1, i2, i3] = self.identification.to_be_bytes();
        let field = [next_header, 0, high, low, i0, i1, i2, i3];
        *to.get_mut(at.offset..)?.first_chunk_mut()? = field;
        Some(headers)
    }
}

/// Copy the options that belong into every fragment, and fill up to 32 bits.
///
/// Returns:
/// The octets written. An option that does not fit ends the list.
fn copy_options(mut options: &[u8], to: &mut [u8]) -> Option<usize> {
    let mut written = 0usize;
    while let [kind, rest @ ..] = options {
        let octets = match (kind, rest) {
            (0, _) => break,
            (1, _) => 1,
            (_, [length, ..]) => usize::from(*length).max(2),
            _ => break,
        };
        let Some((option, rest)) = options.split_at_checked(octets) else {
            break;
        };
        if kind & COPIED != 0 {
            let end = written.checked_add(octets)?;
            to.get_mut(written..end)?.copy_from_slice(option);
            written = end;
        }
        options = rest;
    }
    let end = written.checked_next_multiple_of(4)?;
    to.get_mut(written..end)?.fill(0);
    Some(end)
}

#[cfg(test)]
mod tests;
