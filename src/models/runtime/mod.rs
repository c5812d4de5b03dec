//! Finds ONNX Runtime, starts it once for the process, and makes sessions.
//!
//! The library is looked for, in this order:
//!
//! 1. where `ORT_DYLIB_PATH` points (then nowhere else: who sets it wants that one);
//! 2. beside the plugin (or the program that this is part of), and in the folder `onnxruntime`
//!    beside it; for a program, where `make install` puts it, too;
//! 3. on the system's library path;
//! 4. in the build's `target/onnxruntime`, where `make runtime` puts it.
//!
//! A search that fails leaves nothing behind, so that a later one can succeed.

pub(crate) mod arena;
pub(crate) mod binding;
pub(crate) mod engine_cache;
pub(crate) mod fair_lock;
// by path, as `tests/threads.rs` compiles that file, too, for which these are not
#[cfg(test)]
#[path = "fair_lock/tests.rs"]
mod fair_lock_tests;
pub mod load_canceller;
pub(crate) mod providers;
pub mod run_canceller;
pub(crate) mod session;
pub(crate) mod session_waits;
pub(crate) mod tensor_pool;

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Once, RwLock};

use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};
use ort::sys::{ORT_API_VERSION, OrtApiBase};

use crate::models::error::RuntimeError;
use crate::models::files::{file_of, own_file};
use dylib::{self, Whole};

pub use ort::logging::LogLevel;

/// The start of the library's file name; providers have another one.
const FILE_STEM: &str = "libonnxruntime.so";
/// The names asked of the system's loader.
const SYSTEM_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// A started ONNX Runtime.
#[derive(Debug)]
pub struct Runtime {
    /// The library in use.
    pub library: PathBuf,
    /// Its version, such as `1.31.1`.
    pub version: String,
    /// Environment that its sessions belong to; there is one in a process.
    pub environment: Environment,
}

impl Runtime {
    /// The beginning of a session, with the settings that all of this project's have.
    ///
    /// # Errors
    /// If the runtime refuses them.
    pub fn session(&self) -> ort::Result<SessionBuilder> {
        // an error hands the builder back; only its message is wanted
        fn reason(error: ort::Error<SessionBuilder>) -> ort::Error {
            ort::Error::new(error.to_string())
        }
        SessionBuilder::new(&self.environment)?
            // no provider but those registered here
            .with_auto_device(AutoDevicePolicy::PreferCPU)
            .map_err(reason)?
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(reason)?
            // a thread that spins between frames takes time from the rest of the pipeline
            .with_intra_op_spinning(false)
            .map_err(reason)?
            // remembering a plan for each size costs more memory than it saves time
            .with_memory_pattern(false)
            .map_err(reason)
    }
}

type Sink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Sends the runtime's messages (warnings and worse) to `sink`, from whatever thread they come;
/// without one they are dropped.
pub fn set_log_sink(sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) {
    if let Ok(mut place) = SINK.write() {
        *place = Some(Arc::new(sink));
    }
}

/// The process's runtime, started at the first call that finds one.
pub fn runtime() -> Result<&'static Runtime, RuntimeError> {
    static RUNTIME: OnceCell<Runtime> = OnceCell::new();
    RUNTIME.get_or_try_init(|| start(std::env::var_os("ORT_DYLIB_PATH")))
}

/// Searches (with `ORT_DYLIB_PATH` given) and starts what is found.
fn start(named: Option<OsString>) -> Result<Runtime, RuntimeError> {
    silence();
    let mut tried = Vec::new();
    let found = match named.filter(|path| !path.is_empty()) {
        Some(path) => in_named_place(Path::new(&path), &mut tried),
        None => search(&mut tried),
    };
    let Some((library, version)) = found else {
        return Err(RuntimeError { tried });
    };
    match create_environment(&library) {
        Ok(environment) => Ok(Runtime {
            library,
            version,
            environment,
        }),
        Err(reason) => {
            tried.push((library.display().to_string(), reason));
            Err(RuntimeError { tried })
        }
    }
}

/// Sets the variable that keeps the runtime from reporting on its use.
///
/// Official builds (1.31 for one) open a database in the user's cache folder as soon as they are
/// used, and seconds later connections to send what is in it, of other programs too; disabling
/// telemetry by the interface for that ([`with_telemetry`]) leaves both as they are.
///
/// [`with_telemetry`]: ort::environment::EnvironmentBuilder::with_telemetry
fn silence() {
    static ONCE: Once = Once::new();
    const VARIABLE: &CStr = c"ORT_DISABLE_TELEMETRY=1";

    ONCE.call_once(|| {
        let name = &VARIABLE.to_bytes()[..VARIABLE.to_bytes().len() - 1];
        // SAFETY: the C library's own list, which is a pointer wherever and however it is reached.
        let list = unsafe { AtomicPtr::from_ptr(&raw mut libc::environ) };
        let mut variables = vec![VARIABLE.as_ptr().cast_mut()];
        let mut place = list.load(Ordering::Acquire);
        // SAFETY: the list, if there is one, ends in null, and so is read no further.
        while !place.is_null() && unsafe { !(*place).is_null() } {
            // SAFETY: each of them is a string that ends in a nul.
            let variable = unsafe { CStr::from_ptr(*place) };
            if !variable.to_bytes().starts_with(name) {
                variables.push(variable.as_ptr().cast_mut());
            }
            // SAFETY: the last one read was not the end.
            place = unsafe { place.add(1) };
        }
        variables.push(std::ptr::null_mut());
        // setenv may free the list while another thread of the application looks something up; one
        // more list beside the old one, which stays, does no harm
        list.store(variables.leak().as_mut_ptr(), Ordering::Release);
    });
}

type Tried = Vec<(String, String)>;
type Found = Option<(PathBuf, String)>;

fn in_named_place(path: &Path, tried: &mut Tried) -> Found {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let label = format!("ORT_DYLIB_PATH={}", path.display());
    if path.is_dir() {
        return in_folder(&path, &label, tried);
    }
    attempt(path.as_os_str(), label, tried)
}

fn search(tried: &mut Tried) -> Found {
    if let Some(folder) = own_file().as_deref().and_then(Path::parent) {
        let mut folders = vec![folder.to_path_buf(), folder.join("onnxruntime")];
        let installed = folder.with_file_name("share/gstreamer-1.0/plugins/onnxruntime");
        folders.extend(Some(installed).filter(|folder| folder.is_dir()));
        for folder in folders {
            let label = format!("beside the plugin, {}", folder.display());
            if let Some(found) = in_folder(&folder, &label, tried) {
                return Some(found);
            }
        }
    }
    for name in SYSTEM_NAMES {
        let mut places: Vec<_> = dylib::candidates(name);
        if places.is_empty() {
            // the loader may have been told of others by the program
            places.push(name.into());
        }
        for place in places {
            let label = format!("the system's library path, {}", place.display());
            if let Some(found) = attempt(place.as_os_str(), label, tried) {
                return Some(found);
            }
        }
    }
    for folder in build_folders() {
        let label = format!("the build's {}", folder.display());
        if let Some(found) = in_folder(&folder, &label, tried) {
            return Some(found);
        }
    }
    None
}

/// Returns where `make runtime` unpacks the library: `onnxruntime` in the build's target folder,
/// which is the source tree's unless cargo was told otherwise.
fn build_folders() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnxruntime")];
    // the build script's output lies in <target>[/<triple>]/<profile>/build/<package>/out
    for target in Path::new(env!("OUT_DIR")).ancestors().skip(4).take(2) {
        let folder = target.join("onnxruntime");
        if !folders.contains(&folder) && folder.is_dir() {
            folders.push(folder);
        }
    }
    folders
}

/// Tries the libraries in a folder, the plainest name first, then the newest version.
fn in_folder(folder: &Path, label: &str, tried: &mut Tried) -> Found {
    let mut names: Vec<OsString> = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .filter(|name| name.as_bytes().starts_with(FILE_STEM.as_bytes()))
            .collect(),
        Err(error) => {
            tried.push((label.into(), error.to_string()));
            return None;
        }
    };
    if names.is_empty() {
        tried.push((label.into(), format!("no {FILE_STEM}* there")));
    }
    names.sort_by_key(|name| {
        (
            name.len() > FILE_STEM.len(),
            std::cmp::Reverse(version_key(name)),
        )
    });
    names.iter().find_map(|name| {
        let path = folder.join(name);
        attempt(
            path.as_os_str(),
            format!("{label}/{}", name.to_string_lossy()),
            tried,
        )
    })
}

/// The numbers in a library's name, so that 1.31 comes after 1.4.
fn version_key(name: &OsStr) -> Vec<u32> {
    let name = name.to_string_lossy();
    name[FILE_STEM.len()..]
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn attempt(name: &OsStr, label: String, tried: &mut Tried) -> Found {
    match probe(name) {
        Ok(found) => Some(found),
        Err(reason) => {
            tried.push((label, reason));
            None
        }
    }
}

/// Loads a library and asks it whether it is an ONNX Runtime new enough; returns its absolute path
/// and version. `ort` would panic where this gives a reason.
fn probe(name: &OsStr) -> Result<(PathBuf, String), String> {
    let path = Path::new(name);
    // a name alone is the loader's to find
    let whole = (path.components().count() > 1).then(|| Whole::open(path));
    let whole = whole.transpose()?;
    let name = CString::new(name.as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: the name ends in a nul. Loading runs the library's own start-up code: that is what
    // whoever named it, or put it in these places, asked for.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(loader_error());
    }
    let result = match whole.is_none_or(|whole| whole.is_at(path)) {
        true => inspect(handle),
        false => Err("it was replaced while it was opened".into()),
    };
    if result.is_err() {
        // SAFETY: the handle came from dlopen, and nothing of the library is referred to any more.
        unsafe { libc::dlclose(handle) };
    }
    // a library that will be used stays open
    result
}

fn inspect(handle: *mut c_void) -> Result<(PathBuf, String), String> {
    // SAFETY: the handle is open and the name ends in a nul.
    let symbol = unsafe { libc::dlsym(handle, c"OrtGetApiBase".as_ptr()) };
    if symbol.is_null() {
        return Err("it is no ONNX Runtime: it has no OrtGetApiBase".into());
    }
    // SAFETY: every ONNX Runtime exports the function with this type.
    let get_base: unsafe extern "C" fn() -> *const OrtApiBase =
        unsafe { std::mem::transmute::<*mut c_void, _>(symbol) };
    // SAFETY: the function takes nothing, and what it points to lives as long as the library.
    let base = unsafe { get_base().as_ref() }.ok_or("its OrtGetApiBase gives nothing")?;
    // SAFETY: the version string is a constant of the library.
    let version = unsafe { text((base.GetVersionString)()) }.ok_or("it has no version")?;
    // SAFETY: the function answers null for versions it does not know.
    let api = unsafe { (base.GetApi)(ORT_API_VERSION) };
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if api.is_null() || number < (1, ORT_API_VERSION) {
        return Err(format!(
            "it is version {version}, and 1.{ORT_API_VERSION} or newer is needed"
        ));
    }
    let path = file_of(symbol).ok_or("the loader does not say where it is")?;
    Ok((std::path::absolute(&path).unwrap_or(path), version))
}

fn loader_error() -> String {
    // SAFETY: dlerror gives null or a string that lives until this thread's next call.
    unsafe { text(libc::dlerror()) }.unwrap_or_else(|| "it cannot be loaded".into())
}

/// # Safety
/// `pointer` is null or points to a string that ends in a nul.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    Some(
        unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    )
}

fn create_environment(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    let environment = builder
        .with_name("vfiinterp")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category, _id, _place, message| {
            if level >= LogLevel::Warning
                && let Ok(sink) = SINK.read()
                && let Some(sink) = &*sink
            {
                sink(level, message);
            }
        }))
        .build()
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(named: &Path) -> RuntimeError {
        match start(Some(named.into())) {
            Ok(runtime) => panic!("{} started", runtime.library.display()),
            Err(error) => error,
        }
    }

    #[test]
    fn the_build_s_runtime_starts_once() {
        let first = runtime().expect("run `make runtime`, or `make test`, which does");
        assert!(first.library.is_absolute());
        assert!(std::ptr::eq(first, runtime().expect("it started before")));
    }

    #[test]
    fn the_runtime_is_told_not_to_report() {
        let before: Vec<_> = std::env::vars_os().collect();
        silence();
        let name = OsStr::new("ORT_DISABLE_TELEMETRY");
        assert_eq!(std::env::var_os(name).as_deref(), Some(OsStr::new("1")));
        let others = |variables: Vec<(OsString, OsString)>| {
            let others = variables.into_iter().filter(|(key, _)| key != name);
            others.collect::<Vec<_>>()
        };
        assert_eq!(others(std::env::vars_os().collect()), others(before));
    }

    #[test]
    fn a_missing_library_is_an_error_that_says_how_to_get_one() {
        let message = failure(Path::new("/nowhere/libonnxruntime.so")).to_string();
        for part in [
            "/nowhere/libonnxruntime.so",
            "make runtime",
            "pip download",
            "ORT_DYLIB_PATH",
        ] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error() {
        let error = failure(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        assert_eq!(error.tried().len(), 1);
        assert!(error.to_string().contains("Cargo.toml"));
    }

    #[test]
    fn what_is_no_whole_library_is_an_error_before_it_is_opened() {
        let runtime = runtime().expect("the build has one");
        let folder = std::env::temp_dir().join(format!("vfiinterp-cut-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder takes folders");
        let place = |name: &str| folder.join(name);
        let mut bytes = Vec::new();
        let part = std::fs::File::open(&runtime.library).expect("it was loaded");
        std::io::Read::read_to_end(&mut std::io::Read::take(part, 200_000), &mut bytes)
            .expect("it can be read");
        std::fs::write(place("cut.so"), bytes).expect("the folder takes files");
        let pipe = CString::new(place("pipe.so").as_os_str().as_bytes()).expect("it has no nul");
        // SAFETY: the name ends in a nul.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        std::os::unix::fs::symlink(place("nowhere.so"), place("link.so"))
            .expect("the folder takes links");
        for (name, reason) in [
            ("cut.so", "cut off: it has 200000 bytes"),
            ("pipe.so", "not a regular file"),
            ("link.so", "No such file"),
        ] {
            let error = failure(&place(name));
            assert_eq!(error.tried().len(), 1, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    }

    #[test]
    fn another_library_is_an_error() {
        let libc = file_of(libc::getpid as *const c_void).expect("the C library is loaded");
        assert!(failure(&libc).to_string().contains("no OrtGetApiBase"));
    }

    #[test]
    fn an_old_version_is_an_error() {
        let folder = std::env::temp_dir().join(format!("vfiinterp-old-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder takes folders");
        let source = folder.join("old.c");
        let code = "static const void *api(unsigned v) { return v <= 16 ? &api : 0; }
            static const char *version(void) { return \"1.16.3\"; }
            static const void *base[] = { (void *)api, (void *)version };
            const void *OrtGetApiBase(void) { return base; }";
        std::fs::write(&source, code).expect("the folder takes files");
        let library = folder.join("libonnxruntime.so.1.16.3");
        let compiled = std::process::Command::new("cc")
            .args(["-w", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "cc failed");
        // by file and by folder
        for place in [&library, &folder] {
            assert!(failure(place).to_string().contains("it is version 1.16.3"));
        }
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    }

    #[test]
    fn the_search_lists_every_place() {
        let mut tried = Vec::new();
        if search(&mut tried).is_none() || !tried.is_empty() {
            assert!(tried[0].0.starts_with("beside the plugin"));
        }
    }

    #[test]
    fn newer_versions_come_first() {
        assert!(
            version_key(OsStr::new("libonnxruntime.so.1.31.1"))
                > version_key(OsStr::new("libonnxruntime.so.1.4"))
        );
    }
}
