//! Tests of what is kept on disk, and of what goes.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("vfiinterp-engines-{}-{name}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        remove(&folder.0).unwrap();
        folder
    }

    fn store(&self) -> Store {
        Store::at(self.0.join("vfiinterp/engines")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(remove(&self.0));
    }
}

/// Returns the names of what is in the store, without the folders that are worked in.
fn names(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(&store.0).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn build(store: &Store, name: &str, engine: &str) {
    let work = store.work_on(name, "timings").unwrap();
    fs::write(work.folder().join("x.engine"), engine).unwrap();
    work.keep().unwrap();
}

fn engine(store: &Store, name: &str) -> String {
    fs::read_to_string(store.0.join(name).join("x.engine")).unwrap()
}

fn kind() -> Kind {
    Kind {
        name: "NVIDIA H200".into(),
        capability: (9, 0),
    }
}

fn key<'a>(graph: &'a [u8], device: &'a Kind) -> Key<'a> {
    Key {
        graph,
        weights: b"weights",
        precision: Precision::Fp16,
        size: (640, 384),
        runtime: "1.31.1",
        device,
    }
}

#[test]
fn another_anything_is_another_engine() {
    let device = kind();
    let base = key(b"graph", &device);
    assert!(
        base.name().starts_with("640x384-fp16-sm90-"),
        "{}",
        base.name()
    );
    assert_eq!(base.name(), key(b"graph", &kind()).name());
    let (newer, other) = (
        Kind {
            capability: (10, 0),
            ..kind()
        },
        Kind {
            name: "NVIDIA H100".into(),
            ..kind()
        },
    );
    let others = [
        key(b"grap", &device),
        // what is taken from one part and given to the next
        Key {
            weights: b"hweights",
            ..key(b"grap", &device)
        },
        Key {
            weights: b"weight",
            ..base.clone()
        },
        Key {
            precision: Precision::Fp32,
            ..base.clone()
        },
        Key {
            size: (384, 640),
            ..base.clone()
        },
        Key {
            runtime: "1.32.0",
            ..base.clone()
        },
        key(b"graph", &newer),
        key(b"graph", &other),
    ];
    let mut names: Vec<_> = others.iter().map(Key::name).collect();
    names.push(base.name());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len() + 1);
}

#[test]
fn what_was_built_is_there_for_the_next() {
    let folder = Folder::new("next");
    let store = folder.store();
    assert!(!store.work_on("a", "timings").unwrap().found());
    assert_eq!(
        names(&store),
        [""; 0],
        "what nothing came of leaves nothing"
    );
    build(&store, "a", "first");
    let work = store.work_on("a", "timings").unwrap();
    assert!(work.found());
    assert_eq!(fs::read(work.folder().join("x.engine")).unwrap(), b"first");
    // the copy is one's own
    fs::write(work.folder().join("x.engine"), "half").unwrap();
    assert_eq!(engine(&store, "a"), "first");
    drop(work);
    build(&store, "a", "second, longer");
    assert_eq!(engine(&store, "a"), "second, longer");
    assert_eq!(names(&store), ["a"]);
}

#[test]
fn what_does_not_serve_is_built_anew() {
    let folder = Folder::new("anew");
    let store = folder.store();
    build(&store, "a", "broken");
    let mut work = store.work_on("a", "timings").unwrap();
    work.discard().unwrap();
    assert!(!work.found() && !work.folder().join("x.engine").exists());
    fs::write(work.folder().join("x.engine"), "whole").unwrap();
    work.keep().unwrap();
    assert_eq!(engine(&store, "a"), "whole");
}

#[test]
fn what_was_timed_serves_for_other_engines() {
    let folder = Folder::new("timings");
    let store = folder.store();
    let work = store.work_on("a", "timings").unwrap();
    fs::write(work.folder().join("sm90.timing"), "1 ms").unwrap();
    fs::write(work.folder().join("x.engine"), "a").unwrap();
    work.keep().unwrap();
    assert_eq!(names(&store), ["a", "timings"]);
    assert_eq!(files(&store.0.join("a")).unwrap().len(), 1);
    let work = store.work_on("b", "timings").unwrap();
    assert!(!work.found());
    assert_eq!(
        fs::read(work.folder().join("sm90.timing")).unwrap(),
        b"1 ms"
    );
}

#[test]
fn many_at_once_leave_one_that_is_whole() {
    let folder = Folder::new("many");
    let store = folder.store();
    std::thread::scope(|scope| {
        for k in 0..8 {
            let store = store.clone();
            let whole = format!("{k}").repeat(1000 + k);
            scope.spawn(move || {
                for _ in 0..20 {
                    let work = store.work_on("a", "timings").unwrap();
                    fs::write(work.folder().join("x.engine"), &whole).unwrap();
                    work.keep().unwrap();
                }
            });
        }
    });
    let engine = engine(&store, "a");
    let first = &engine[..1];
    assert_eq!(engine, first.repeat(1000 + first.parse::<usize>().unwrap()));
    assert_eq!(names(&store), ["a"]);
}

#[test]
fn old_folders_go_and_those_at_work_stay() {
    let folder = Folder::new("old");
    let store = folder.store();
    build(&store, "new", "x");
    build(&store, "unused", "x");
    let work = store.work_on("new", "timings").unwrap();
    let left = store.0.join("work-1-1");
    fs::create_dir(&left).unwrap();
    let age = |path: &Path, days: u64| {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        File::open(path).unwrap().set_modified(then).unwrap();
    };
    age(&left, 2);
    age(&store.0.join("unused"), 91);
    age(&store.0.join("new"), 89);
    store.tidy().unwrap();
    let at_work = work
        .folder()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(names(&store), ["new".to_owned(), at_work]);
    // having been used, it is young again
    work.keep().unwrap();
    let modified = fs::metadata(store.0.join("new"))
        .unwrap()
        .modified()
        .unwrap();
    assert!(modified.elapsed().unwrap() < LONGEST_BUILD);
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = Folder::new("open");
    let store = folder.store();
    fs::set_permissions(&store.0, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Store::at(store.0.clone());
    assert!(refused.is_err_and(|why| why.contains("others can write")));
    // as where HOME is no folder
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(Store::at(file.join("vfiinterp/engines")).is_err());
}

proptest! {
    #[test]
    fn what_stays_is_little_and_lately_used(
        kept in prop::collection::vec((0..(3_u64 << 29), 0..200_u64), 0..20),
    ) {
        let day = Duration::from_secs(24 * 60 * 60);
        let kept: Vec<_> = kept
            .iter()
            .enumerate()
            .map(|(k, (bytes, days))| (PathBuf::from(k.to_string()), *bytes, day * *days as u32))
            .collect();
        let gone = superfluous(kept.clone());
        let (gone, stays): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(path, _, _)| gone.contains(path));
        prop_assert!(stays.iter().map(|(_, bytes, _)| bytes).sum::<u64>() <= MOST_BYTES);
        prop_assert!(stays.iter().all(|(_, _, age)| *age <= LONGEST));
        let oldest = stays.iter().map(|(_, _, age)| *age).max().unwrap_or_default();
        prop_assert!(gone.iter().all(|(_, _, age)| *age >= oldest));
    }
}
