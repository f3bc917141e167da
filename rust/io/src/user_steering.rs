//! The kernel sorts a TUN device's packets by the user whose socket they come from: a small BPF
//! program says which of the device's queues a packet goes to.
//!
//! Queue 0 is everybody's who is not named, and that of packets that no socket here has sent; users'
//! queues come behind those of the workers. A program that names a queue that is not there yet sends its packets to queue 0.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

// linux/if_tun.h, linux/bpf.h
const TUNSETSTEERINGEBPF: libc::c_ulong = 0x8004_54e0;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
const BPF_FUNC_GET_SOCKET_UID: u32 = 47;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// `if (u32) r0 != value, skip`
const JUMP_UNLESS_EQUAL: u8 = 0x56;
/// `r0 = value`
const SET: u8 = 0xb7;

/// What the kernel calls everyone whom it has no number for, and who sends what no socket sends
/// (`/proc/sys/kernel/overflowuid`).
pub(crate) const OVERFLOW_USER: u32 = 65_534;

/// `union bpf_attr` of `BPF_PROG_LOAD`, as far as it is not zero.
#[repr(C)]
#[derive(Default)]
struct LoadRequest {
    program_type: u32,
    instructions: u32,
    program: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// Have the packets of the users go to the queues of a device from number `first` on, in their order.
///
/// # Errors
/// What the kernel answered: this process may load no program, or the kernel is older than 5.1.
pub(crate) fn steer(device: impl AsFd, first: usize, users: &[u32]) -> io::Result<()> {
    let program = load(&program(first, users))?;
    let number = program.as_raw_fd();
    // SAFETY: the request reads one `int`, which `number` is; the device keeps the program itself.
    let answer = unsafe {
        libc::ioctl(
            device.as_fd().as_raw_fd(),
            TUNSETSTEERINGEBPF,
            &raw const number,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The program: ask for the user, compare with each, return the number of the queue.
fn program(first: usize, users: &[u32]) -> Vec<u64> {
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let compared = users.iter().zip(first..).flat_map(|(user, queue)| {
        [
            instruction(JUMP_UNLESS_EQUAL, 2, *user),
            instruction(SET, 0, queue),
            instruction(EXIT, 0, 0),
        ]
    });
    std::iter::once(instruction(CALL, 0, BPF_FUNC_GET_SOCKET_UID))
        .chain(compared)
        .chain([instruction(SET, 0, 0), instruction(EXIT, 0, 0)])
        .collect()
}

/// `struct bpf_insn` whose register is r0.
fn instruction(code: u8, skipped: i16, value: u32) -> u64 {
    let [o0, o1] = skipped.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([code, 0, o0, o1, v0, v1, v2, v3])
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let request = LoadRequest {
        program_type: BPF_PROG_TYPE_SOCKET_FILTER,
        instructions: u32::try_from(program.len()).unwrap_or(u32::MAX),
        program: program.as_ptr().expose_provenance() as u64,
        license: c"".as_ptr().expose_provenance() as u64,
        ..LoadRequest::default()
    };
    // SAFETY: the request is as long as it says; program and licence outlive the call, which only
    // reads them.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const request,
            size_of::<LoadRequest>(),
        )
    };
    match i32::try_from(answer) {
        // SAFETY: a number that is not negative is a new descriptor, and nobody else's.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program returns for a user; `None` where it does not end.
    fn run(program: &[u64], user: u32) -> Option<u32> {
        let (mut r0, mut at) = (0, 0);
        loop {
            let [code, _, o0, o1, v0, v1, v2, v3] = program.get(at)?.to_ne_bytes();
            let value = u32::from_ne_bytes([v0, v1, v2, v3]);
            at += 1;
            match code {
                CALL => r0 = user,
                SET => r0 = value,
                EXIT => return Some(r0),
                JUMP_UNLESS_EQUAL if r0 != value => {
                    at += usize::try_from(i16::from_ne_bytes([o0, o1])).ok()?;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn each_user_has_a_queue_and_the_others_have_the_first() {
        let steering = program(2, &[1000, u32::MAX - 1, 7]);
        for (user, queue) in [
            (1000, 2),
            (u32::MAX - 1, 3),
            (7, 4),
            (0, 0),
            (OVERFLOW_USER, 0),
        ] {
            assert_eq!(run(&steering, user), Some(queue), "{user}");
        }
        assert_eq!(run(&program(1, &[]), 1000), Some(0));
    }
}
