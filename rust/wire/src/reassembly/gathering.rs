//! The fragments of one packet, in order, and the packet they make.

use super::Refusal;
use crate::extension_header::{FRAGMENT_OCTETS, Fragment};
use crate::ip;
use crate::transport::put;

/// What keeping a fragment costs beside its data, in octets, roughly; and a packet's state.
const OVERHEAD: usize = 64;
const CONGESTION_EXPERIENCED: u8 = 3;

/// One fragment, read and checked.
pub(super) struct Piece<'a> {
    headers: &'a [u8],
    data: &'a [u8],
    fragment: Fragment,
    ecn: u8,
}

/// What is there of one packet.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) number: u64,
    pub(super) started_ns: u64,
    /// Headers and the fragment header of the first fragment.
    first: Option<(Vec<u8>, Fragment)>,
    /// Data by offset; no two overlap.
    parts: Vec<(usize, Vec<u8>)>,
    /// Where the packet's data ends.
    end: Option<usize>,
    /// A bit for each value of the ECN field seen.
    ecn_seen: u8,
    is_given_up: bool,
    octets: usize,
}

impl<'a> Piece<'a> {
    /// Args:
    ///     headers: Octets in front of the data, a fragment header included.
    pub(super) fn new(
        packet: &'a [u8],
        headers: usize,
        fragment: Fragment,
        traffic_class: u8,
    ) -> Self {
        let (headers, data) = packet.split_at_checked(headers).unwrap_or_default();
        Self {
            headers,
            data,
            fragment,
            ecn: traffic_class & 3,
        }
    }

    fn end(&self) -> usize {
        self.fragment.offset.saturating_add(self.data.len())
    }
}

impl Gathering {
    pub(super) fn new(number: u64, started_ns: u64) -> Self {
        Self {
            number,
            started_ns,
            first: None,
            parts: Vec::new(),
            end: None,
            ecn_seen: 0,
            is_given_up: false,
            octets: OVERHEAD,
        }
    }

    /// Octets it costs.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Keep a fragment, or give the packet up.
    pub(super) fn add(&mut self, piece: &Piece<'_>, most: usize) -> Result<(), Refusal> {
        if self.is_given_up {
            return Err(Refusal::GivenUp);
        }
        let place = self.place_of(piece).inspect_err(|refusal| {
            if *refusal != Refusal::Duplicate {
                self.give_up();
            }
        })?;
        if self.parts.len() >= most {
            self.give_up();
            return Err(Refusal::TooMany);
        }
        self.keep(piece, place);
        Ok(())
    }

    /// Whether nothing is missing between the first and the last fragment.
    pub(super) fn is_complete(&self) -> bool {
        let data: usize = self.parts.iter().map(|(_, data)| data.len()).sum();
        self.first.is_some() && self.end == Some(data)
    }

    /// Make the packet.
    pub(super) fn join(self) -> Result<Vec<u8>, Refusal> {
        let (headers, fragment) = self.first.ok_or(Refusal::Malformed)?;
        let mut packet = without_fragmentation(headers, fragment).ok_or(Refusal::Malformed)?;
        for (_, data) in &self.parts {
            packet.extend_from_slice(data);
        }
        ip::set_length(&mut packet).ok_or(Refusal::Malformed)?;
        if self.ecn_seen & (1 << CONGESTION_EXPERIENCED) != 0 {
            if self.ecn_seen & 1 != 0 {
                return Err(Refusal::EcnMismatch);
            }
            ip::set_ecn(&mut packet, CONGESTION_EXPERIENCED);
        }
        Ok(packet)
    }

    /// Find out where among the parts a fragment belongs.
    fn place_of(&self, piece: &Piece<'_>) -> Result<usize, Refusal> {
        let place = self
            .parts
            .partition_point(|(offset, _)| *offset < piece.fragment.offset);
        let (before, after) = self.parts.split_at_checked(place).unwrap_or_default();
        if let Some((offset, data)) = after.first() {
            let is_same = *offset == piece.fragment.offset && data == piece.data;
            if is_same && piece.fragment.more == (self.end != Some(piece.end())) {
                return Err(Refusal::Duplicate);
            }
            if *offset < piece.end() {
                return Err(Refusal::Overlap);
            }
        }
        let reaches_in = |(offset, data): &(usize, Vec<u8>)| {
            offset.saturating_add(data.len()) > piece.fragment.offset
        };
        let is_last = !piece.fragment.more;
        let is_behind_end = self.end.is_some_and(|end| is_last || piece.end() >= end);
        let is_end_too_soon = is_last && !after.is_empty();
        if before.last().is_some_and(reaches_in) || is_behind_end || is_end_too_soon {
            return Err(Refusal::Overlap);
        }
        Ok(place)
    }

    fn keep(&mut self, piece: &Piece<'_>, place: usize) {
        self.ecn_seen |= 1 << piece.ecn;
        if !piece.fragment.more {
            self.end = Some(piece.end());
        }
        if piece.fragment.offset == 0 {
            self.first = Some((piece.headers.to_vec(), piece.fragment));
            self.octets = self.octets.saturating_add(piece.headers.len());
        }
        self.octets = self
            .octets
            .saturating_add(piece.data.len())
            .saturating_add(OVERHEAD);
        self.parts
            .insert(place, (piece.fragment.offset, piece.data.to_vec()));
    }

    /// Forget all fragments, but not that there were some: those to come are refused as well.
    fn give_up(&mut self) {
        *self = Self {
            is_given_up: true,
            ..Self::new(self.number, self.started_ns)
        };
    }
}

/// Take the fragment header from around a whole packet (RFC 6946).
pub(super) fn unwrap_whole(packet: &[u8], fragment: Fragment) -> Result<Vec<u8>, Refusal> {
    let header = fragment.header.ok_or(Refusal::NotFragment)?;
    let end = header.offset.saturating_add(FRAGMENT_OCTETS);
    let (headers, data) = packet.split_at_checked(end).ok_or(Refusal::Malformed)?;
    let mut whole = without_fragmentation(headers.to_vec(), fragment).ok_or(Refusal::Malformed)?;
    whole.extend_from_slice(data);
    ip::set_length(&mut whole).ok_or(Refusal::Malformed)?;
    Ok(whole)
}

/// The headers of the first fragment without what makes it one.
fn without_fragmentation(mut headers: Vec<u8>, fragment: Fragment) -> Option<Vec<u8>> {
    if let Some(place) = fragment.header {
        let next_header = *headers.get(place.offset)?;
        place.rename(&mut headers, next_header)?;
        headers.truncate(place.offset);
    } else {
        //= https://www.rfc-editor.org/rfc/rfc4302#section-3.4.1
        //# In order for a reassembled packet to be processed by
        //# IPsec (as opposed to discarded as an apparent fragment), the IP code
        //# must do these two things after it reassembles a packet.
        let flags = headers.get(6).map(|flags| flags & 0xc0)?;
        put(&mut headers, 6, [flags, 0]);
    }
    Some(headers)
}
