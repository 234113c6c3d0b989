//! Undoing compression while reading.
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::lz4::Lz4;

/// Memory that an xz stream may ask for, in KiB; the highest preset asks for 65 MiB.
const XZ_MEMORY: u32 = 512 << 10;
/// Memory that a zstd stream may ask for, in bytes; `--ultra -22` asks for 128 MiB.
const ZSTD_MEMORY: u64 = 256 << 20;

/// A way of compression, told by the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Zstd,
    Xz,
    Lz4,
    Gzip,
}

impl Packing {
    /// Bytes that are enough to tell.
    pub(super) const MAGIC: usize = 6;

    /// `None` if it is not compressed.
    pub(super) fn of(bytes: &[u8]) -> Option<Packing> {
        let known: [(&[u8], Packing); 4] = [
            (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Packing::Xz),
            (&[0x04, 0x22, 0x4d, 0x18], Packing::Lz4),
            (&[0x1f, 0x8b], Packing::Gzip),
        ];
        // A frame to be skipped, which parallel compressors put first.
        if matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            return Some(Packing::Zstd);
        }
        known.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, packing)| packing)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Packing::Zstd => "zstd",
            Packing::Xz => "xz",
            Packing::Lz4 => "lz4",
            Packing::Gzip => "gzip",
        }
    }

    /// What was compressed.
    pub(super) fn reader<'r>(self, source: impl BufRead + 'r) -> Box<dyn Read + 'r> {
        match self {
            Packing::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(ZSTD_MEMORY);
                Box::new(Zstd { source, decoder, cut: false })
            }
            Packing::Xz => Box::new(XzReader::new_mem_limit(source, true, XZ_MEMORY)),
            Packing::Lz4 => Box::new(Lz4::new(source)),
            Packing::Gzip => Box::new(MultiGzDecoder::new(source)),
        }
    }
}

/// What comes out of a compressed file, up to `limit` bytes, for tests with arbitrary bytes; `None` if it is not
/// compressed.
pub fn inspect(bytes: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    // What comes before an error counts.
    let _ = Packing::of(bytes)?.reader(bytes).take(limit).read_to_end(&mut out);
    Some(out)
}

/// A last block without contents, and the place of a checksum.
const LAST_BLOCK: &[u8] = &[1, 0, 0, 0, 0, 0, 0];

/// Frames of zstd one after the other; the decoder reads one.
struct Zstd<R: BufRead> {
    source: R,
    decoder: FrameDecoder,
    /// Whether the source ended too early.
    cut: bool,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                if let Err(error) =
                    self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                {
                    let error = self.failure(io::Error::other(error));
                    self.cut = error.kind() == io::ErrorKind::UnexpectedEof;
                    // It keeps as much as later blocks may refer to, unless there are none.
                    let ended = self.cut
                        && self.decoder.decode_blocks(LAST_BLOCK, BlockDecodingStrategy::All).is_ok();
                    if !ended {
                        return Err(error);
                    }
                }
            } else if self.cut {
                return Err(io::ErrorKind::UnexpectedEof.into());
            } else if !self.next_frame()? {
                return Ok(0);
            }
        }
        self.decoder.read(buffer)
    }
}

impl<R: BufRead> Zstd<R> {
    /// The decoder does not tell a cut from other damage.
    fn failure(&mut self, error: io::Error) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            _ => error,
        }
    }

    /// Gives false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(self.failure(io::Error::other(error))),
            }
        }
        Ok(false)
    }
}
