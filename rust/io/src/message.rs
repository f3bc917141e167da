//! Several datagrams in one system call: sendmmsg(2) and recvmmsg(2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use socket2::SockAddr;

use crate::control_message::{Ancillary, CAPACITY, Control};

/// Most datagrams of one send call.
pub(crate) const SEND_MESSAGES: usize = 64;
/// Most messages of one receive call.
pub(crate) const RECEIVE_MESSAGES: usize = 64;
/// The same where each may be many datagrams that the kernel joined: what they are together is to stay in the
/// processor's cache until it is written.
pub(crate) const RECEIVE_BUNDLES: usize = 16;
/// The largest datagram, and the most that the kernel joins to one.
const BUFFER_OCTETS: usize = 65_536;

/// Send datagrams to one place with the same ancillary data.
///
/// Returns how many of the first [`SEND_MESSAGES`] were taken; less than all of them means that
/// the next one met an error, which the next call reports.
pub(crate) fn send_messages<'a>(
    socket: BorrowedFd<'_>,
    to: &SockAddr,
    control: &Control,
    payloads: impl Iterator<Item = &'a [u8]>,
) -> io::Result<usize> {
    let mut parts = [libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }; SEND_MESSAGES];
    let mut count = 0;
    for (part, payload) in parts.iter_mut().zip(payloads) {
        part.iov_base = payload.as_ptr().cast_mut().cast();
        part.iov_len = payload.len();
        count += 1;
    }
    let ancillary = control.as_octets();
    let mut messages = [EMPTY_MESSAGE; SEND_MESSAGES];
    for (message, part) in messages.iter_mut().zip(&mut parts).take(count) {
        message.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = to.len();
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        if !ancillary.is_empty() {
            message.msg_hdr.msg_control = ancillary.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_controllen = ancillary.len() as _;
        }
    }
    let count = libc::c_uint::try_from(count).unwrap_or(0);
    // SAFETY: the first `count` headers point to the address, the ancillary data, the parts and
    // through them the payloads, all borrowed until after the call; sendmmsg reads those and
    // writes only `msg_len` of the headers.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

const EMPTY_MESSAGE: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

/// A received message: one datagram, or several of one flow that the kernel joined.
pub(crate) struct Received<'a> {
    /// The datagrams' payload.
    pub(crate) data: &'a mut [u8],
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// What the kernel told about it.
    pub(crate) ancillary: Ancillary,
    /// It did not fit the buffer; the rest is lost.
    pub(crate) truncated: bool,
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct ControlBuffer([u8; CAPACITY]);

/// Room for a `sockaddr_in6`, the longest address of an IP socket.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct NameBuffer([u8; 32]);

/// Buffers of one worker for received messages.
pub(crate) struct ReceiveBuffers {
    octets: Vec<u8>,
    controls: [ControlBuffer; RECEIVE_MESSAGES],
    names: [NameBuffer; RECEIVE_MESSAGES],
    results: [ReceiveResult; RECEIVE_MESSAGES],
}

#[derive(Clone, Copy, Default)]
struct ReceiveResult {
    length: usize,
    name_length: usize,
    control_length: usize,
    truncated: bool,
}

impl ReceiveBuffers {
    /// Buffers for one worker, 4 MiB; memory is used once something lies in it.
    pub(crate) fn new() -> Self {
        Self {
            octets: vec![0; RECEIVE_MESSAGES * BUFFER_OCTETS],
            controls: [ControlBuffer([0; CAPACITY]); RECEIVE_MESSAGES],
            names: [NameBuffer([0; 32]); RECEIVE_MESSAGES],
            results: [ReceiveResult::default(); RECEIVE_MESSAGES],
        }
    }

    /// Take what waits in a socket, without waiting for more: so many messages, and no more than
    /// [`RECEIVE_MESSAGES`].
    ///
    /// Returns how many messages [`Self::messages`] will give, none less than one.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let most = most.min(RECEIVE_MESSAGES);
        let mut parts = [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; RECEIVE_MESSAGES];
        let mut headers = [EMPTY_MESSAGE; RECEIVE_MESSAGES];
        let buffers = self.octets.chunks_exact_mut(BUFFER_OCTETS).zip(&mut parts);
        let controls = self.controls.iter_mut().zip(&mut self.names);
        for ((header, (buffer, part)), (control, name)) in
            headers.iter_mut().zip(buffers).zip(controls).take(most)
        {
            part.iov_base = buffer.as_mut_ptr().cast();
            part.iov_len = buffer.len();
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len() as _;
            header.msg_hdr.msg_name = name.0.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = 32;
        }
        // SAFETY: each of the first `most` headers points to its own buffer, control buffer and address
        // storage with their true sizes; all of them outlive the call and nothing else refers to them.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                libc::c_uint::try_from(most).unwrap_or(1),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (result, header) in self.results.iter_mut().zip(&headers).take(count) {
            *result = ReceiveResult {
                length: header.msg_len as usize,
                name_length: header.msg_hdr.msg_namelen as usize,
                control_length: header.msg_hdr.msg_controllen as _,
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
        }
        Ok(count)
    }

    /// The first `count` messages of the last [`Self::receive`].
    ///
    /// A message whose sender is no IP address is left out.
    pub(crate) fn messages(&mut self, count: usize) -> impl Iterator<Item = Received<'_>> {
        let buffers = self
            .octets
            .chunks_exact_mut(BUFFER_OCTETS)
            .zip(&self.controls);
        let results = self.results.iter().zip(&self.names).take(count);
        buffers
            .zip(results)
            .filter_map(|((buffer, control), (result, name))| {
                Some(Received {
                    data: buffer.get_mut(..result.length)?,
                    from: socket_address(name.0.get(..result.name_length)?)?,
                    ancillary: Ancillary::parse(control.0.get(..result.control_length)?),
                    truncated: result.truncated,
                })
            })
    }
}

/// Read a `sockaddr_in` or `sockaddr_in6`.
fn socket_address(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*name.first_chunk()?));
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let address: [u8; 4] = *name.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(address), port).into())
        }
        libc::AF_INET6 => {
            let address: [u8; 16] = *name.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*name.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(address), port, 0, scope).into())
        }
        _ => None,
    }
}
