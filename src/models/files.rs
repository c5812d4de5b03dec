//! Files: opening them without being held up, and finding those of this process.

use std::ffi::{CStr, OsString, c_void};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Opens a file that is a file: neither pipe nor device, as reading from those may never end, and
/// even opening them may wait or have effects.
pub(super) fn open_regular(path: &Path) -> Result<File, String> {
    let check = |metadata: io::Result<Metadata>| {
        let metadata = metadata.map_err(|error| error.to_string())?;
        match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => Ok(()),
            (false, true) => Err("it is a folder".to_owned()),
            (false, false) => Err("it is not a regular file".to_owned()),
        }
    };
    check(std::fs::metadata(path))?;
    // what it is may have changed since, and then opening it must not wait
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| error.to_string())?;
    check(file.metadata())?;
    Ok(file)
}

/// The file that the code or data at an address was loaded from.
pub(super) fn file_of(address: *const c_void) -> Option<PathBuf> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked about, and zeroed is a valid Dl_info.
    let info =
        unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init()) }?;
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's name for a loaded file, which ends in a nul and stays.
    let name = unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes();
    Some(PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// The file this code is in: the plugin, or the program it is linked into.
pub(super) fn own_file() -> Option<PathBuf> {
    let path = file_of(own_file as *const c_void)?;
    std::fs::canonicalize(&path).ok()
}
