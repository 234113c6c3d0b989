//! The second opinion on lines and inlined functions: llvm-symbolizer.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::dump::Module;
use super::find_program;
use super::symbols::debug_files;

/// One function at an address, the innermost first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Place {
    pub(crate) function_name: String,
    pub(crate) file_name: String,
    pub(crate) line: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    symbol: Vec<Place>,
}

/// llvm-symbolizer's answers so far.
#[derive(Default)]
pub(crate) struct Llvm {
    reference: Option<(PathBuf, PathBuf)>,
    answers: HashMap<(String, u64), Option<Vec<Place>>>,
}

impl Llvm {
    /// `reference`: a program, and the file to read in its place.
    pub(crate) fn with(reference: Option<(PathBuf, PathBuf)>) -> Llvm {
        Llvm { reference, ..Llvm::default() }
    }

    /// What llvm-symbolizer says about a file address; nothing if it is not installed.
    pub(crate) fn at(&mut self, module: &Module, address: u64, extra: &[PathBuf]) -> Option<Vec<Place>> {
        let key = (module.path.clone(), address);
        let reference = self.reference.as_ref().filter(|(program, _)| program == Path::new(&module.path));
        let other = || reference.map(|(_, file)| file.clone());
        let file = || other().or_else(|| debug_files(module, extra).into_iter().next());
        let file = || file().unwrap_or_else(|| (&module.path).into());
        self.answers.entry(key).or_insert_with(|| ask(&file(), address)).clone()
    }
}

fn ask(file: &Path, address: u64) -> Option<Vec<Place>> {
    let program = ["llvm-symbolizer", "llvm-symbolizer-14"].into_iter().find_map(find_program)?;
    let mut command = Command::new(program);
    command.args(["--output-style=JSON", "--inlines", "--functions=linkage", "--demangle"]);
    command.arg("--obj").arg(file).arg(format!("{address:#x}")).env("DEBUGINFOD_URLS", "");
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // One version gives a list of answers, another one answer per line.
    let answers: Vec<Answer> = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(text.lines().next().unwrap_or_default()).map(|one| vec![one]))
        .ok()?;
    answers.into_iter().next().map(|answer| answer.symbol)
}
