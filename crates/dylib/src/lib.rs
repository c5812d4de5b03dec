//! Shared libraries, looked at before the system's loader opens them: it maps what their headers
//! promise, and a file that ends sooner, as one does whose copying was interrupted, then ends the
//! process.

use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, FileKind, ReadCache, ReadRef};

/// A library that was looked at.
#[derive(Debug)]
pub struct Whole {
    file: File,
}

impl Whole {
    /// Looks at the file of this name.
    ///
    /// # Errors
    /// Why the loader should not be given it.
    pub fn open(path: &Path) -> Result<Self, String> {
        // nobody waits for the other end of a pipe
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(|error| error.to_string())?;
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            return Err("it is a folder, not a library".into());
        }
        if !metadata.is_file() {
            return Err("it is not a regular file".into());
        }
        look(&ReadCache::new(&file), metadata.len())?;
        Ok(Self { file })
    }

    /// Returns whether it is still the file of this name.
    pub fn is_at(&self, path: &Path) -> bool {
        let same = || {
            let (mine, its) = (self.file.metadata().ok()?, path.metadata().ok()?);
            Some((mine.dev(), mine.ino()) == (its.dev(), its.ino()))
        };
        same().unwrap_or(false)
    }
}

/// Checks that a file of so many bytes is a library for this machine, with all that it says it has.
fn look<'d>(data: impl ReadRef<'d>, length: u64) -> Result<(), String> {
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return Err("it is for another machine: of 32 bits".into()),
        Ok(kind) => return Err(format!("it is no library of this system but {kind:?}")),
        Err(_) => return Err(format!("its {length} bytes are no library")),
    }
    let cut = |error| format!("it is damaged or cut off after {length} bytes: {error}");
    let header = FileHeader64::<Endianness>::parse(data).map_err(cut)?;
    let endian = header.endian().map_err(cut)?;
    let machine = header.e_machine(endian);
    let own = match ARCH {
        "x86_64" => elf::EM_X86_64,
        "aarch64" => elf::EM_AARCH64,
        _ => machine,
    };
    if machine != own {
        return Err(format!(
            "it is for another machine: number {} in its header, and {} ({ARCH}) is needed",
            machine.0, own.0
        ));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err("it is a program or a part of one, not a shared library".into());
    }
    let segments = header.program_headers(endian, data).map_err(cut)?;
    let loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let ends = loaded.map(|segment| {
        segment
            .p_offset(endian)
            .checked_add(segment.p_filesz(endian))
    });
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let end = ends
        .chain([header.e_shoff(endian).checked_add(sections)])
        .map(|end| end.unwrap_or(u64::MAX))
        .max()
        .unwrap_or(0);
    if end > length {
        return Err(format!(
            "it is damaged or cut off: it has {length} bytes of at least {end}"
        ));
    }
    Ok(())
}

/// The files of this name where the system's loader looks, but for what it was told of the program
/// at hand.
pub fn candidates(name: &str) -> Vec<PathBuf> {
    let listed = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let configured = std::fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten();
    let mut configured: Vec<PathBuf> = configured.filter_map(|e| Some(e.ok()?.path())).collect();
    configured.sort();
    configured.retain(|path| path.extension() == Some(OsStr::new("conf")));
    configured.insert(0, "/etc/ld.so.conf".into());
    let texts = configured
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let configured: Vec<PathBuf> = texts.flat_map(|text| folders(&text)).collect();
    let usual =
        ["/lib", "/usr/lib"].map(|folder| Path::new(folder).join(format!("{ARCH}-linux-gnu")));
    let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
    let mut found: Vec<PathBuf> = Vec::new();
    let listed = std::env::split_paths(&listed);
    for folder in listed.chain(configured).chain(usual).chain(plain) {
        let path = folder.join(name);
        if path.is_absolute() && path.symlink_metadata().is_ok() && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// The folders that a configuration of the loader lists.
fn folders(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Returns what to give the loader for a library of the system: the first whole file of that name,
/// or the name itself where only the loader may know one.
///
/// # Errors
/// If none of those there are can be used: why.
pub fn named(name: &str) -> Result<PathBuf, String> {
    let mut reasons = Vec::new();
    for path in candidates(name) {
        match Whole::open(&path) {
            Ok(_) => return Ok(path),
            Err(reason) => reasons.push(format!("{}: {reason}", path.display())),
        }
    }
    match reasons.is_empty() {
        true => Ok(name.into()),
        false => Err(reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library that is there: the C library, and its bytes.
    fn library() -> Vec<u8> {
        let path = named("libc.so.6").unwrap();
        assert!(path.is_absolute(), "it is in a usual place");
        std::fs::read(path).unwrap()
    }

    fn looked_at(bytes: &[u8]) -> Result<(), String> {
        look(bytes, bytes.len() as u64)
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], reason: &str) {
        let said = looked_at(bytes).expect_err("it can't be used");
        assert!(said.contains(reason), "no {reason:?} in: {said}");
    }

    #[test]
    fn one_that_is_cut_anywhere_is_refused() {
        let whole = library();
        assert_eq!(looked_at(&whole), Ok(()));
        let steps = (0..whole.len()).step_by(whole.len() / 997);
        for length in (0..5000).chain(steps).chain([whole.len() - 1]) {
            assert!(looked_at(&whole[..length]).is_err(), "{length}");
        }
        assert_refused(&whole[..200_000], "it has 200000 bytes of at least");
    }

    #[test]
    fn what_is_for_another_machine_or_no_library_is_told_so() {
        let whole = library();
        let with = |place: usize, value: u8| {
            let mut bytes = whole.clone();
            bytes[place] = value;
            bytes
        };
        // the class, the machine, the type, the beginning of the file
        assert_refused(&with(4, 1), "32 bits");
        assert_refused(&with(18, 243), "another machine");
        assert_refused(&with(16, 2), "not a shared library");
        assert_refused(&with(0, b'M'), "no library");
        assert_refused(
            b"These are not the bytes you are looking for.\n",
            "no library",
        );
    }

    #[test]
    fn any_header_is_taken_or_refused() {
        let whole = library();
        for place in 0..64 + 20 * 56 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes.truncate(1 << 16);
                bytes[place] = value;
                // whatever it says, it ends
                drop(looked_at(&bytes));
            }
        }
    }

    #[test]
    fn the_loader_s_own_places_are_known() {
        let text = "# a comment\ninclude /etc/x\n /opt/lib \n/usr/local/lib";
        assert_eq!(
            folders(text),
            ["/opt/lib", "/usr/local/lib"].map(PathBuf::from)
        );
        assert_eq!(named("libnowhere.so.1"), Ok("libnowhere.so.1".into()));
    }
}
