use libdeflater::{CompressionLvl, Compressor};
use proptest::prelude::*;

use super::*;

/// Text that compresses as debug information does: repetitions with some noise.
fn text(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut text: Vec<u8> = b"DW_TAG_subprogram".to_vec();
    while text.len() < size {
        if next() % 3 == 0 {
            text.push((next() % 64) as u8);
            continue;
        }
        let back = 1 + next() % text.len().min(30_000);
        for _ in 0..2 + next() % 40 {
            text.push(text[text.len() - back]);
        }
    }
    text
}

fn deflated(text: &[u8], level: i32) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
    let mut out = vec![0; compressor.deflate_compress_bound(text.len())];
    let len = compressor.deflate_compress(text, &mut out).unwrap();
    out.truncate(len);
    out
}

fn seekable(stream: &[u8], size: u64, workers: usize) -> Option<Seekable<'_>> {
    let sections = divide(stream, workers);
    let decoded: Result<Vec<Decoded>, Bad> =
        sections.iter().map(|section| decode(stream, section, size)).collect();
    Seekable::join(stream, decoded.ok()?)
}

#[test]
fn every_part_of_a_divided_stream_is_found() {
    let text = text(16 << 20);
    for level in [1, 6] {
        let stream = deflated(&text, level);
        for workers in [1, 2] {
            assert!(workers == 1 || divide(&stream, workers).len() > 1);
            let seekable = seekable(&stream, text.len() as u64, workers).unwrap();
            assert_eq!(seekable.size, text.len() as u64);
            for start in (0..text.len()).step_by(777_777).chain([text.len() - 5]) {
                let end = (start + 300_000).min(text.len());
                assert!(seekable.part(start as u64..end as u64).unwrap() == text[start..end], "{start}");
            }
            assert!(seekable.part(5..text.len() as u64 + 1).is_err(), "beyond the end");
        }
    }
}

#[test]
fn stored_and_fixed_blocks_are_decoded() {
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for text in [noise, b"abc".to_vec(), Vec::new(), vec![7; 100_000]] {
        for level in [0, 6] {
            let stream = deflated(&text, level);
            let seekable = seekable(&stream, text.len() as u64, 2).unwrap();
            assert!(seekable.part(0..text.len() as u64).unwrap() == text);
        }
    }
}

#[test]
fn more_output_than_was_said_is_an_error() {
    let stream = deflated(&vec![0; 1 << 20], 6);
    assert!(seekable(&stream, 1000, 1).is_none());
}

proptest! {
    #[test]
    fn what_libdeflate_refuses_or_accepts_so_does_this(
        damage in prop::collection::vec((0_usize..2000, 0_u8..), 0..3),
        level in 0..10_i32,
    ) {
        let text = text(4000);
        let mut stream = deflated(&text, level);
        for (at, value) in damage {
            let at = at % stream.len();
            stream[at] = value;
        }
        let mut out = vec![0; 1 << 16];
        let theirs = libdeflater::Decompressor::new().deflate_decompress(&stream, &mut out);
        let ours = seekable(&stream, 1 << 16, 1).and_then(|ours| ours.part(0..ours.size).ok());
        match theirs {
            // What lies before the stream reads as zeros.
            Ok(size) => prop_assert_eq!(ours.as_deref(), Some(&out[..size])),
            Err(_) => prop_assert!(ours.is_none() || ours.is_some_and(|ours| ours.len() <= 1 << 16)),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(stream in prop::collection::vec(0_u8.., 0..500)) {
        if let Some(seekable) = seekable(&stream, 1 << 16, 2) {
            let _ = seekable.part(0..seekable.size);
        }
    }
}
