//! Builds the library for LD_PRELOAD, in a target folder of its own, to be embedded and left beside the binary.
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libthreaddump_relay.so";
const MANIFEST: &str = "relay/preload/Cargo.toml";
/// What the library is made of.
const SOURCES: [&str; 5] = ["build.rs", "arch", "dwarf/src", "dwarf/Cargo.toml", "relay"];

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let embedded = out.join(LIBRARY);
    if env::var("CARGO_CFG_TARGET_ARCH")? != "x86_64" {
        // The relay does not know other processors yet.
        fs::write(&embedded, [])?;
        return Ok(());
    }
    let built = build(&out.join("preload"))?;
    fs::copy(&built, &embedded)?;
    // OUT_DIR is target/PROFILE/build/threaddump-HASH/out.
    if let Some(folder) = out.ancestors().nth(3) {
        place(&built, folder)?;
    }
    Ok(())
}

fn build(target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    // Everything it needs was fetched for this package. Its lock file names the same versions.
    cargo.args(["build", "--release", "--quiet", "--locked", "--offline", "--manifest-path", MANIFEST]);
    cargo.arg("--target-dir").arg(target_dir);
    // Its own profile decides: without abort and whole-program optimisation it does not load. And what is set
    // for this package's compiler is not meant for it.
    let foreign = |name: &str| {
        name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_CFG_")
            || name.starts_with("CARGO_FEATURE_")
            || matches!(
                name,
                "CARGO_ENCODED_RUSTFLAGS"
                    | "RUSTFLAGS"
                    | "RUSTC_WRAPPER"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "CARGO_INCREMENTAL"
                    | "CARGO_TARGET_DIR"
                    | "CARGO_BUILD_TARGET"
                    | "CARGO_BUILD_TARGET_DIR"
            )
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(foreign) {
            cargo.env_remove(name);
        }
    }
    let mut folder = target_dir.to_owned();
    let (host, target) = (env::var("HOST")?, env::var("TARGET")?);
    if host != target {
        cargo.args(["--target", &target]);
        folder.push(target);
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("cannot build {MANIFEST}: {status}").into());
    }
    Ok(folder.join("release").join(LIBRARY))
}

/// By renaming, since running programs may have the old one mapped.
fn place(built: &Path, folder: &Path) -> std::io::Result<()> {
    let new = folder.join(format!("{LIBRARY}.{}", std::process::id()));
    fs::copy(built, &new)?;
    fs::rename(&new, folder.join(LIBRARY))
}
