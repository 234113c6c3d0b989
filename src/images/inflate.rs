//! Compressed sections.
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::{Decompress, FlushDecompress, Status};

use super::elf::Elf;
use crate::sys::window::{self, WindowError};

/// deflate cannot do better than 1032 to 1; a size beyond this is a lie in either format.
const MAX_RATIO: u64 = 1032;
/// Size of `Elf64_Chdr` and of `Elf32_Chdr`, in bytes.
const HEADER: usize = 24;
const HEADER_32: usize = 12;
/// Bytes that are inflated at a time where only parts are kept.
const PIECE: usize = 128 << 10;
const ELFCOMPRESS_ZLIB: u32 = 1;
const ELFCOMPRESS_ZSTD: u32 = 2;

/// A section's compressed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compressed<'s> {
    format: Format,
    data: &'s [u8],
    /// Bytes it says it inflates to.
    pub(super) size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Zlib,
    Zstd,
}

impl<'s> Compressed<'s> {
    /// Contents of a section with `SHF_COMPRESSED`.
    pub(super) fn with_header(elf: &Elf<'s>, contents: &'s [u8]) -> Option<Compressed<'s>> {
        let (header, place, word) = if elf.is_wide() { (HEADER, 8, 8) } else { (HEADER_32, 4, 4) };
        let (header, data) = contents.split_at_checked(header)?;
        let format = match u32::try_from(elf.number(header, 0, 4)?).ok()? {
            ELFCOMPRESS_ZLIB => Format::Zlib,
            ELFCOMPRESS_ZSTD => Format::Zstd,
            _ => return None,
        };
        let size = elf.number(header, place, word)?;
        Some(Compressed { format, data, size })
    }

    /// Contents of an old `.zdebug_*` section: `ZLIB` and a big-endian size.
    pub(super) fn with_magic(contents: &'s [u8]) -> Option<Compressed<'s>> {
        let rest = contents.strip_prefix(b"ZLIB")?;
        let (size, data) = rest.split_at_checked(8)?;
        Some(Compressed { format: Format::Zlib, data, size: u64::from_be_bytes(size.try_into().ok()?) })
    }

    /// Why it is not inflated, if it may become at most `room` bytes.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn check(&self, room: u64) -> Result<(), String> {
        if self.size > (self.data.len() as u64).saturating_mul(MAX_RATIO) {
            return Err(format!("{} bytes cannot inflate to {}", self.data.len(), self.size));
        }
        if self.size > room {
            return Err(format!(
                "{} bytes are more than the {room} that sections like it may take",
                self.size
            ));
        }
        Ok(())
    }

    /// The inflated contents. Their size is to be checked before.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn inflate(&self) -> Result<Vec<u8>, String> {
        let size = usize::try_from(self.size).map_err(|_| "too large".to_owned())?;
        // Memory that comes as zeros need not be written twice; but having none must not end the program.
        Vec::<u8>::new().try_reserve_exact(size).map_err(|_| "out of memory".to_owned())?;
        let mut inflated = vec![0; size];
        let written = match self.format {
            Format::Zlib => libdeflater::Decompressor::new()
                .zlib_decompress(self.data, &mut inflated)
                .map_err(|error| error.to_string())?,
            Format::Zstd => zstd(self.data, &mut inflated)?,
        };
        if written != size {
            return Err(format!("inflates to {written} bytes instead of {size}"));
        }
        Ok(inflated)
    }

    /// Bytes it has.
    pub(super) fn length(&self) -> usize {
        self.data.len()
    }

    /// Whether [`Compressed::inflate_parts`] can read it.
    pub(super) fn has_parts(&self) -> bool {
        self.format == Format::Zlib
    }

    /// Parts of the inflated contents, each with its place. All before the last one is inflated, and what is not
    /// wanted is not kept. The checksum is not computed: it covers everything, and takes a fifth of the time.
    ///
    /// # Errors
    ///
    /// In words.
    pub(super) fn inflate_parts(&self, parts: &[Range<u64>]) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let data = deflate_stream(self.data).ok_or("bad data")?;
        let kept = match window::inflate_parts(data, self.size, parts) {
            Ok(kept) => kept,
            // Under a filter, or where addresses are few.
            Err(WindowError::Memory(_)) => self.stream_parts(data, parts)?,
            Err(WindowError::Damaged) => return Err("bad data".to_owned()),
            Err(WindowError::Short(end)) => return Err(self.ends_after(end)),
        };
        Ok(parts.iter().map(|part| part.start).zip(kept).collect())
    }

    /// The same, a piece at a time.
    fn stream_parts(&self, data: &[u8], parts: &[Range<u64>]) -> Result<Vec<Vec<u8>>, String> {
        let mut kept = vec![Vec::new(); parts.len()];
        let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
        let mut stream = Decompress::new(false);
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < end {
            let input = usize::try_from(stream.total_in()).ok().and_then(|read| data.get(read..));
            let input = input.unwrap_or(&[]);
            let status = stream.decompress(input, &mut piece, FlushDecompress::None);
            let status = status.map_err(|error| error.to_string())?;
            let piece = &piece[..(stream.total_out() - at) as usize];
            for (part, bytes) in parts.iter().zip(&mut kept) {
                let (from, to) = (part.start.max(at), part.end.min(stream.total_out()));
                if from < to {
                    bytes.extend_from_slice(&piece[(from - at) as usize..(to - at) as usize]);
                }
            }
            let stands = piece.is_empty() || status == Status::StreamEnd;
            at = stream.total_out();
            if stands && at < end {
                return Err(self.ends_after(at));
            }
        }
        Ok(kept)
    }

    fn ends_after(&self, end: u64) -> String {
        format!("ends after {end} bytes of {}", self.size)
    }
}

/// The deflate stream within a zlib stream (RFC 1950) without a preset dictionary, which ELF files do not use.
fn deflate_stream(data: &[u8]) -> Option<&[u8]> {
    let (&[method, flags], stream) = data.split_first_chunk::<2>()?;
    let sound = method & 0xf == 8 && flags & 0x20 == 0 && u16::from_be_bytes([method, flags]) % 31 == 0;
    sound.then_some(stream)
}

fn zstd(data: &[u8], inflated: &mut [u8]) -> Result<usize, String> {
    // The decoder has panics for states that should be impossible; hostile input must not show one.
    let decode = || ruzstd::decoding::FrameDecoder::new().decode_all(data, inflated);
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("bad data".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use threaddump_arch::Arch;

    use super::*;

    /// A file of class 64; its headers do not matter.
    fn elf() -> Elf<'static> {
        Elf::bare()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut out = vec![0; compressor.zlib_compress_bound(data.len())];
        let len = compressor.zlib_compress(data, &mut out).unwrap();
        out.truncate(len);
        out
    }

    fn with_header(kind: u32, size: u64, data: &[u8]) -> Vec<u8> {
        let mut section = kind.to_le_bytes().to_vec();
        section.extend_from_slice(&[0; 4]);
        section.extend_from_slice(&size.to_le_bytes());
        section.extend_from_slice(&1_u64.to_le_bytes());
        section.extend_from_slice(data);
        section
    }

    #[test]
    fn parts_are_those_of_the_whole() {
        let text: Vec<u8> =
            (0..1_000_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
        let data = zlib(&text);
        let section = with_header(1, text.len() as u64, &data);
        let compressed = Compressed::with_header(&elf(), &section).unwrap();
        let wanted = [0..0, 0..1, 5..400_000, 399_000..400_001, 999_999..1_000_000];
        for ((start, bytes), part) in
            compressed.inflate_parts(&wanted).unwrap().into_iter().zip(wanted.clone())
        {
            assert_eq!(
                (start, bytes.as_slice()),
                (part.start, &text[part.start as usize..part.end as usize])
            );
        }
        let streamed = compressed.stream_parts(deflate_stream(&data).unwrap(), &wanted).unwrap();
        let windowed = compressed.inflate_parts(&wanted).unwrap();
        assert!(windowed.into_iter().map(|(_, bytes)| bytes).eq(streamed));
        let part = |from, to| [Range { start: from, end: to }];
        assert!(
            compressed.inflate_parts(&part(5, 1_000_001)).unwrap_err().contains("ends after 1000000 bytes")
        );
        let cut = with_header(1, text.len() as u64, &data[..data.len() / 2]);
        assert!(Compressed::with_header(&elf(), &cut).unwrap().inflate_parts(&part(0, 1_000_000)).is_err());
        let broken = with_header(1, text.len() as u64, &[0x78, 0x9c, 0xff, 0xff, 1, 2, 3]);
        assert!(Compressed::with_header(&elf(), &broken).unwrap().inflate_parts(&part(0, 10)).is_err());
    }

    #[test]
    fn both_styles_of_zlib_inflate() {
        let text = b"debug information ".repeat(50);
        let data = zlib(&text);
        let new = with_header(1, text.len() as u64, &data);
        assert_eq!(Compressed::with_header(&elf(), &new).unwrap().inflate().unwrap(), text);
        let mut old = b"ZLIB".to_vec();
        old.extend_from_slice(&(text.len() as u64).to_be_bytes());
        old.extend_from_slice(&data);
        assert_eq!(Compressed::with_magic(&old).unwrap().inflate().unwrap(), text);
    }

    #[test]
    fn headers_of_32_bits_and_of_the_other_byte_order_are_read() {
        let text = b"debug information ".repeat(50);
        let data = zlib(&text);
        let header = |words: [u32; 3]| words.map(u32::to_le_bytes).concat();
        let narrow = [header([1, text.len() as u32, 1]), data.clone()].concat();
        let elf_32 = Elf { arch: Arch::I386, ..elf() };
        assert_eq!(Compressed::with_header(&elf_32, &narrow).unwrap().inflate().unwrap(), text);
        let words = [1_u32, 0, 0, text.len() as u32, 0, 1].map(u32::to_be_bytes).concat();
        let big = [words, data].concat();
        let elf_big = Elf { arch: Arch::S390x, ..elf() };
        assert_eq!(Compressed::with_header(&elf_big, &big).unwrap().inflate().unwrap(), text);
    }

    #[test]
    fn zstd_inflates() {
        // A frame with one raw block: magic, descriptor (single segment, 1-byte size), 5, block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x29, 0, 0, b'h', b'e', b'l', b'l', b'o'];
        let section = with_header(2, 5, &frame);
        assert_eq!(Compressed::with_header(&elf(), &section).unwrap().inflate().unwrap(), b"hello");
    }

    #[test]
    fn impossible_sizes_allocate_nothing() {
        let data = zlib(b"short");
        for size in [u64::MAX, 1 << 40, 1 << 20] {
            assert!(
                Compressed::with_header(&elf(), &with_header(1, size, &data))
                    .unwrap()
                    .check(u64::MAX)
                    .is_err()
            );
        }
        let right = with_header(1, 5, &data);
        let error = Compressed::with_header(&elf(), &right).unwrap().check(4).unwrap_err();
        assert_eq!(error, "5 bytes are more than the 4 that sections like it may take");
        assert!(Compressed::with_header(&elf(), &with_header(1, 6, &data)).unwrap().inflate().is_err());
        assert!(Compressed::with_header(&elf(), &with_header(1, 4, &data)).unwrap().inflate().is_err());
    }

    #[test]
    fn broken_data_is_an_error() {
        for kind in [1, 2] {
            let section = with_header(kind, 100, &[0x5a; 40]);
            assert!(Compressed::with_header(&elf(), &section).unwrap().inflate().is_err());
        }
        assert_eq!(Compressed::with_header(&elf(), &with_header(9, 1, b"x")), None);
        assert_eq!(Compressed::with_header(&elf(), b"short"), None);
        assert_eq!(Compressed::with_magic(b"ZLIB"), None);
    }
}
