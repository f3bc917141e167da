//! What very many policies and SAs cost: `cargo bench -p perilune-engine --bench scale`.
//!
//! Each SA has a policy of its own, AES-256-GCM, long sequence numbers and a replay window of 64
//! packets. One engine seals with the outbound SAs what another opens with the inbound ones.
//! Memory is what the process has more of afterwards. Packets carry 28 octets: "one" are those of a
//! single SA, "few" of a hundred that are spread over all of them, "any" of all of them, each out of
//! the processor's caches. The stalls are the longest that one call of `seal` took while another
//! thread applied 10,000 changes: in time of the thread's own; by the clock on the wall, in which a
//! busy machine shows; and by that clock without the time in which the thread could have run and no
//! processor was free, as the kernel counts it. The last is what the engine costs: its work and its locks.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start shall say so"
)]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as Clock;

use perilune_engine::{
    Action, AesKeyBits, Change, Direction, Encapsulation, Engine, IcmpErrors, Instant, Keys,
    Lifetimes, Lookup, Mode, OpenedBatch, Path, PathInfo, PolicyConfig, PolicyId, Populate, Ports,
    Processing, SaConfig, SealedBatch, SelectorPair, SequenceState, Suite, TrafficSelector,
};
use rustix::time::{ClockId, clock_gettime};

const NOW: Instant = Instant(1);
const SUITE: Suite = Suite::aes_gcm_16(AesKeyBits::Bits256);
const ROUNDS: u32 = 101;
const PACKETS: u32 = 500;
const CHUNK: u32 = 500;
/// Added to the SPI of an SA for the one that takes its place.
const NEXT: u32 = 0x1000_0000;

fn main() {
    let asked = std::env::args().find_map(|word| word.parse().ok());
    if let Some(count) = asked {
        return measure(count);
    }
    println!(
        "{:>8} {:>11} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "SAs",
        "policy oct",
        "out oct",
        "in oct",
        "SAs a s",
        "seal 1",
        "few ns",
        "any ns",
        "open 1",
        "few ns",
        "any ns"
    );
    for count in ["10", "1000", "100000"] {
        // A process of its own has no memory yet that the one before has let go of.
        let program = std::env::current_exe().unwrap();
        let status = std::process::Command::new(program).arg(count).status();
        assert!(status.unwrap().success());
    }
}

fn measure(count: u32) {
    let (sender, receiver) = (Engine::new(), Engine::new());
    let before = resident_octets();
    fill(&sender, count, |n| policy(Direction::Outbound, n));
    let with_policies = resident_octets();
    let start = Clock::now();
    fill(&sender, count, |n| sa(Direction::Outbound, n, 0));
    let installed = f64::from(count) / start.elapsed().as_secs_f64();
    let with_outbound = resident_octets();
    fill(&receiver, count, |n| policy(Direction::Inbound, n));
    let with_more_policies = resident_octets();
    fill(&receiver, count, |n| sa(Direction::Inbound, n, 0));
    let with_inbound = resident_octets();
    let [one, few, any] = [1, 100, u32::MAX]
        .map(|most| packets(&sender, &receiver, |n| spread(n, count.min(most), count)));
    let each = |before: f64, after: f64| (after - before) / f64::from(count);
    println!(
        "{count:>8} {:>11.0} {:>9.0} {:>9.0} {installed:>9.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0}",
        each(before, with_policies),
        each(with_policies, with_outbound),
        each(with_more_policies, with_inbound),
        one.0,
        few.0,
        any.0,
        one.1,
        few.1,
        any.1,
    );
    if count >= 20_000 {
        stalls(&sender, count);
    }
}

/// The longest that a packet waited during transactions of 10,000 changes.
fn stalls(engine: &Engine, count: u32) {
    let replaced = || (0..10_000).map(|n| scattered(n, count / 20_000) * 20_000 + n);
    let add: Vec<_> = replaced()
        .map(|n| sa(Direction::Outbound, n, NEXT))
        .collect();
    let remove: Vec<_> = replaced()
        .map(|n| Change::RemoveSa(sa_config(Direction::Outbound, n, 0).id()))
        .collect();
    let policies: Vec<_> = (count..count + 10_000)
        .map(|n| policy(Direction::Outbound, n))
        .collect();
    for (name, changes) in [
        ("policies added", policies),
        ("SAs added", add),
        ("SAs removed", remove),
    ] {
        let is_done = AtomicBool::new(false);
        let (applied, longest) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| longest_seal(engine, count, &is_done));
            let start = Clock::now();
            engine.apply(&changes, NOW).unwrap();
            let applied = start.elapsed().as_secs_f64() * 1e3;
            // Packets go on until the reader has met the new tables and let go of the old ones.
            let after = Clock::now();
            while after.elapsed().as_millis() < 100 {
                std::thread::yield_now();
            }
            is_done.store(true, Ordering::Relaxed);
            (applied, reader.join().unwrap())
        });
        println!(
            "10,000 {name}: {applied:.1} ms; longest seal {:.3} ms of its own, {:.3} ms on the wall, \
             {:.3} ms without waiting for a processor",
            longest.own, longest.wall, longest.engine
        );
    }
}

/// Milliseconds of the longest call, each measure for itself.
#[derive(Default)]
struct Longest {
    own: f64,
    wall: f64,
    engine: f64,
}

fn longest_seal(engine: &Engine, count: u32, is_done: &AtomicBool) -> Longest {
    let schedule = File::open("/proc/thread-self/schedstat").unwrap();
    let mut worker = engine.outbound_worker();
    let mut out = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
    let frames: Vec<_> = (0..1000)
        .map(|n| frame(spread(n, 1000, count), n))
        .collect();
    let mut longest = Longest::default();
    for frame in frames.iter().cycle() {
        let waited_before = waited(&schedule);
        let (start, start_own) = (Clock::now(), own_time());
        let _ = engine.seal(&mut worker, frame, NOW, &mut out);
        let own = (own_time() - start_own) * 1e3;
        let wall = start.elapsed().as_secs_f64() * 1e3;
        let waiting = waited(&schedule) - waited_before;
        longest.own = longest.own.max(own);
        longest.wall = longest.wall.max(wall);
        longest.engine = longest.engine.max(wall - waiting);
        out.clear();
        if is_done.load(Ordering::Relaxed) {
            break;
        }
    }
    longest
}

/// Milliseconds that this thread has waited for a processor.
fn waited(schedule: &File) -> f64 {
    let mut octets = [0; 64];
    let len = schedule.read_at(&mut octets, 0).unwrap();
    let text = std::str::from_utf8(&octets[..len]).unwrap();
    let nanoseconds: f64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    nanoseconds / 1e6
}

/// Nanoseconds to seal and to open a packet of SAs that `choose` names.
fn packets(sender: &Engine, receiver: &Engine, choose: impl Fn(u32) -> u32) -> (f64, f64) {
    let (mut outbound, mut inbound) = (sender.outbound_worker(), receiver.inbound_worker());
    let mut sealed = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
    let mut opened = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
    let (mut seal, mut open) = (f64::INFINITY, f64::INFINITY);
    for round in 0..ROUNDS {
        let frames: Vec<_> = (0..PACKETS)
            .map(|n| round * PACKETS + n)
            .map(|n| frame(choose(n), n))
            .collect();
        seal = seal.min(nanoseconds_each(|| {
            for frame in &frames {
                let _ = sender.seal(&mut outbound, frame, NOW, &mut sealed);
            }
        }));
        let runs = sealed.runs().iter();
        let mut packets: Vec<_> = runs
            .flat_map(|run| sealed.octets(run).chunks(run.segment_size))
            .map(<[u8]>::to_vec)
            .collect();
        assert_eq!(packets.len(), frames.len(), "a packet was not sealed");
        open = open.min(nanoseconds_each(|| {
            for packet in &mut packets {
                let _ = receiver.open(&mut inbound, packet, &path_info(), NOW, &mut opened);
            }
        }));
        assert_eq!(
            opened.frames().len(),
            frames.len(),
            "a packet was not opened"
        );
        sealed.clear();
        opened.clear();
    }
    (seal, open)
}

fn nanoseconds_each(work: impl FnOnce()) -> f64 {
    let start = Clock::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS)
}

/// Number `n` of `chosen` numbers that are spread over `count`.
fn spread(n: u32, chosen: u32, count: u32) -> u32 {
    scattered(n, chosen) * (count / chosen)
}

/// A number below `count` that has little to do with those before it.
fn scattered(n: u32, count: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca77)
        % count
}

fn fill(engine: &Engine, count: u32, change: impl Fn(u32) -> Change) {
    for start in (0..count).step_by(usize::try_from(CHUNK).unwrap()) {
        let changes: Vec<_> = (start..count.min(start + CHUNK)).map(&change).collect();
        engine.apply(&changes, NOW).unwrap();
    }
}

fn resident_octets() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// Seconds that this thread has worked.
fn own_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap();
    let seconds = u32::try_from(time.tv_sec).unwrap();
    f64::from(seconds) + f64::from(nanoseconds) / 1e9
}

/// The policy of a number, at the end that has the SA of a direction.
fn policy(end: Direction, n: u32) -> Change {
    Change::AddPolicy(PolicyConfig {
        id: PolicyId(n),
        priority: 0,
        action: Action::Protect,
        selectors: selectors(n, end),
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    })
}

fn sa(direction: Direction, n: u32, replaces: u32) -> Change {
    Change::AddSa(Box::new(sa_config(direction, n, replaces)))
}

fn sa_config(direction: Direction, n: u32, replaces: u32) -> SaConfig {
    let [_, k0, k1, k2] = n.to_be_bytes();
    let mut key = vec![k0, k1, k2];
    key.resize(SUITE.encryption_key_octets(), 0x5a);
    let ends = [address(1), address(2)];
    let [local, remote] = match direction {
        Direction::Outbound => ends,
        Direction::Inbound => [ends[1], ends[0]],
    };
    SaConfig {
        spi: 0x1000 + n + replaces,
        direction,
        policy: PolicyId(n),
        peer_spi: 0,
        path: Path { local, remote },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite: SUITE,
        allow_insecure: false,
        keys: Keys::new(key, Vec::new()),
        esn: true,
        replay_window: 64,
        selectors: selectors(n, direction),
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    }
}

fn address(last: u8) -> std::net::SocketAddr {
    ([192, 0, 2, last], 4500).into()
}

fn path_info() -> PathInfo {
    PathInfo {
        local: address(2),
        remote: address(1),
        encapsulated: true,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: 0,
    }
}

/// From one host to the network of a number, 256 addresses, seen from an end.
fn selectors(n: u32, direction: Direction) -> SelectorPair {
    let network = |base: u32, last: u32| {
        let addresses: std::ops::RangeInclusive<IpAddr> =
            Ipv4Addr::from_bits(base).into()..=Ipv4Addr::from_bits(base | last).into();
        vec![TrafficSelector::new(addresses, 0, Ports::Any).unwrap()]
    };
    let ends = [network(0xc0a8_0001, 0), network(remote(n), 0xff)];
    let [local, remote] = ends;
    match direction {
        Direction::Outbound => SelectorPair::new(local, remote),
        Direction::Inbound => SelectorPair::new(remote, local),
    }
}

fn remote(n: u32) -> u32 {
    0x1400_0000 + (n << 8)
}

/// A UDP datagram for the SA of a number; the source port makes its flow another one.
fn frame(n: u32, flow: u32) -> Vec<u8> {
    let [_, _, s0, s1] = flow.to_be_bytes();
    let mut frame = vec![0; 10];
    frame.extend_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, 1]);
    frame.extend_from_slice(&(remote(n) | 9).to_be_bytes());
    frame.extend_from_slice(&[s0, s1, 0, 53, 0, 8, 0, 0]);
    frame
}
