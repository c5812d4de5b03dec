//! When memory that the runtime keeps is given back, and what running short of it looks like.
//!
//! Arithmetic on numbers and texts; `runtime::arena` and `available` do what
//! follows from it.

pub mod available;

/// How often memory that is kept for the next run is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// Every [`adaptive`] pairs.
    #[default]
    Adaptive,
    /// Only where memory is short.
    Never,
    /// Every so many pairs; at least 1.
    Pairs(u64),
}

impl From<i32> for Interval {
    /// Takes the property's value: -1 is adaptive, 0 never.
    fn from(value: i32) -> Self {
        match u64::try_from(value) {
            Err(_) => Self::Adaptive,
            Ok(0) => Self::Never,
            Ok(pairs) => Self::Pairs(pairs),
        }
    }
}

/// Returns after how many pairs memory is given back in a stream of which `frames` have come: 10 in
/// the first hundred, and then `max(3, 30 / (frames / 10))` in whole numbers.
///
/// The quotient is 3 from 100 to 109 frames, less from 110 on and 0 from 310 on, so what the rule
/// comes to is: a stream that has gone on for 100 frames is cleared every 3 pairs. A change of
/// size, which leaves behind what only the old size needed, comes at the beginning of a stream or
/// is rare, so the runs that have to take their memory anew are few at first.
pub fn adaptive(frames: u64) -> u64 {
    match frames {
        0..100 => 10,
        _ => (30 / (frames / 10)).max(3),
    }
}

/// Counts the pairs of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clearing {
    /// Input frames since the stream began, or since the last flush or change of caps.
    frames: u64,
    /// Pairs since memory was last given back.
    pairs: u64,
}

impl Clearing {
    /// Counts a frame that has come.
    pub fn frame(&mut self) {
        self.frames = self.frames.saturating_add(1);
    }

    /// Counts a pair that is done; returns `true` if memory is to be given back with the next run.
    pub fn pair(&mut self, interval: Interval) -> bool {
        self.pairs = self.pairs.saturating_add(1);
        let wait = match interval {
            Interval::Adaptive => adaptive(self.frames),
            Interval::Never => return false,
            Interval::Pairs(pairs) => pairs.max(1),
        };
        let due = self.pairs >= wait;
        if due {
            self.pairs = 0;
        }
        due
    }

    /// Starts the count anew, as memory was given back for another reason.
    pub fn cleared(&mut self) {
        self.pairs = 0;
    }
}

/// Reason why memory was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was time.
    Interval,
    /// Little was left, or something could not be had.
    Pressure,
}

/// How often memory was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clears {
    /// Because it was time.
    pub interval: u64,
    /// Because little was left, or something could not be had.
    pub pressure: u64,
}

impl Clears {
    /// Counts one for this reason.
    pub fn add(&mut self, reason: Reason) {
        match reason {
            Reason::Interval => self.interval += 1,
            Reason::Pressure => self.pressure += 1,
        }
    }
}

/// Bytes that the runtime's arena of a session holds: inputs, outputs and all between them, but on
/// the CPU not the weights. Elements that share a session share its arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Taken from the system, and kept for the next run.
    pub held: u64,
    /// Of that, in use now.
    pub used: u64,
    /// The most that was in use at once.
    pub peak: u64,
}

/// How a limit on what all of an element's sessions hold is divided among them where frames are
/// made on a device; a part of 0 is none.
///
/// The runtime bounds the arena of each session by itself, when that is made, and a network is
/// loaded before it is known what frames come. So the parts are the same whatever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes for the network's session.
    pub network: u64,
    /// Bytes for the session that is made beside it for one size.
    pub one_size: u64,
    /// Bytes for the sessions that make frames, which hold whole frames: the larger part.
    pub frames: u64,
}

impl Parts {
    /// Returns the parts of so many bytes; 0 is no limit.
    pub fn of(limit: u64) -> Self {
        let part = |parts: u64| (limit / parts).max(limit.min(1));
        Self {
            network: part(4),
            one_size: part(4),
            frames: part(2),
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    /// Adds the figures of two arenas; their peaks need not have been at the same time.
    fn add(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            used: self.used + other.used,
            peak: self.peak + other.peak,
        }
    }
}

/// Memory of the machine, of this process's control group, or of a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStatus {
    /// Bytes that can still be had.
    pub free: u64,
    /// Bytes that there are in all.
    pub total: u64,
}

impl MemoryStatus {
    /// Returns the bytes that are to be left: a twentieth, from 32 to 512 MiB.
    pub fn floor(self) -> u64 {
        (self.total / 20).clamp(32 << 20, 512 << 20)
    }

    /// Returns whether less than that is left.
    pub fn is_short(self) -> bool {
        self.free < self.floor()
    }
}

/// The machine's memory, from the text of `/proc/meminfo`.
pub(crate) fn machine(meminfo: &str) -> Option<MemoryStatus> {
    let bytes = |name: &str| {
        let mut lines = meminfo.lines();
        let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: u64 = rest.split_whitespace().next()?.parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(MemoryStatus {
        free: bytes("MemAvailable")?,
        total: bytes("MemTotal")?,
    })
}

/// A control group's memory, from the texts of its limit, its usage and its statistics. Pages of
/// files that were not used lately count as free, as the kernel takes them when it needs some.
/// `None` for a group without a limit.
pub(crate) fn group(limit: &str, usage: &str, statistics: &str) -> Option<MemoryStatus> {
    // the old interface knows no "max", but the largest number of pages
    let total: u64 = limit.trim().parse().ok().filter(|limit| *limit < 1 << 60)?;
    let usage: u64 = usage.trim().parse().ok()?;
    let mut words = statistics.lines().filter_map(|line| line.split_once(' '));
    let inactive = words
        .find(|(name, _)| matches!(*name, "inactive_file" | "total_inactive_file"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let used = usage.saturating_sub(inactive);
    Some(MemoryStatus {
        free: total.saturating_sub(used),
        total,
    })
}

/// Returns whether the runtime's words say that memory could not be had: from its arenas, from C++,
/// from CUDA and its libraries. Its error codes say nothing but "failed".
pub fn is_shortage(message: &str) -> bool {
    const SIGNS: [&str; 10] = [
        "not enough memory for",
        "Failed to allocate memory",
        "is smaller than requested bytes",
        "Failed to find a free memory block",
        "bad_alloc",
        "bad allocation",
        "Memory allocation failed",
        "out of memory",
        "cudaErrorMemoryAllocation",
        "ALLOC_FAILED",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pairs, counted from 1, after which memory is given back in a stream of `frames`.
    fn clears(frames: u64, interval: Interval) -> Vec<u64> {
        let mut clearing = Clearing::default();
        clearing.frame();
        let pairs = 1..frames;
        let due = pairs.filter(|_| {
            clearing.frame();
            clearing.pair(interval)
        });
        due.collect()
    }

    #[test]
    fn the_adaptive_interval_is_the_design_s() {
        for (frames, pairs) in [(0, 10), (99, 10), (100, 3), (109, 3), (110, 3), (161, 3)] {
            assert_eq!(adaptive(frames), pairs, "{frames}");
        }
        assert_eq!(adaptive(u64::MAX), 3);
    }

    #[test]
    fn every_tenth_pair_and_from_the_hundredth_frame_on_every_third() {
        let expected = [10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 102, 105, 108];
        assert_eq!(clears(110, Interval::Adaptive), expected);
    }

    #[test]
    fn no_limit_has_parts_without_one() {
        let parts = Parts::of(0);
        assert_eq!([parts.network, parts.one_size, parts.frames], [0; 3]);
    }

    #[test]
    fn an_interval_is_what_the_property_says() {
        assert_eq!(Interval::from(-1), Interval::Adaptive);
        assert_eq!(clears(8, Interval::from(3)), [3, 6]);
        assert_eq!(clears(4, Interval::from(1)), [1, 2, 3]);
        assert!(clears(1000, Interval::from(0)).is_empty());
    }

    proptest! {
        #[test]
        fn parts_are_no_more_than_the_whole(limit in 4..u64::MAX) {
            let parts = Parts::of(limit);
            let all = [parts.network, parts.one_size, parts.frames];
            prop_assert!(all.iter().sum::<u64>() <= limit);
            prop_assert!(all.iter().all(|part| *part > 0));
        }

        #[test]
        fn the_adaptive_interval_is_3_or_10(frames: u64) {
            prop_assert_eq!(adaptive(frames), if frames < 100 { 10 } else { 3 });
        }

        #[test]
        fn no_stretch_between_two_clears_is_longer_than_the_interval(
            steps in prop::collection::vec((0..20_i32, any::<bool>()), 1..300),
        ) {
            let (mut clearing, mut since) = (Clearing::default(), 0);
            for (value, elsewhere) in steps {
                clearing.frame();
                since += 1;
                let interval = Interval::from(value);
                let due = clearing.pair(interval);
                match interval {
                    Interval::Never => prop_assert!(!due),
                    Interval::Pairs(pairs) => prop_assert_eq!(due, since >= pairs),
                    Interval::Adaptive => unreachable!("0 and more are no adaptive interval"),
                }
                if elsewhere {
                    clearing.cleared();
                }
                if due || elsewhere {
                    since = 0;
                }
            }
        }

        #[test]
        fn a_group_s_room_is_never_more_than_its_limit(
            limit in 0..1_u64 << 50,
            usage: u64,
            inactive: u64,
        ) {
            let statistics = format!("anon 5\ninactive_file {inactive}\nfile 3\n");
            let room = group(&format!("{limit}\n"), &format!("{usage}\n"), &statistics).unwrap();
            prop_assert!(room.free <= room.total && room.total == limit);
        }
    }

    #[test]
    fn the_machine_s_room_is_what_could_be_had() {
        let text =
            "MemTotal:       24684092 kB\nMemFree:  18118960 kB\nMemAvailable:   22916156 kB\n";
        let room = machine(text).unwrap();
        assert_eq!(
            (room.free >> 10, room.total >> 10),
            (22_916_156, 24_684_092)
        );
        assert!(!room.is_short());
        assert_eq!(machine("MemTotal: 5 kB\n"), None);
        assert_eq!(
            machine("MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB"),
            None
        );
    }

    #[test]
    fn a_group_without_a_limit_has_no_room_of_its_own() {
        assert_eq!(group("max\n", "5", ""), None);
        assert_eq!(group("9223372036854771712\n", "5", ""), None);
        let room = group("1000000000", "990000000", "inactive_file 5000000").unwrap();
        assert_eq!((room.free, room.is_short()), (15_000_000, true));
    }

    #[test]
    fn the_floor_follows_what_there_is() {
        let floor = |total| MemoryStatus { free: 0, total }.floor() >> 20;
        assert_eq!(
            [floor(1 << 28), floor(1 << 32), floor(1 << 40)],
            [32, 204, 512]
        );
    }

    #[test]
    fn a_want_of_memory_is_told_from_other_failures() {
        let arena = "bfc_arena.cc:360 Available memory of 244736 is smaller than requested bytes of 23592960";
        assert!(is_shortage(arena));
        assert!(is_shortage("std::bad_alloc"));
        assert!(!is_shortage(
            "Non-zero status code returned while running Concat node"
        ));
    }
}
