//! Builds the library for LD_PRELOAD, in a target folder of its own, to be embedded and left beside the binary; and
//! the archive for programs that are linked with the relay, which is left there, too.
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libthreaddump_relay.so";
const ARCHIVE: &str = "libthreaddump_relay.a";
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
    let built = build("relay/preload/Cargo.toml", &out.join("preload"))?;
    let archive = build("relay/static/Cargo.toml", &out.join("static"))?;
    fs::copy(built.join(LIBRARY), &embedded)?;
    // OUT_DIR is target/PROFILE/build/threaddump-HASH/out.
    if let Some(folder) = out.ancestors().nth(3) {
        place(&built, LIBRARY, folder)?;
        place(&archive, ARCHIVE, folder)?;
    }
    Ok(())
}

/// Builds a package; gives the folder of what it made.
fn build(manifest: &str, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    // Everything it needs was fetched for this package. Its lock file names the same versions.
    cargo.args(["build", "--release", "--quiet", "--locked", "--offline", "--manifest-path", manifest]);
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
        return Err(format!("cannot build {manifest}: {status}").into());
    }
    Ok(folder.join("release"))
}

/// By renaming, since running programs may have the old one mapped.
fn place(built: &Path, name: &str, folder: &Path) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.{}", std::process::id()));
    fs::copy(built.join(name), &new)?;
    fs::rename(&new, folder.join(name))
}
