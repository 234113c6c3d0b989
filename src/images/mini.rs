//! `.gnu_debugdata` (MiniDebugInfo; GDB manual, "Debugging information in a special section"): an
//! xz-compressed ELF file inside a stripped one, with the function symbols that `.dynsym` lacks.
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use lzma_rust2::XzReader;
use threaddump_dwarf::symbols::SymbolTable;

use super::elf::{Elf, SHT_DYNSYM, SHT_SYMTAB};
use super::find::Finder;
use super::notes;
use super::sections::Contents;
use super::store::Store;
use crate::snapshot::hex;

/// Memory the decoder may take, in KiB: what `xz -9` asks for, and some.
const MAX_DECODER: u32 = 68 << 10;
/// Most bytes of one section; the largest browsers have a tenth of it.
const MAX_SIZE: u64 = 256 << 20;
/// Size of a symbol, in bytes, by class.
const SYMBOL: usize = 24;
const SYMBOL_32: usize = 16;

/// The ELF object in the section. `None` if there is no such section.
///
/// # Errors
///
/// In words, why it is not used.
pub(super) fn open<'s>(
    own: &Contents<'s>,
    finder: &Finder<'s>,
    build_id: Option<&[u8]>,
) -> Option<Result<Contents<'s>, String>> {
    Some(unpack(own)?.and_then(|bytes| {
        let contents = finder.inner(bytes)?;
        match (notes::build_id(&contents.elf), build_id) {
            (Some(found), Some(wanted)) if found != wanted => {
                Err(format!("its build ID is {}, not {}", hex(found), hex(wanted)))
            }
            _ => Ok(contents),
        }
    }))
}

/// The bytes of the object in the section.
pub(super) fn unpack<'s>(own: &Contents<'s>) -> Option<Result<&'s [u8], String>> {
    let compressed = own.elf.contents(own.elf.section(b".gnu_debugdata")?)?;
    Some(inflate(compressed, own.store()))
}

fn inflate<'s>(compressed: &[u8], store: &'s Store) -> Result<&'s [u8], String> {
    let most = store.most_of(compressed.len()).min(MAX_SIZE);
    let decode = || {
        let mut bytes = Vec::new();
        let reader = XzReader::new_mem_limit(Cursor::new(compressed), true, MAX_DECODER);
        // Not all at once: the size is known at the end only.
        reader.take(most.saturating_add(1)).read_to_end(&mut bytes).map(|_| bytes)
    };
    // A panic in the decoder must not cost more than the names in here.
    let bytes = catch_unwind(AssertUnwindSafe(decode)).map_err(|_| "bad data".to_owned())?;
    let mut bytes = bytes.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("{} bytes inflate to more than {most}", compressed.len()));
    }
    bytes.shrink_to_fit();
    store.charge(bytes.len() as u64, compressed.len());
    Ok(store.keep_bytes(bytes))
}

/// Symbols of both objects in one table, so that the better of two answers is found by one set of rules.
pub(super) fn merged<'s>(
    mini: &Contents<'s>,
    own: &Contents<'s>,
    store: &'s Store,
) -> Option<SymbolTable<'s>> {
    let (mut symbols, mut strings) = (Vec::new(), Vec::new());
    append(&mini.elf, SHT_SYMTAB, &mut symbols, &mut strings)?;
    append(&own.elf, SHT_DYNSYM, &mut symbols, &mut strings);
    let (symbols, strings) = (store.keep_bytes(symbols), store.keep_bytes(strings));
    // The two number their sections each in its own way: places alone tell what is code.
    let code = own.code_ranges().into_iter().map(|mut code| {
        code.section = None;
        code
    });
    let table = SymbolTable::of_arch(own.elf.arch, symbols, &[], strings, code.collect());
    Some(table).filter(|table| !table.is_empty())
}

fn append(elf: &Elf<'_>, kind: u32, symbols: &mut Vec<u8>, strings: &mut Vec<u8>) -> Option<()> {
    let section = elf.sections.iter().find(|section| section.kind == kind)?;
    let names = elf.contents(elf.sections.get(section.link as usize)?)?;
    let base = u32::try_from(strings.len()).ok()?;
    let size = if elf.is_wide() { SYMBOL } else { SYMBOL_32 };
    for symbol in elf.contents(section)?.chunks_exact(size) {
        let (name, rest) = symbol.split_first_chunk::<4>()?;
        let name = u32::try_from(elf.arch.number(name)).ok().and_then(|name| name.checked_add(base));
        // A name that cannot be is none.
        let name = name.unwrap_or(u32::MAX);
        let bytes = if elf.arch.is_big_endian() { name.to_be_bytes() } else { name.to_le_bytes() };
        symbols.extend_from_slice(&bytes);
        symbols.extend_from_slice(rest);
    }
    strings.extend_from_slice(names);
    // So that a last name without an end does not go on into the next table.
    strings.push(0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_xz_is_an_error() {
        let store = Store::new();
        for bytes in
            [&b""[..], b"\xfd7zXZ\0", &[0x5a; 400], b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01"]
        {
            assert!(inflate(bytes, &store).is_err(), "{bytes:?}");
        }
    }

    /// 10,000 times as many zeros: `head -c 30M /dev/zero | xz`.
    #[test]
    fn a_bomb_ends_at_the_limit() {
        let Some(bomb) = xz(&vec![0; 30 << 20]) else { return };
        let store = Store::new();
        assert!(bomb.len() < 10_000);
        let error = inflate(&bomb, &store).unwrap_err();
        assert!(error.contains("inflate to more than 16777216"), "{error}");
    }

    #[test]
    fn what_xz_wrote_is_read() {
        let text = b"debug information ".repeat(500);
        let Some(bytes) = xz(&text) else { return };
        let store = Store::new();
        assert_eq!(inflate(&bytes, &store), Ok(&text[..]));
        for end in 0..bytes.len() - 1 {
            assert!(inflate(&bytes[..end], &store).is_err(), "cut at {end}");
        }
    }

    fn xz(bytes: &[u8]) -> Option<Vec<u8>> {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let child = Command::new("xz").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: xz is not installed");
            return None;
        };
        let mut input = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || input.write_all(bytes).unwrap());
            Some(child.wait_with_output().unwrap().stdout)
        })
    }
}
