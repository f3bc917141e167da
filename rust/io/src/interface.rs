//! Network interfaces by name (netdevice(7)).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use perilune_wire::ethernet::MacAddress;
use socket2::{Domain, Socket, Type};

use crate::error::IoError;

/// Begin a request about the interface with this name.
pub(crate) fn request(name: &str) -> Result<libc::ifreq, IoError> {
    let allowed = |c: u8| c.is_ascii_graphic() && c != b'/' && c != b':';
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || !name.bytes().all(allowed) {
        return Err(IoError::Setting(format!(
            "{name:?} is no interface name: 1 to 15 printable characters without space, '/' and ':'"
        )));
    }
    let mut ifr_name = [0; libc::IFNAMSIZ];
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 };
    Ok(libc::ifreq { ifr_name, ifr_ifru })
}

/// The name in a request that the kernel answered.
pub(crate) fn name_in(request: &libc::ifreq) -> String {
    let octets = request.ifr_name.iter().map(|c| c.cast_unsigned());
    octets.take_while(|c| *c != 0).map(char::from).collect()
}

/// The interface's number.
pub(crate) fn index(socket: impl AsFd, mut request: libc::ifreq) -> io::Result<c_int> {
    ask(socket, libc::SIOCGIFINDEX, &mut request)?;
    // SAFETY: the kernel has filled in this member; any value is a number.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex })
}

/// Its station's address; `None` if it is no Ethernet interface.
pub(crate) fn station(
    socket: impl AsFd,
    mut request: libc::ifreq,
) -> io::Result<Option<MacAddress>> {
    ask(socket, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: the kernel has filled in this member; it is made of numbers.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let octets = address.sa_data.first_chunk::<6>();
    let is_ethernet = address.sa_family == libc::ARPHRD_ETHER;
    Ok(octets
        .filter(|_| is_ethernet)
        .map(|octets| MacAddress(octets.map(|octet| octet.to_ne_bytes()[0]))))
}

/// Octets of the largest IP packet that it takes.
pub(crate) fn mtu(socket: impl AsFd, mut request: libc::ifreq) -> io::Result<c_int> {
    ask(socket, libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: the kernel has filled in this member; any value is a number.
    Ok(unsafe { request.ifr_ifru.ifru_mtu })
}

/// The same of the interface with this number.
pub(crate) fn mtu_of_index(socket: impl AsFd, index: c_int) -> io::Result<c_int> {
    let mut request = by_index(index);
    ask(&socket, libc::SIOCGIFNAME, &mut request)?;
    mtu(socket, request)
}

/// Set it up, if it is not.
pub(crate) fn set_up(socket: impl AsFd, mut request: libc::ifreq) -> io::Result<()> {
    ask(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the kernel has filled in this member; any value is a set of flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or_default();
    if flags & up != 0 {
        return Ok(());
    }
    request.ifr_ifru.ifru_flags = flags | up;
    ask(socket, libc::SIOCSIFFLAGS, &mut request)
}

/// Give its queue another length, in packets, where it has the one that it is made with.
pub(crate) fn lengthen_queue(name: &str, from: c_int, to: c_int) -> Result<(), IoError> {
    let refused = |source| IoError::Tun {
        name: name.to_owned(),
        step: "queue length",
        source,
    };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(refused)?;
    let mut request = request(name)?;
    ask(&socket, libc::SIOCGIFTXQLEN, &mut request).map_err(refused)?;
    // SAFETY: the kernel has filled in `ifr_qlen`, a number of the same type and place.
    if unsafe { request.ifr_ifru.ifru_metric } == from {
        request.ifr_ifru.ifru_metric = to;
        ask(&socket, libc::SIOCSIFTXQLEN, &mut request).map_err(refused)?;
    }
    Ok(())
}

/// Whether there is still an interface with this number.
pub(crate) fn exists(socket: impl AsFd, index: c_int) -> bool {
    ask(socket, libc::SIOCGIFNAME, &mut by_index(index)).is_ok()
}

fn by_index(index: c_int) -> libc::ifreq {
    libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_ifindex: index,
        },
    }
}

fn ask(socket: impl AsFd, question: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: all questions of this file read and write one `ifreq`, which `request` is.
    let answer = unsafe { libc::ioctl(socket, question as _, std::ptr::from_mut(request)) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
