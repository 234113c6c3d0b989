//! Names that symbol tables have for an address: two tools may each take another one.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol, SymbolKind};

use super::dump::Module;

/// Symbols of the modules seen so far.
#[derive(Default)]
pub(crate) struct Symbols {
    tables: HashMap<String, Vec<Symbol>>,
    demangled: HashMap<String, String>,
}

struct Symbol {
    data: bool,
    start: u64,
    end: u64,
    name: String,
}

impl Symbols {
    /// Demangled names of all functions that hold a file address.
    pub(crate) fn at(&mut self, module: &Module, address: u64, extra: &[PathBuf]) -> Vec<String> {
        self.names(module, address, extra, false)
    }

    /// Demangled names of all variables that hold a file address.
    pub(crate) fn data_at(&mut self, module: &Module, address: u64, extra: &[PathBuf]) -> Vec<String> {
        self.names(module, address, extra, true)
    }

    fn names(&mut self, module: &Module, address: u64, extra: &[PathBuf], data: bool) -> Vec<String> {
        let table = self.tables.entry(module.path.clone()).or_insert_with(|| read_all(module, extra));
        let after = table.partition_point(|symbol| symbol.start <= address);
        let near = table[..after].iter().rev().take(2000);
        let names: Vec<String> =
            near.filter(|s| address < s.end && s.data == data).map(|s| s.name.clone()).collect();
        names.into_iter().map(|name| self.demangle(&name)).collect()
    }

    fn demangle(&mut self, name: &str) -> String {
        if !name.starts_with("_Z") && !name.starts_with("_R") {
            return name.to_owned();
        }
        let filter = || {
            let output = Command::new("c++filt").arg(name).output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        self.demangled.entry(name.to_owned()).or_insert_with(|| filter().unwrap_or_default()).clone()
    }
}

fn read_all(module: &Module, extra: &[PathBuf]) -> Vec<Symbol> {
    let mut files = vec![PathBuf::from(&module.path)];
    files.extend(debug_files(module, extra));
    let mut table: Vec<Symbol> = files.iter().flat_map(|file| read(file)).collect();
    table.sort_by_key(|symbol| symbol.start);
    table
}

/// Separate debug files of a module, by build ID.
pub(crate) fn debug_files(module: &Module, extra: &[PathBuf]) -> Vec<PathBuf> {
    let Some((head, tail)) = module.build_id.as_deref().and_then(|id| id.split_at_checked(2)) else {
        return Vec::new();
    };
    let usual = [PathBuf::from("/usr/lib/debug")];
    let folders = extra.iter().chain(&usual);
    let files = folders.map(|folder| folder.join(".build-id").join(head).join(format!("{tail}.debug")));
    files.filter(|file| file.is_file()).collect()
}

fn read(path: &Path) -> Vec<Symbol> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let Ok(file) = object::File::parse(&*bytes) else { return Vec::new() };
    let all = file.symbols().chain(file.dynamic_symbols());
    let defined = all.filter(|s| s.is_definition());
    let named = defined.filter_map(|s| {
        let end = s.address().saturating_add(s.size().max(1));
        let data = s.kind() == SymbolKind::Data;
        Some(Symbol { data, start: s.address(), end, name: s.name().ok()?.to_owned() })
    });
    named.filter(|symbol| !symbol.name.is_empty()).collect()
}
