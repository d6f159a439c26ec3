//! LZO1X encoder: greedy, one hash probe a position, written from the layout of the stream alone.
//!
//! Peers below protocol version 40 understand nothing else. The decoder is a library's.

const HASH_BITS: u32 = 14;
/// Farthest back a copy may reach: two forms cover 16 KiB and 48 KiB.
const MAX_DISTANCE: usize = 0xbfff;

/// The most bytes `n` bytes can become; the bound Icecream's receivers reserve for.
pub fn bound(n: usize) -> usize {
    n + n / 64 + 16 + 3
}

/// One block, without header or checksum.
pub fn compress(source: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bound(source.len()));
    let mut table = vec![u32::MAX; 1 << HASH_BITS];
    let (mut literal_start, mut at) = (0, 0);
    // Where the last copy keeps the two bits that count up to three literals behind it.
    let mut short_run = None;
    while let Some(word) = word_at(source, at) {
        let slot = (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize;
        let candidate = table[slot] as usize;
        table[slot] = at as u32;
        if candidate < at
            && at - candidate <= MAX_DISTANCE
            && word_at(source, candidate) == Some(word)
        {
            let length = match_length(source, candidate, at);
            put_literals(&mut out, &source[literal_start..at], short_run);
            put_copy(&mut out, length, at - candidate);
            short_run = Some(out.len() - 2);
            at += length;
            literal_start = at;
        } else {
            // The longer nothing matches, the faster we move on.
            at += 1 + ((at - literal_start) >> 5);
        }
    }
    put_literals(&mut out, &source[literal_start..], short_run);
    out.extend_from_slice(&[17, 0, 0]);
    out
}

fn put_length(out: &mut Vec<u8>, mut n: usize) {
    while n > 255 {
        out.push(0);
        n -= 255;
    }
    out.push(n as u8);
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8], short_run: Option<usize>) {
    let n = literals.len();
    match (n, short_run) {
        (0, _) => return,
        (_, None) if n <= 238 => out.push(17 + n as u8),
        (1..=3, Some(at)) => out[at] |= n as u8,
        (..=18, _) => out.push((n - 3) as u8),
        _ => {
            out.push(0);
            put_length(out, n - 18);
        }
    }
    out.extend_from_slice(literals);
}

fn put_copy(out: &mut Vec<u8>, length: usize, distance: usize) {
    if length <= 8 && distance <= 2048 {
        let d = distance - 1;
        out.push(((length - 1) << 5 | (d & 7) << 2) as u8);
        out.push((d >> 3) as u8);
        return;
    }
    let (tag, d, longest) = if distance <= 16384 {
        (32, distance - 1, 33)
    } else {
        let d = distance - 16384;
        (16 | (d >> 14) << 3, d & 0x3fff, 9)
    };
    if length <= longest {
        out.push((tag | (length - 2)) as u8);
    } else {
        out.push(tag as u8);
        put_length(out, length - longest);
    }
    out.extend_from_slice(&((d << 2) as u16).to_le_bytes());
}

fn word_at(source: &[u8], at: usize) -> Option<u32> {
    let bytes = source.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// How many bytes agree from `a` and `b` on, the first four being known to.
fn match_length(source: &[u8], a: usize, b: usize) -> usize {
    let (earlier, later) = (&source[a..], &source[b..]);
    let mut n = 4;
    while let (Some(x), Some(y)) = (
        earlier.get(n..).and_then(<[u8]>::first_chunk::<8>),
        later.get(n..).and_then(<[u8]>::first_chunk::<8>),
    ) {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return n + (difference.trailing_zeros() / 8) as usize;
        }
        n += 8;
    }
    while n < later.len() && earlier[n] == later[n] {
        n += 1;
    }
    n
}
