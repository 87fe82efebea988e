//! Who may know whom: the arrow table of the README, over `cargo metadata`.

#![expect(clippy::unwrap_used, reason = "test helpers: a failure is a failed test")]

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 3] = ["campaign-service", "bidding-service", "analytics-service"];

/// The crates of ours that `name` may depend on; `None` for a crate without a rule.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    let adapters = [
        "storage-sqlite",
        "storage-postgres",
        "storage-redis",
        "storage-kafka",
    ];
    let service = [&["platform", "domain", "storage", "backends"], &adapters[..]].concat();
    Some(match name {
        "domain" | "openrtb" | "platform" => vec![],
        "bidding-engine" => vec!["domain", "openrtb"],
        "storage" => vec!["domain"],
        "storage-sqlite" | "storage-postgres" | "storage-redis" | "storage-kafka" => {
            vec!["storage", "domain"]
        }
        "backends" => [&["platform", "storage"], &adapters[..]].concat(),
        "campaign-service" | "analytics-service" => service,
        "bidding-service" => [&service[..], &["bidding-engine", "openrtb"]].concat(),
        "adplatform" => [&service[..], &["openrtb"], &SERVICES[..]].concat(),
        _ => return None,
    })
}

fn workspace() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    metadata.packages
}

#[test]
fn no_arrow_points_outside_the_table() {
    let packages = workspace();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut broken = Vec::new();
    for package in packages.iter().filter(|package| !is_for_tests(package)) {
        let Some(allowed) = allowed(&package.name) else {
            broken.push(format!("{} has no row in the arrow table", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // A crate's own tests may lean on adapters and neighbours; what ships may not.
            if dependency.kind != DependencyKind::Development
                && ours.contains(name)
                && !allowed.contains(&name)
            {
                broken.push(format!("{} -> {name}", package.name));
            }
        }
    }
    assert!(broken.is_empty(), "arrows outside the table: {broken:#?}");
}

fn is_for_tests(package: &Package) -> bool {
    ["adplatform-tests", "adplatform-benches", "test-servers"].contains(&package.name.as_str())
}

#[test]
fn only_wiring_names_an_adapter() {
    let mut broken = Vec::new();
    for package in workspace() {
        let has_wiring = SERVICES.contains(&package.name.as_str()) || package.name.as_str() == "adplatform";
        if !has_wiring {
            continue;
        }
        let source = package.manifest_path.parent().unwrap().join("src");
        for file in rust_files(source.as_std_path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            let is_wiring = file.file_name().is_some_and(|name| name == "wiring.rs");
            let names_it = [
                "storage_sqlite",
                "storage_postgres",
                "storage_redis",
                "storage_kafka",
            ]
            .iter()
            .any(|adapter| shipped(&text).contains(adapter))
                && !test_modules(source.as_std_path(), &file);
            if names_it && !is_wiring {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "adapters named outside wiring.rs: {broken:#?}");
}

/// The part of a file before its unit tests.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// Whether the file is a module that only tests compile: `#[cfg(test)] mod name;` in the file above it, or above that.
fn test_modules(source: &Path, file: &Path) -> bool {
    let mut module = file.to_owned();
    while let (Some(name), Some(folder)) = (module.file_stem(), module.parent()) {
        let above = if folder == source {
            source.join("lib.rs")
        } else {
            folder.with_extension("rs")
        };
        let declaration = format!("#[cfg(test)]\nmod {};", name.to_string_lossy());
        if std::fs::read_to_string(&above).is_ok_and(|text| text.contains(&declaration)) {
            return true;
        }
        if folder == source {
            return false;
        }
        module = above;
    }
    false
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let empty_words = [
        "utils", "util", "common", "helpers", "helper", "manager", "impl", "mod", "misc",
    ];
    let mut broken = Vec::new();
    for folder in ["crates", "tests", "benches"] {
        for file in rust_files(&root.join(folder)) {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            if empty_words.contains(&stem.as_str()) {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
