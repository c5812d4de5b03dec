//! Imports run one way: no file is part of a circle, and no room knows one above it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

type Module = Vec<String>;
type Modules = BTreeMap<Module, Names>;
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Returns the rooms from the top down, as docs/decisions.md lists them: lines of `room, room`, or
/// of `parent: room, room`, in which `mod` is the parent itself.
fn order() -> Vec<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions.md");
    let text = fs::read_to_string(document).unwrap();
    let (_, list) = text.split_once("```rooms\n").unwrap();
    let (list, _) = list.split_once("```").unwrap();
    let rooms = list.lines().flat_map(|line| {
        let (parent, names) = line.split_once(": ").unwrap_or(("", line));
        names.split(", ").map(move |name| match (parent, name) {
            ("", room) => room.to_owned(),
            (parent, "mod") => parent.to_owned(),
            (parent, name) => format!("{parent}::{name}"),
        })
    });
    rooms.collect()
}

/// Returns the room that a module is in; `None` for the crate's root.
fn room(module: &Module) -> Option<String> {
    let depth = match module.first()?.as_str() {
        "vfi_element" | "models" => 2,
        _ => 1,
    };
    Some(module[..depth.min(module.len())].join("::"))
}

/// Paths that a file names, what it hands on under other paths, and its modules that are for tests
/// alone.
#[derive(Default)]
struct Names {
    paths: Vec<Module>,
    for_tests: Vec<String>,
    exports: Vec<(String, Module)>,
}

impl Names {
    fn tree(&mut self, tree: &syn::UseTree, mut path: Module, public: bool) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, public);
            }
            syn::UseTree::Name(name) => self.leaf(path, &name.ident.to_string(), None, public),
            syn::UseTree::Rename(name) => {
                let (from, to) = (name.ident.to_string(), name.rename.to_string());
                self.leaf(path, &from, Some(to), public);
            }
            syn::UseTree::Glob(_) => self.paths.push(path),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path.clone(), public);
                }
            }
        }
    }

    fn leaf(&mut self, mut path: Module, name: &str, rename: Option<String>, public: bool) {
        if name != "self" {
            path.push(name.to_owned());
        }
        if public {
            let known_as = rename.or(path.last().cloned()).unwrap_or_default();
            self.exports.push((known_as, path.clone()));
        }
        self.paths.push(path);
    }

    /// Notes the paths among what a macro is given, which nothing but the macro can read as
    /// expressions.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Module::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Ident(name) if colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                }
                token => {
                    self.path(std::mem::take(&mut path));
                    colons = 0;
                    match token {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.path(path);
    }

    /// Notes a path outside imports; those that begin elsewhere begin with what was imported.
    fn path(&mut self, path: Module) {
        let first = path.first().map(String::as_str);
        if matches!(first, Some("crate" | "super" | "self")) {
            self.paths.push(path);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg")
            && list.is_ok_and(|list| list.tokens.to_string().starts_with("test"))
    })
}

impl<'a> Visit<'a> for Names {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            let public = !matches!(item.vis, syn::Visibility::Inherited);
            self.tree(&item.tree, Vec::new(), public);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        match is_for_tests(&item.attrs) {
            true => self.for_tests.push(item.ident.to_string()),
            false => syn::visit::visit_item_mod(self, item),
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path.segments.iter();
        self.path(segments.map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'a syn::Macro) {
        self.tokens(invocation.tokens.clone());
        syn::visit::visit_macro(self, invocation);
    }
}

/// Reads a module from its source; the error says what is no Rust.
fn read(module: Module, source: &str, into: &mut Modules) -> syn::Result<()> {
    let file = syn::parse_file(source)?;
    into.entry(module).or_default().visit_file(&file);
    Ok(())
}

fn collect(folder: &Path, module: &Module, into: &mut Modules) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut inside = module.clone();
        if !matches!(stem.as_str(), "mod" | "lib") {
            inside.push(stem.clone());
        }
        if path.is_dir() {
            collect(&path, &inside, into);
        } else if path.extension().is_some_and(|e| e == "rs") && !stem.ends_with("tests") {
            read(inside, &fs::read_to_string(&path).unwrap(), into)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// The path from the crate's root that a path in a module stands for.
fn absolute(module: &Module, path: &Module, modules: &Modules) -> Option<Module> {
    let (mut base, mut rest) = (module.clone(), path.as_slice());
    match rest.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                (base, rest) = (base[..base.len() - 1].to_vec(), &rest[1..]);
            }
        }
        first => {
            let child: Module = base.iter().cloned().chain([first.to_owned()]).collect();
            modules.get(&child)?;
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The module that has what a path from the root names, whoever hands it on.
fn home(path: &Module, modules: &Modules) -> Option<Module> {
    let mut path = path.clone();
    for _ in 0..8 {
        let length = (1..=path.len())
            .rev()
            .find(|n| modules.contains_key(&path[..*n]))?;
        let module = path[..length].to_vec();
        let Some(name) = path.get(length) else {
            return Some(module);
        };
        let exports = &modules[&module].exports;
        let Some((_, from)) = exports.iter().find(|(known_as, _)| known_as == name) else {
            return Some(module);
        };
        let Some(from) = absolute(&module, from, modules) else {
            return Some(module);
        };
        path = from
            .into_iter()
            .chain(path[length + 1..].iter().cloned())
            .collect();
    }
    None
}

/// All modules of the crate in this folder.
fn modules_in(folder: &Path) -> Modules {
    let mut modules = BTreeMap::new();
    collect(folder, &Vec::new(), &mut modules);
    modules
}

/// Returns who imports from whom. What a module has of its parents is its own.
fn imports(mut modules: Modules) -> Imports {
    let for_tests = |(module, names): (&Module, &Names)| {
        let paths = names.for_tests.iter();
        paths
            .map(|name| [module.as_slice(), std::slice::from_ref(name)].concat())
            .collect()
    };
    let for_tests: Vec<Vec<Module>> = modules.iter().map(for_tests).collect();
    modules.retain(|module, _| {
        !for_tests
            .iter()
            .flatten()
            .any(|test| module.starts_with(test))
    });
    let of = |(module, names): (&Module, &Names)| {
        let paths = names.paths.iter();
        let homes = paths.filter_map(|path| home(&absolute(module, path, &modules)?, &modules));
        let others = homes.filter(|home| !module.starts_with(home) && !home.starts_with(module));
        (module.clone(), others.collect())
    };
    modules.iter().map(of).collect()
}

/// A module from which imports lead back to it, and the way.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn search(
        at: &Module,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
        imports: &Imports,
    ) -> bool {
        if let Some(start) = way.iter().position(|module| module == at) {
            way.drain(..start);
            return true;
        }
        if !done.insert(at.clone()) {
            return false;
        }
        way.push(at.clone());
        let next = imports.get(at).into_iter().flatten();
        if next
            .into_iter()
            .any(|next| search(next, way, done, imports))
        {
            return true;
        }
        way.pop();
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|start| {
        let mut way = Vec::new();
        let found = search(start, &mut way, &mut done, imports);
        found.then(|| way.iter().map(|module| module.join("::")).collect())
    })
}

/// Imports that run up, each as `from -> to`.
fn upwards(imports: &Imports) -> Vec<String> {
    let order = order();
    let rank = |module: &Module| {
        let room = room(module)?;
        order.iter().position(|other| *other == room)
    };
    let pairs = imports
        .iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
    let up = pairs.filter(|(from, to)| {
        let ranks = rank(to).zip(rank(from));
        ranks.is_some_and(|(to, from)| to < from)
    });
    up.map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::")))
        .collect()
}

/// Imports among modules with these paths and sources.
fn imports_of(files: &[(&str, &str)]) -> Imports {
    let mut modules = BTreeMap::new();
    for (path, source) in files {
        let module = path.split("::").map(str::to_owned).collect();
        read(module, source, &mut modules).unwrap();
    }
    imports(modules)
}

/// Finds what runs up where `frames`, the lowest layer, has this source.
fn upwards_from_frames(source: &str) -> Vec<String> {
    let files = [
        ("frames", source),
        ("models", "pub use device::Thing; mod device;"),
        ("models::device", "pub struct Thing; pub fn work() {}"),
    ];
    upwards(&imports_of(&files))
}

#[test]
fn no_file_is_part_of_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().path());
    for folder in [root.to_owned()].into_iter().chain(crates) {
        let found = circle(&imports(modules_in(&folder.join("src"))));
        assert_eq!(found, None, "{}", folder.display());
    }
}

#[test]
fn every_room_has_its_place_in_the_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rooms: BTreeSet<String> = modules_in(&root.join("src"))
        .keys()
        .filter_map(room)
        .collect();
    let listed = order();
    assert_eq!(listed.len(), rooms.len(), "each is listed once");
    assert_eq!(BTreeSet::from_iter(listed), rooms);
}

#[test]
fn no_layer_knows_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = upwards(&imports(modules_in(&root.join("src"))));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn whatever_runs_up_is_reported() {
    let up = ["frames -> models::device"];
    for source in [
        "use crate::models::device::Thing;",
        "pub(crate) use super::models::device::Thing as Other;",
        "use crate::models::device::*;",
        // by a name that another module hands on
        "use crate::models::{Thing};",
        "fn f() { crate::models::device::work() }",
        "fn f(_: &crate::models::Thing) {}",
        "fn f() { println!(\"{:?}\", (1, crate::models::device::work())) }",
    ] {
        assert_eq!(upwards_from_frames(source), up, "{source}");
    }
}

#[test]
fn what_tests_need_is_not_reported() {
    for source in [
        "#[cfg(test)] use crate::models::device::Thing;",
        "#[cfg(test)] mod tests { use crate::models::device::Thing; }",
        "fn crates() { models::device::work() }",
    ] {
        assert_eq!(upwards_from_frames(source), [""; 0], "{source}");
    }
}

#[test]
fn circles_are_found_with_their_way() {
    let files = [
        ("a", "use crate::b::B;"),
        ("b", "fn f() { crate::c::work() }"),
        ("c", "pub use super::a::A;"),
        ("d", "use crate::a::A;"),
    ];
    let way = circle(&imports_of(&files)).unwrap();
    assert_eq!(way, ["a", "b", "c"]);
    assert_eq!(circle(&imports_of(&files[..2])), None);
}
