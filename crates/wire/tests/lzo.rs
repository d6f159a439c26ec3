//! Our LZO encoder against two decoders: the one we ship, and the C library Icecream's peers use.
//!
//! The C library is under the GPL and is never linked: a small Python program runs it in a process of
//! its own. Without Python or the library that part is skipped and says so.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_wire::lzo;
use gelato_wire::msg::{ChunkCodec, FileChunk};
use proptest::prelude::*;

/// Data as compilers see and make it, and worse: an alphabet of `2^letter_bits` letters, with earlier
/// parts repeated from up to 60 kB back.
#[derive(Clone, Debug)]
struct Recipe {
    seed: u64,
    length: usize,
    letter_bits: u32,
    /// One of how many pieces is new; the others are copies.
    new_one_in: u64,
}

impl Recipe {
    fn data(&self) -> Vec<u8> {
        let mut state = self.seed | 1;
        let mut roll = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mask = ((1u32 << self.letter_bits) - 1) as u8;
        let mut data = Vec::with_capacity(self.length);
        while data.len() < self.length {
            let left = self.length - data.len();
            let piece = match roll() % 8 {
                0 => 1 + roll() % 600,
                1..4 => 1 + roll() % 40,
                _ => 1 + roll() % 8,
            };
            let piece = usize::try_from(piece).unwrap().min(left);
            if data.is_empty() || roll() % self.new_one_in == 0 {
                data.extend((0..piece).map(|_| (roll() >> 32) as u8 & mask));
            } else {
                let farthest = data.len().min(60_000) as u64;
                let from = data.len() - 1 - usize::try_from(roll() % farthest).unwrap();
                // The copy may run into itself, as runs do.
                for at in from..from + piece {
                    data.push(data[at]);
                }
            }
        }
        data
    }
}

fn recipes(longest: usize) -> impl Strategy<Value = Recipe> {
    (
        any::<u64>(),
        prop_oneof![0..=longest, 0..=300usize.min(longest), Just(0)],
        0..=8u32,
        1..=6u64,
    )
        .prop_map(|(seed, length, letter_bits, new_one_in)| Recipe {
            seed,
            length,
            letter_bits,
            new_one_in,
        })
}

fn unpack(packed: &[u8], length: usize) -> Vec<u8> {
    FileChunk {
        uncompressed_len: length as u32,
        codec: ChunkCodec::Lzo,
        data: packed.to_vec(),
    }
    .decompress()
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_the_encoder_packs_the_decoder_unpacks(recipe in recipes(200_000)) {
        let data = recipe.data();
        let packed = lzo::compress(&data);
        prop_assert!(packed.len() <= lzo::bound(data.len()));
        prop_assert!(unpack(&packed, data.len()) == data);
    }

    #[test]
    fn plain_noise_and_plain_runs_stay_within_the_bound(
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        run in 0..200_000usize,
    ) {
        for data in [noise, vec![7; run]] {
            let packed = lzo::compress(&data);
            prop_assert!(packed.len() <= lzo::bound(data.len()));
            prop_assert!(unpack(&packed, data.len()) == data);
        }
    }
}

#[test]
fn every_length_of_literals_and_of_copies_survives() {
    let noise = Recipe {
        seed: 9,
        length: 2000,
        letter_bits: 8,
        new_one_in: 1,
    }
    .data();
    for length in (0..=45)
        .chain(235..=295)
        .chain(505..=535)
        .chain([1000, 2000])
    {
        let literals = &noise[..length];
        assert_eq!(unpack(&lzo::compress(literals), length), literals);
        // A copy of each length, at each of the three forms of distance, with literals behind it.
        for distance in [
            2000, 2048, 2049, 16_383, 16_384, 16_385, 32_768, 49_151, 49_152,
        ] {
            let mut data = noise[..length.min(distance)].to_vec();
            data.resize(distance, b'-');
            data.extend_from_within(..length.min(distance));
            data.extend_from_slice(&noise[..length % 5]);
            assert_eq!(unpack(&lzo::compress(&data), data.len()), data);
        }
    }
}

/// Asks the C library; `None` if it is not to be had.
fn reference(requests: &[(u8, usize, Vec<u8>)]) -> Option<Vec<Option<Vec<u8>>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lzo_reference.py");
    let mut child = match Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: python3 does not start: {error}");
            return None;
        }
    };
    let mut input = Vec::new();
    for (operation, room, data) in requests {
        input.push(*operation);
        input.extend_from_slice(&u32::try_from(*room).unwrap().to_be_bytes());
        input.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        input.extend_from_slice(data);
    }
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let writer = std::thread::spawn(move || match stdin.write_all(&input) {
        // It left at once because it has no library.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        other => other.unwrap(),
    });
    let mut output = Vec::new();
    stdout.read_to_end(&mut output).unwrap();
    writer.join().unwrap();
    let status = child.wait().unwrap();
    if status.code() == Some(77) {
        eprintln!("skipped: liblzo2 is not installed");
        return None;
    }
    assert!(status.success(), "{status}");
    let mut rest = &output[..];
    let answers = requests
        .iter()
        .map(|_| {
            let (head, tail) = rest.split_first_chunk::<5>().unwrap();
            let [failed, length @ ..] = *head;
            let (data, tail) = tail.split_at(u32::from_be_bytes(length) as usize);
            rest = tail;
            (failed == 0).then(|| data.to_vec())
        })
        .collect();
    assert!(rest.is_empty());
    Some(answers)
}

#[test]
fn the_c_library_and_we_read_each_other() {
    let blocks: Vec<Vec<u8>> = (0..150u64)
        .map(|seed| {
            Recipe {
                seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                length: usize::try_from(seed * seed * 29).unwrap() % 200_000,
                letter_bits: (seed % 9) as u32,
                new_one_in: 1 + seed % 6,
            }
            .data()
        })
        .chain((0..=300).map(|length| vec![b'r'; length]))
        .collect();
    let mut requests = Vec::new();
    for block in &blocks {
        let ours = lzo::compress(block);
        requests.push((b'd', block.len(), ours.clone()));
        requests.push((b'u', block.len(), ours));
        let room = block.len() + block.len() / 16 + 64 + 3;
        requests.push((b'c', room, block.clone()));
        // The slow level on small blocks only.
        let room = if block.len() < 20_000 { room } else { 67 };
        let block = if block.len() < 20_000 {
            &block[..]
        } else {
            b""
        };
        requests.push((b'C', room, block.to_vec()));
    }
    let Some(answers) = reference(&requests) else {
        return;
    };
    for (block, answers) in blocks.iter().zip(answers.chunks(4)) {
        let [checked, unchecked, level_1, level_999] = answers else {
            panic!("four answers a block");
        };
        assert!(checked.as_ref() == Some(block), "checked decoder");
        assert!(unchecked.as_ref() == Some(block), "unchecked decoder");
        assert!(unpack(level_1.as_ref().unwrap(), block.len()) == *block);
        let short = if block.len() < 20_000 {
            &block[..]
        } else {
            b""
        };
        assert!(unpack(level_999.as_ref().unwrap(), short.len()) == short);
    }
}
