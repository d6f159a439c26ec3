//! Whether an object is all there, as far as its own header tells.
//!
//! The classic protocol has no checksum: a worker whose disk was full, or that is broken, can end a file early and call it
//! complete. Compilers and assemblers write the table of sections last, so an ELF file that is cut short misses part of it.
//! Anything else (assembler text, LLVM bitcode) tells nothing of its length and passes.

const MAGIC: &[u8] = b"\x7fELF";

/// Offsets of `e_shoff`, its width, and of `e_shentsize`, which `e_shnum` follows.
struct Layout {
    table: usize,
    width: usize,
    entry_size: usize,
}

const ELF32: Layout = Layout {
    table: 0x20,
    width: 4,
    entry_size: 0x2e,
};
const ELF64: Layout = Layout {
    table: 0x28,
    width: 8,
    entry_size: 0x3a,
};

/// False if `content` is an ELF file that ends before its table of sections does.
pub(crate) fn is_whole(content: &[u8]) -> bool {
    !content.starts_with(MAGIC)
        || end_of_table(content).is_some_and(|end| end <= content.len() as u64)
}

/// `None` if not even the header is there, or makes no sense.
fn end_of_table(content: &[u8]) -> Option<u64> {
    let layout = match content.get(4)? {
        1 => ELF32,
        2 => ELF64,
        _ => return None,
    };
    let big_endian = match content.get(5)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let number = |offset: usize, width: usize| -> Option<u64> {
        let bytes = content.get(offset..offset.checked_add(width)?)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if big_endian {
            bytes.iter().fold(0, join)
        } else {
            bytes.iter().rev().fold(0, join)
        })
    };
    let table = number(layout.table, layout.width)?;
    let entry_size = number(layout.entry_size, 2)?;
    // With 65280 sections or more the header says 0 and the first entry holds the number.
    let entries = number(layout.entry_size + 2, 2)?.max(1);
    match table {
        0 => Some(0),
        _ => table.checked_add(entry_size.checked_mul(entries)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(extra: &[&str]) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x.c");
        std::fs::write(&path, "int x(int a) { return a + 1; }\n").expect("source");
        let output = folder.path().join("x.o");
        let done = std::process::Command::new("gcc")
            .args(["-g", "-c"])
            .args(extra)
            .arg(&path)
            .arg("-o")
            .arg(&output)
            .output()
            .expect("gcc");
        done.status
            .success()
            .then(|| std::fs::read(&output).expect("object"))
    }

    #[test]
    fn every_cut_of_an_object_is_noticed() {
        let object = compiled(&[]).expect("gcc -c works");
        assert!(is_whole(&object));
        for length in MAGIC.len()..object.len() {
            assert!(!is_whole(&object[..length]), "{length}");
        }
    }

    #[test]
    fn objects_of_32_bits_are_read_too() {
        if let Some(object) = compiled(&["-m32"]) {
            assert!(is_whole(&object));
            assert!(!is_whole(&object[..object.len() - 1]));
        }
    }

    #[test]
    fn numbers_are_read_in_the_order_of_the_file() {
        let mut object = vec![0; 64 + 2 * 64];
        object[..6].copy_from_slice(b"\x7fELF\x02\x02");
        object[0x2f] = 64;
        object[0x3b] = 64;
        object[0x3d] = 2;
        assert!(is_whole(&object));
        object.pop();
        assert!(!is_whole(&object));
    }

    #[test]
    fn what_is_no_elf_file_passes_and_nonsense_does_not() {
        assert!(is_whole(b""));
        assert!(is_whole(b"\t.file \"x.c\"\n"));
        assert!(is_whole(b"BC\xc0\xde1234"));
        assert!(!is_whole(MAGIC));
        assert!(!is_whole(&[MAGIC, &[9; 100]].concat()));
        assert!(!is_whole(&[MAGIC, &[2, 1], &[0xff; 100]].concat()));
    }
}
