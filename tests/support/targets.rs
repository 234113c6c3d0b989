//! Small target programs: what their first comments say, and building them.
//!
//! Each line `// key: value` or `// key(variant, …): value` before the first line of code is an
//! instruction; a line without variants holds for all variants that have no line of their own, and
//! `key()` is for the variant without a name.
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use super::{Stop, has_program, scratch};

/// What 32-bit programs are started with, where the compiler can make them.
const LIBC_32: &str = "/usr/lib32/crt1.o";

/// One file of `tests/targets`.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    instructions: Vec<Instruction>,
}

#[derive(Clone)]
struct Instruction {
    key: String,
    variants: Option<Vec<String>>,
    value: String,
}

/// One way to build a source.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) source: Source,
    pub(crate) variant: String,
}

/// All targets, by name.
pub(crate) fn all() -> Vec<Target> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets");
    let entries = std::fs::read_dir(&folder).expect("the targets are in the package");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| Source::read(path).targets()).collect()
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = std::fs::read_to_string(path).expect("a target is a text file");
        let comments = text.lines().map_while(|line| line.strip_prefix("//"));
        let instructions = comments.filter_map(|line| Instruction::parse(line.trim())).collect();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Source { name, path: path.to_owned(), instructions }
    }

    fn targets(&self) -> Vec<Target> {
        let builds = self.instructions.iter().filter(|line| line.key == "build");
        let variants = builds.flat_map(|line| line.variants.clone().unwrap_or_else(|| vec![String::new()]));
        variants.map(|variant| Target { source: self.clone(), variant }).collect()
    }
}

impl Instruction {
    fn parse(line: &str) -> Option<Instruction> {
        const KEYS: [&str; 21] = [
            "absent",
            "args",
            "build",
            "copy",
            "debug-dir",
            "end",
            "frames",
            "full-name",
            "gdb-reads",
            "how",
            "max-frames",
            "may-fail",
            "needs",
            "no-gdb",
            "reference",
            "spins",
            "stack",
            "state",
            "status",
            "threads",
            "scan",
        ];
        let (head, value) = line.split_once(':').unwrap_or((line, ""));
        let (key, variants) = match head.split_once('(') {
            Some((key, rest)) => {
                let list = rest.strip_suffix(')')?;
                (key, Some(list.split(',').map(|variant| variant.trim().to_owned()).collect()))
            }
            None => (head, None),
        };
        KEYS.contains(&key).then(|| Instruction {
            key: key.to_owned(),
            variants,
            value: value.trim().to_owned(),
        })
    }
}

impl Target {
    /// `name` or `name[variant]`.
    pub(crate) fn title(&self) -> String {
        match self.variant.as_str() {
            "" => self.source.name.clone(),
            variant => format!("{}[{variant}]", self.source.name),
        }
    }

    /// All values of an instruction that hold for this variant.
    pub(crate) fn values(&self, key: &str) -> Vec<&str> {
        let of_key = || self.source.instructions.iter().filter(move |line| line.key == key);
        let own = of_key().filter(|line| line.variants.as_ref().is_some_and(|v| v.contains(&self.variant)));
        let own: Vec<&str> = own.map(|line| line.value.as_str()).collect();
        if !own.is_empty() {
            return own;
        }
        of_key().filter(|line| line.variants.is_none()).map(|line| line.value.as_str()).collect()
    }

    /// The first value of an instruction that holds for this variant.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values(key).first().copied()
    }

    /// Whether an instruction holds for this variant.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Where the built program is.
    pub(crate) fn program(&self) -> PathBuf {
        let dash = if self.variant.is_empty() { "" } else { "-" };
        scratch("zoo").join(format!("{}{dash}{}", self.source.name, self.variant))
    }

    /// The private folder of debug files, if the target has one.
    pub(crate) fn debug_dir(&self) -> Option<PathBuf> {
        self.path("debug-dir")
    }

    /// The same program in a form that llvm-symbolizer can read, if it cannot read this one.
    pub(crate) fn reference(&self) -> Option<PathBuf> {
        self.path("reference")
    }

    /// The same program in a form that gdb can read, if it cannot read this one.
    pub(crate) fn gdb_reads(&self) -> Option<PathBuf> {
        self.path("gdb-reads")
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let program = self.program();
        self.value(key).map(|value| value.replace("$OUT", &program.to_string_lossy()).into())
    }

    /// Builds the program unless it is newer than its source and was built by the same command.
    pub(crate) fn build(&self) -> Result<PathBuf, Stop> {
        let command = self.value("build").ok_or_else(|| format!("{}: no build line", self.title()))?;
        self.check_tools(command)?;
        let program = self.program();
        let stamp = PathBuf::from(format!("{}.built", program.display()));
        // Tests that run at the same time want the same program, and a linker takes it away from one that runs.
        let lock = std::fs::File::create(format!("{}.lock", program.display()));
        let lock = lock.map_err(|error| format!("{}: {error}", program.display()))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error.to_string())?;
        let fresh = modified(&program).zip(modified(&self.source.path)).is_some_and(|(out, src)| out >= src);
        if fresh && std::fs::read_to_string(&stamp).is_ok_and(|old| old == command) {
            return Ok(program);
        }
        let mut shell = Command::new("sh");
        shell.arg("-ec").arg(command).env("SRC", &self.source.path).env("OUT", &program);
        let output = shell.output().map_err(|error| format!("cannot start sh: {error}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(match self.value("may-fail") {
                Some(reason) => Stop::Skip(reason.to_owned()),
                None => Stop::Fail(format!("{} does not build:\n{command}\n{text}", self.title())),
            });
        }
        std::fs::write(&stamp, command).map_err(|error| format!("{}: {error}", stamp.display()))?;
        Ok(program)
    }

    fn check_tools(&self, command: &str) -> Result<(), Stop> {
        let parts = command.split("&&").flat_map(|part| part.split(';'));
        // A part that begins with an assignment of a command's output is left to the shell.
        let parts = parts.filter(|part| !part.contains("$("));
        let words = parts.filter_map(|part| part.split_whitespace().find(|word| !word.contains('=')));
        let needs = self.values("needs");
        for tool in words.chain(needs).map(str::trim) {
            let found = match tool.strip_prefix("rust:") {
                Some(target) => has_rust_target(target),
                None if tool == "-m32" => Path::new(LIBC_32).exists(),
                None => has_program(tool),
            };
            if !found {
                return Err(Stop::Skip(format!("{tool} is not installed{}", package_of(tool))));
            }
        }
        Ok(())
    }
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn has_rust_target(name: &str) -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", name]).output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    folder.is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn package_of(tool: &str) -> &'static str {
    match tool {
        "-m32" => " (Debian packages libc6-dev-i386 and lib32gcc-12-dev; not gcc-multilib)",
        "musl-gcc" => " (Debian package musl-tools)",
        "clang" | "clang++" => " (Debian package clang)",
        "ld.lld" => " (Debian package lld)",
        "go" => " (Debian package golang-go)",
        "cc" | "c++" => " (Debian package build-essential)",
        "objcopy" | "strip" | "readelf" => " (Debian package binutils)",
        _ => "",
    }
}
