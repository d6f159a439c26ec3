//! Runs the body of every fuzz target on random input, on recorded traffic, and on recorded traffic
//! that was damaged. Seeded, so that a failure repeats.

#[path = "golden/archive.rs"]
#[expect(dead_code, reason = "the golden tests use the rest")]
mod archive;
#[path = "../../../fuzz/src/wire.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets too")]
mod bodies;

use archive::Archive;

/// Xorshift: good enough to break things, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.roll() % n.max(1) as u64) as usize
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest + 1);
        // Half of the time small numbers, which lengths and counts are made of.
        let mask = if self.below(2) == 0 { 0xff } else { 0x03 };
        (0..length).map(|_| self.roll() as u8 & mask).collect()
    }

    /// Damages `bytes` in one to four places.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.roll() as u8,
                2 => bytes.truncate(at),
                3 => {
                    let extreme =
                        [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 1 << 20][self.below(6)];
                    let end = bytes.len().min(at + 4);
                    let word = u32::to_be_bytes(extreme);
                    bytes[at..end].copy_from_slice(&word[..end - at]);
                }
                4 => {
                    let extra = self.bytes(8);
                    bytes.splice(at..at, extra);
                }
                _ => {
                    let end = bytes.len().min(at + 1 + self.below(16));
                    bytes.drain(at..end);
                }
            }
        }
    }
}

/// All recorded directions but the two large ones.
fn recorded() -> Vec<Vec<u8>> {
    let archive = Archive::load();
    let directions: Vec<_> = archive
        .recordings()
        .flat_map(|recording| [recording.from_connector, recording.from_acceptor])
        .filter(|bytes| bytes.len() < 20_000)
        .map(<[u8]>::to_vec)
        .collect();
    assert!(directions.len() > 500);
    directions
}

/// The frames of a recorded direction, without their length words.
fn frames(direction: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = direction.get(8..).unwrap_or_default();
    while let Some((word, tail)) = rest.split_first_chunk::<4>() {
        let Some((frame, tail)) = tail.split_at_checked(u32::from_be_bytes(*word) as usize) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = tail;
    }
    frames
}

#[test]
fn messages() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let frames: Vec<_> = recorded().iter().flat_map(|bytes| frames(bytes)).collect();
    for frame in &frames {
        bodies::message(frame);
    }
    for _ in 0..4000 {
        let mut frame = frames[dice.below(frames.len())].clone();
        dice.damage(&mut frame);
        bodies::message(&frame);
    }
    for number in (60..=100u32).chain(999..=1005) {
        for _ in 0..60 {
            let mut frame = number.to_be_bytes().to_vec();
            frame.extend(dice.bytes(200));
            bodies::message(&frame);
        }
    }
}

#[test]
fn sessions() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let directions = recorded();
    for direction in &directions {
        bodies::session(direction);
    }
    for _ in 0..3000 {
        let mut direction = directions[dice.below(directions.len())].clone();
        dice.damage(&mut direction);
        bodies::session(&direction);
        bodies::session(&dice.bytes(64));
    }
}

#[test]
fn chunks() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut packed = Vec::new();
    for direction in recorded() {
        for frame in frames(&direction) {
            let word = |at: usize| frame.get(at..).and_then(<[u8]>::first_chunk::<4>).copied();
            // A chunk with its codec said, or from before it was.
            if word(0) == Some([0, 0, 0, 74])
                && let Some([_, a, b, c]) = word(4)
                && let Some(codec) = word(12)
            {
                let said = codec == [0, 0, 0, 1];
                let data = &frame[if said { 16 } else { 12 }..];
                packed.push([&[u8::from(said), a, b, c], data].concat());
            }
        }
    }
    assert!(packed.len() > 100);
    for _ in 0..1500 {
        let mut chunk = packed[dice.below(packed.len())].clone();
        dice.damage(&mut chunk);
        bodies::chunk(&chunk);
        bodies::chunk(&dice.bytes(300));
    }
}

#[test]
fn datagrams() {
    let mut dice = Dice(0x0dd5_eed0_0dd5_eed1);
    for _ in 0..4000 {
        let mut datagram = vec![dice.roll() as u8; [1, 12, 13, 16, 32, 268][dice.below(6)]];
        let start: &[u8] = [
            &b"ICE\x2c\0\0\0\0\0\0\0\0\x05hello"[..],
            b"ICF\x2c\0\0\0\0",
            b"\x2f\0\0\0\x2c",
            b"",
        ][dice.below(4)];
        let end = datagram.len().min(start.len());
        datagram[..end].copy_from_slice(&start[..end]);
        bodies::datagram(&datagram);
        dice.damage(&mut datagram);
        bodies::datagram(&datagram);
    }
}

#[test]
fn control_input() {
    let mut dice = Dice(0xfeed_face_cafe_beef);
    let typed = b"listcs\r\nlistjobs\nREMOVECS a b\tc\nblockcs x\x01unblockcs y\ninternals\n\n\nhelp me\nfoo 'bar'\nquit\n";
    for _ in 0..4000 {
        let mut input = typed.to_vec();
        dice.damage(&mut input);
        bodies::control(&input);
        bodies::control(&dice.bytes(500));
    }
    bodies::control(&[b'a'; 10_000]);
    bodies::control(&[b'\n'; 10_000]);
}
