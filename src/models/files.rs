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

/// Tells whether a file lies in a model's folder, links followed: that of the name that was given,
/// or that of the file it leads to. Who named the model did not name what only seems to lie there.
pub(super) fn lies_beside(model: &Path, file: &Path) -> bool {
    let given = std::path::absolute(model).ok();
    let given =
        (given.as_deref().and_then(Path::parent)).and_then(|folder| folder.canonicalize().ok());
    let led_to = model.canonicalize().ok();
    let led_to = led_to.as_deref().and_then(Path::parent);
    file.canonicalize().is_ok_and(|file| {
        let folders = given.as_deref().into_iter().chain(led_to);
        folders.into_iter().any(|folder| file.starts_with(folder))
    })
}

/// Finds a file in a model's folder by the name that the model has for it.
pub(super) fn find_beside(model: &Path, name: &Path) -> Result<PathBuf, String> {
    let led_to = model.canonicalize().ok();
    let places = [Some(model), led_to.as_deref()].into_iter().flatten();
    let mut places = places.map(|model| model.with_file_name(name));
    let found = places
        .find(|place| place.symlink_metadata().is_ok())
        .ok_or("there is no such file in the model's folder, where it belongs")?;
    if lies_beside(model, &found) {
        return Ok(found);
    }
    Err(match found.canonicalize() {
        Ok(_) => "it leads out of the model's folder, and only files in that folder are read: \
                  a copy of it in its place will do"
            .into(),
        Err(error) => error.to_string(),
    })
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
