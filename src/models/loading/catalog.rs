//! Meaning of a model's name: a built-in network, one that came with the plugin, a well-known one
//! that `vfi-models fetch` brought, or a file; and the reading of its bytes.

use std::path::{Path, PathBuf};

pub use super::contents::{Contents, Digest, sha256, sum_file};
use onnx_graph::{LONGEST_NAME, abbreviate};

use super::contents::{WEIGHTS_ENDINGS, check_sums, read_file};
use crate::models::error::ModelError;
use crate::models::files::own_file;
use crate::models::options::DEFAULT_MODEL;

/// The bytes of `vfi-lite`, this project's own network.
pub const VFI_LITE: &[u8] = include_bytes!("../../../models/vfi-lite.onnx");

/// The names of the built-in networks with their bytes.
const BUILT_IN: [(&str, &[u8]); 1] = [(DEFAULT_MODEL, VFI_LITE)];

/// The networks of this project that come with the plugin as files beside it, being too large to be part of it.
const SHIPPED: [&str; 1] = ["vfi-base"];

/// A network that others have published, known by a name of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct WellKnown {
    /// The name to be given as `model`.
    pub name: &'static str,
    /// Its file's name, in the archive and in [`folder`].
    pub file: &'static str,
    /// The folder in the archive that the file lies in. Archives hold each network twice: in
    /// `rife_v2`, the form that takes 7 channels of any size, and in `rife`, one of 11.
    pub member_folder: &'static str,
    /// The 7z archive below [`RELEASE`].
    pub archive: &'static str,
    /// The SHA-256 sum of the archive.
    pub archive_sha256: &'static str,
    /// Parameters, in tenths of a million.
    pub parameters: u32,
}

/// Address where the archives of [`WELL_KNOWN`] are published: vs-mlrt's release `external-models`.
pub const RELEASE: &str =
    "https://github.com/AmusementClub/vs-mlrt/releases/download/external-models/";
/// The licence of the networks in [`WELL_KNOWN`], and whose they are.
pub const RELEASE_LICENCE: &str = "MIT, hzwer/Practical-RIFE";

/// The well-known networks: official RIFE weights as ONNX, from small to large version.
pub const WELL_KNOWN: [WellKnown; 5] = [
    WellKnown::rife(
        "rife-4.6",
        "rife_v4.6.onnx",
        "rife_v2_v4.7z",
        "c9999d6af6800365f4f3d716dbaa51f5954e05f38424f83b705b055d754c71cc",
        53,
    ),
    WellKnown::rife(
        "rife-4.15-lite",
        "rife_v4.15_lite.onnx",
        "rife_v4.15_lite.7z",
        "9c894bccb7dbd5bd0ff9d99616360285628230de81374181b97a69124f73d1a9",
        26,
    ),
    WellKnown::rife(
        "rife-4.22-lite",
        "rife_v4.22_lite.onnx",
        "rife_v4.22_lite.7z",
        "e7c3872fd217663911f0b89a5940bdc314f5a061fd5fa8639fd1674d31d2f1cf",
        49,
    ),
    WellKnown::rife(
        "rife-4.25",
        "rife_v4.25.onnx",
        "rife_v4.25.7z",
        "172fe975c1775134bb87108e4ec6d1a89e861cc5d3be2ac23bf08afe5ed626b8",
        57,
    ),
    WellKnown::rife(
        "rife-4.26",
        "rife_v4.26.onnx",
        "rife_v4.26.7z",
        "dfdabd84a2a3db773f87604b8cc255e94a6a72f13550d910ccd3b4ee2606cd4f",
        57,
    ),
];

impl WellKnown {
    const fn rife(
        name: &'static str,
        file: &'static str,
        archive: &'static str,
        archive_sha256: &'static str,
        parameters: u32,
    ) -> Self {
        Self {
            name,
            file,
            member_folder: "rife_v2",
            archive,
            archive_sha256,
            parameters,
        }
    }

    /// Returns the path where its file is, or would be.
    pub fn path(&self) -> PathBuf {
        folder().join(self.file)
    }

    /// The well-known network of this name, however it is spelled (`RIFE-4.6`, `rife_v4.6`,
    /// `rife46`).
    pub fn find(name: &str) -> Option<&'static Self> {
        WELL_KNOWN.iter().find(|known| is_spelled(name, known.name))
    }
}

/// Returns the folder of the well-known networks' files: `vfiinterp/models` in the user's data
/// folder, which is `$XDG_DATA_HOME`, else `~/.local/share`.
pub fn folder() -> PathBuf {
    glib::user_data_dir().join("vfiinterp/models")
}

/// Place where a model's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Inside the plugin.
    BuiltIn {
        /// Its name.
        name: &'static str,
        /// Its bytes.
        bytes: &'static [u8],
    },
    /// In a file that came with the plugin.
    Shipped {
        /// Its name.
        name: &'static str,
        /// Its file.
        file: PathBuf,
    },
    /// In [`folder`], if it was fetched.
    WellKnown(&'static WellKnown),
    /// In a file, which may not exist.
    File(PathBuf),
}

/// The names of this project's own networks: those inside the plugin, then those beside it.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|&(name, _)| name).chain(SHIPPED)
}

/// Returns the places where a network that comes with the plugin is looked for, in this order:
/// [`folder`], the folder `share/vfiinterp/models` of where plugin or program are installed, the
/// source tree they were built in.
fn shipped_places(name: &str) -> Vec<PathBuf> {
    let own = own_file();
    let installed = (own.iter().flat_map(|own| own.ancestors().skip(1)))
        .map(|folder| folder.join("share/vfiinterp/models"));
    std::iter::once(folder())
        .chain(installed)
        .chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("models")])
        .map(|folder| folder.join(name).with_extension("onnx"))
        .collect()
}

/// Tells whether this is a spelling of a name: case, what stands between its parts and the `v` of
/// a version make no difference.
fn is_spelled(text: &str, name: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = char> {
        let mut rest = text.chars().filter(char::is_ascii_alphanumeric).peekable();
        std::iter::from_fn(move || {
            let letter = rest.next()?.to_ascii_lowercase();
            match rest.peek() {
                Some(next) if letter == 'v' && next.is_ascii_digit() => rest.next(),
                _ => Some(letter),
            }
        })
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    text.chars().all(is_name) && letters(text).eq(letters(name))
}

/// The name of a network that was probably meant by a text which is none.
fn meant(text: &str) -> Option<&'static str> {
    /// Names more unlike the text than this are no guess.
    const ALIKE: f64 = 0.8;
    let text = text.to_ascii_lowercase();
    let known = names().chain(WELL_KNOWN.iter().map(|known| known.name));
    known
        .map(|name| (strsim::jaro_winkler(&text, name), name))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// The path that a text stands for, as a shell or a file manager writes it: a `file:` URI, or one
/// that begins with `~`.
///
/// # Errors
/// The text is another URI, or none that leads to a file of this machine.
fn path_of(text: &str) -> Result<Option<PathBuf>, String> {
    if text.starts_with("file:") {
        let (path, host) = glib::filename_from_uri(text).map_err(|error| error.to_string())?;
        return match host.as_deref() {
            None | Some("" | "localhost") => Ok(Some(path)),
            Some(host) => Err(format!("it is on another machine, {host}")),
        };
    }
    if text.contains("://") {
        return Err(
            "it is the address of something that is no file here, and nothing is fetched: \
                    load it down, and give the file's path"
                .into(),
        );
    }
    let at_home = match text.strip_prefix('~') {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    };
    Ok(at_home.map(|rest| glib::home_dir().join(rest)))
}

/// Finds what a model's name stands for: a network of this project, a well-known one, else a file.
///
/// # Errors
/// When it is none of them, nor looks like a path; or when it should have come with the plugin and did not.
pub fn find(model: &str) -> Result<Source, ModelError> {
    let path = path_of(model).map_err(|reason| ModelError::Unreadable {
        model: format!("`{}`", abbreviate(model, LONGEST_NAME)),
        reason,
    })?;
    if let Some(path) = path {
        return Ok(Source::File(path));
    }
    let own = BUILT_IN.iter().find(|(name, _)| is_spelled(model, name));
    if let Some(&(name, bytes)) = own {
        return Ok(Source::BuiltIn { name, bytes });
    }
    if let Some(name) = SHIPPED.into_iter().find(|name| is_spelled(model, name)) {
        let mut places = shipped_places(name);
        let there = places.iter().position(|file| file.exists());
        return match there {
            Some(place) => Ok(Source::Shipped {
                name,
                file: places.swap_remove(place),
            }),
            None => Err(ModelError::NotInstalled {
                name: name.into(),
                file: places.swap_remove(0),
            }),
        };
    }
    if let Some(known) = WellKnown::find(model) {
        return Ok(Source::WellKnown(known));
    }
    let path = Path::new(model);
    let endings = ["onnx"].into_iter().chain(WEIGHTS_ENDINGS);
    let has_ending = |ending| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(ending))
    };
    let is_path = model.contains('/') || endings.into_iter().any(has_ending);
    if is_path || path.exists() {
        return Ok(Source::File(path.into()));
    }
    Err(ModelError::Unknown {
        name: model.into(),
        meant: meant(model),
        own: names().collect::<Vec<_>>().join(", "),
        well_known: WELL_KNOWN.map(|known| known.name).join(", "),
    })
}

impl Source {
    /// Its name, where it has one that does not depend on a file.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::BuiltIn { name, .. } | Self::Shipped { name, .. } => Some(name),
            Self::WellKnown(known) => Some(known.name),
            Self::File(_) => None,
        }
    }

    /// Its file; `None` for a built-in network.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::BuiltIn { .. } => None,
            Self::WellKnown(known) => Some(known.path()),
            Self::Shipped { file, .. } | Self::File(file) => Some(file.clone()),
        }
    }

    /// Returns the name that messages call it by.
    pub fn label(&self) -> String {
        match self {
            Self::BuiltIn { name, .. } => format!("`{name}`"),
            Self::WellKnown(known) => format!("`{}` ({})", known.name, known.path().display()),
            Self::Shipped { name, file } => format!("`{name}` ({})", file.display()),
            Self::File(path) => format!("`{}`", path.display()),
        }
    }

    /// Reads it, with the files beside it that its weights lie in. A well-known network must have
    /// the sums it was fetched with, where those are known.
    ///
    /// # Errors
    /// A file is not there, not to be read, too large to be a network, or not what was fetched; or
    /// is to be read from elsewhere than the model's folder.
    pub fn read(&self) -> Result<Contents, ModelError> {
        let path = match self {
            Self::BuiltIn { bytes, .. } => return Ok(Contents::built_in(bytes)),
            Self::WellKnown(known) if !known.path().exists() => {
                return Err(ModelError::NotFetched {
                    name: known.name.into(),
                    file: known.path(),
                });
            }
            Self::WellKnown(known) => known.path(),
            Self::Shipped { file, .. } | Self::File(file) => file.clone(),
        };
        let contents = read_file(&path).map_err(|why| why.of(self.label()))?;
        if let Self::WellKnown(known) = self {
            check_sums(&path, &contents).map_err(|reason| ModelError::Unusable {
                model: self.label(),
                reason: format!("{reason}; `vfi-models fetch {}` brings it anew", known.name),
            })?;
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_network_survives_encoding_byte_for_byte() {
        let model = onnx_graph::decode(VFI_LITE);
        assert!(model.is_ok_and(|model| onnx_graph::encode(&model) == VFI_LITE));
    }

    #[test]
    fn own_names_come_before_files() {
        assert_eq!(names().collect::<Vec<_>>(), ["vfi-lite", "vfi-base"]);
        let expected = Source::BuiltIn {
            name: DEFAULT_MODEL,
            bytes: VFI_LITE,
        };
        assert_eq!(find("vfi-lite").ok(), Some(expected));
    }

    #[test]
    fn a_network_that_comes_with_the_plugin_is_found() {
        let found = find("vfi-base").ok();
        let file = found
            .as_ref()
            .and_then(Source::file)
            .expect("it is in the source tree");
        assert!(file.ends_with("models/vfi-base.onnx"), "{}", file.display());
        assert_eq!(found.and_then(|found| found.name()), Some("vfi-base"));
    }

    #[test]
    fn what_looks_like_a_path_is_one() {
        for path in ["./vfi-lite", "missing.onnx", "/tmp/none", "Cargo.toml"] {
            assert_eq!(find(path).ok(), Some(Source::File(path.into())));
        }
        for other in ["rife", ""] {
            assert!(matches!(find(other), Err(ModelError::Unknown { .. })));
        }
    }

    #[test]
    fn names_are_known_in_every_spelling() {
        for (text, name) in [
            ("RIFE-4.6", "rife-4.6"),
            ("rife_v4.6", "rife-4.6"),
            ("rife46", "rife-4.6"),
            ("rife 4.6", "rife-4.6"),
            ("RIFE_V4.22_Lite", "rife-4.22-lite"),
            ("rife4.15lite", "rife-4.15-lite"),
            ("rife-v4.26", "rife-4.26"),
            ("VFI_Lite", "vfi-lite"),
            ("vfibase", "vfi-base"),
        ] {
            let found = find(text).ok();
            assert_eq!(found.and_then(|found| found.name()), Some(name), "{text}");
        }
    }

    #[test]
    fn of_what_is_no_name_the_nearest_one_is_suggested() {
        for (text, meant) in [
            ("rife-4.7", "did you mean `rife-4.6`"),
            ("rfie-4.26", "did you mean `rife-4.26`"),
            ("vfi-light", "did you mean `vfi-lite`"),
        ] {
            let said = find(text).map(drop).unwrap_err().to_string();
            assert!(said.contains(meant), "{said}");
        }
        let said = find("dain").map(drop).unwrap_err().to_string();
        assert!(!said.contains("did you mean"), "{said}");
    }

    #[test]
    fn uris_and_the_home_folder_are_paths() {
        for (text, path) in [
            (
                "file:///models/a%20net.onnx",
                Path::new("/models/a net.onnx"),
            ),
            ("file://localhost/a.onnx", Path::new("/a.onnx")),
            ("~/nets/a.onnx", &glib::home_dir().join("nets/a.onnx")),
            ("~", &glib::home_dir()),
            ("~someone/a.onnx", Path::new("~someone/a.onnx")),
        ] {
            assert_eq!(find(text).ok(), Some(Source::File(path.into())), "{text}");
        }
        for (text, reason) in [
            ("file://elsewhere/a.onnx", "another machine, elsewhere"),
            ("https://example.org/a.onnx", "nothing is fetched"),
            ("file://%zz", "URI"),
        ] {
            let said = find(text).map(drop).unwrap_err().to_string();
            assert!(said.contains(text) && said.contains(reason), "{said}");
        }
    }

    #[test]
    fn well_known_names_are_found_as_published_too() {
        for known in &WELL_KNOWN {
            for name in [known.name, known.file.trim_end_matches(".onnx")] {
                assert_eq!(find(name).ok(), Some(Source::WellKnown(known)));
            }
            assert_eq!(known.archive_sha256.len(), 64);
            assert!(
                known
                    .path()
                    .ends_with(Path::new("vfiinterp/models").join(known.file))
            );
        }
    }
}
