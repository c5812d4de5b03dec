//! How much memory the machine and the device have left.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use cuda::loaded::LoadedDriver;

use super::MemoryStatus;
use crate::models::memory;
use crate::models::options::ExecutionProvider;

/// Where control groups are found.
const GROUPS: &str = "/sys/fs/cgroup";

/// Returns the least that is left: on the machine, in this process's control groups and address
/// space, and on the GPU of this number, if `provider` uses one. `None` where nothing tells.
///
/// Reads a few small files (some 50 us): not for every frame.
pub fn least(provider: ExecutionProvider, device: i32) -> Option<MemoryStatus> {
    #[cfg(feature = "faults")]
    if let Some((free, total)) = crate::faults::memory_left() {
        return Some(MemoryStatus { free, total });
    }
    let device = match provider {
        ExecutionProvider::Cuda | ExecutionProvider::TensorRt => {
            let memory = LoadedDriver::loaded().and_then(|driver| driver.memory(device));
            memory.map(|memory| MemoryStatus {
                free: memory.free,
                total: memory.total,
            })
        }
        ExecutionProvider::Auto | ExecutionProvider::Cpu => None,
    };
    let machine = read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| memory::machine(&text));
    let known = [device, machine, address_space()];
    let all = known.into_iter().flatten().chain(groups());
    // what is nearest to its floor
    all.min_by_key(|status| i128::from(status.free) - i128::from(status.floor()))
}

/// Returns what is left of this process's address space, if that is limited, as `ulimit -v` does.
pub(crate) fn address_space() -> Option<MemoryStatus> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is there to be written.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    if result != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    // SAFETY: asks for a number only.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    let sizes = read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split(' ').next()?.parse().ok()?;
    Some(MemoryStatus {
        free: limit.rlim_cur.saturating_sub(pages.saturating_mul(page)),
        total: limit.rlim_cur,
    })
}

/// Returns what is left of the control groups that this process is in, and of those around them.
fn groups() -> Vec<MemoryStatus> {
    let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (top, names) = match controllers {
            "" => (
                PathBuf::from(GROUPS),
                ["memory.max", "memory.current", "memory.stat"],
            ),
            controllers if controllers.split(',').any(|name| name == "memory") => (
                Path::new(GROUPS).join("memory"),
                [
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "memory.stat",
                ],
            ),
            _ => continue,
        };
        let own = top.join(path.trim_start_matches('/'));
        for folder in own
            .ancestors()
            .take_while(|folder| folder.starts_with(&top))
        {
            let [limit, usage, statistics] =
                names.map(|name| read_to_string(folder.join(name)).unwrap_or_default());
            found.extend(memory::group(&limit, &usage, &statistics));
        }
    }
    found
}

/// Makes the C library give back to the system what is free in it: glibc keeps what it once had.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it looks at the C library's own free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_what_is_left() {
        let left = least(ExecutionProvider::Cpu, 0).expect("Linux tells");
        assert!(left.free > 0 && left.free <= left.total);
    }
}
