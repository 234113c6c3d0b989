//! Builds the library for LD_PRELOAD, in a target folder of its own, to be embedded and left beside the binary; and
//! the archive for programs that are linked with the relay, which is left there, too. For x86_64 also the library
//! for i386 programs, if the compiler can build for them.
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libthreaddump_relay.so";
const LIBRARY_I386: &str = "libthreaddump_relay-i386.so";
const ARCHIVE: &str = "libthreaddump_relay.a";
const I386: &str = "i686-unknown-linux-gnu";
/// What the library is made of.
const SOURCES: [&str; 5] = ["build.rs", "arch", "dwarf/src", "dwarf/Cargo.toml", "relay"];

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What is not built is empty.
    for name in [LIBRARY, LIBRARY_I386] {
        fs::write(out.join(name), [])?;
    }
    let cfg = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}"));
    let (arch, width, order) = (cfg("ARCH")?, cfg("POINTER_WIDTH")?, cfg("ENDIAN")?);
    // Those that the relay knows: relay/src/sys.
    let known = [("x86_64", "64"), ("x86", "32"), ("aarch64", "64")];
    if !known.contains(&(&arch, &width)) || order != "little" {
        return Ok(());
    }
    let (host, target) = (env::var("HOST")?, env::var("TARGET")?);
    let foreign = (host != target).then_some(target.as_str());
    let built = build("relay/preload/Cargo.toml", foreign, &out.join("preload"))?;
    let archive = build("relay/static/Cargo.toml", foreign, &out.join("static"))?;
    // OUT_DIR is target/PROFILE/build/threaddump-HASH/out.
    let beside = out.ancestors().nth(3).ok_or("OUT_DIR is not below the target folder")?;
    fs::copy(built.join(LIBRARY), out.join(LIBRARY))?;
    place(&built.join(LIBRARY), &beside.join(LIBRARY))?;
    place(&archive.join(ARCHIVE), &beside.join(ARCHIVE))?;
    if arch == "x86_64" && has_core(I386)? {
        match build("relay/preload/Cargo.toml", Some(I386), &out.join("preload")) {
            Ok(built) => {
                fs::copy(built.join(LIBRARY), out.join(LIBRARY_I386))?;
                place(&built.join(LIBRARY), &beside.join(LIBRARY_I386))?;
            }
            // The linker may not know that processor.
            Err(error) => println!("cargo:warning=there will be no relay for i386 programs: {error}"),
        }
    }
    Ok(())
}

/// Whether the compiler has the core library for a target.
fn has_core(target: &str) -> Result<bool, Box<dyn Error>> {
    let mut rustc = Command::new(env::var("RUSTC")?);
    let output = rustc.args(["--print", "target-libdir", "--target", target]).output()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim_end());
    let Ok(files) = fs::read_dir(folder) else { return Ok(false) };
    Ok(files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
}

/// Builds a package, for the machine that builds or for another; gives the folder of what it made.
fn build(manifest: &str, target: Option<&str>, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
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
    if let Some(target) = target {
        cargo.args(["--target", target]);
        folder.push(target);
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("cannot build {manifest}: {status}").into());
    }
    Ok(folder.join("release"))
}

/// By renaming, since running programs may have the old one mapped.
fn place(built: &Path, path: &Path) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    fs::copy(built, &new)?;
    fs::rename(&new, path)
}
