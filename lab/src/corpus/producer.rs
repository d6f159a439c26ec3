//! Whether two files are the same but for what GCC says of its own options in debug information.
//!
//! GCC writes its options into `DW_AT_producer`. A compiler that gets merged source is called with `-fdirectives-only`, which is then in that string; and since GCC keeps
//! debug strings in a hash table, their order changes with any of them. So strings are compared, not their places. Everything else must be the same, byte for byte.

use std::borrow::Cow;

const OPTION: &str = " -fdirectives-only";

/// Compares 64-bit little-endian ELF objects and GCC's assembly text; anything else differs.
pub(super) fn same_but_for_it(local: &[u8], ours: &[u8]) -> bool {
    match (Object::read(local), Object::read(ours)) {
        (Some(local), Some(ours)) => local.same(&ours),
        (None, None) => sorted_strings(local) == sorted_strings(ours),
        _ => false,
    }
}

/// The lines of an assembly text, every debug string with its label at the end and sorted.
fn sorted_strings(text: &[u8]) -> (Vec<String>, Vec<String>) {
    let text = String::from_utf8_lossy(text).replace(OPTION, "");
    let (mut lines, mut strings) = (Vec::new(), Vec::new());
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        if line.starts_with(".LASF") && line.ends_with(':') {
            strings.push(format!("{line}{}", rest.next().unwrap_or_default()));
        } else {
            lines.push(line.to_owned());
        }
    }
    strings.sort();
    (lines, strings)
}

struct Section<'a> {
    name: String,
    /// Type, flags, address, link, information, alignment, size of an entry.
    kind: [u64; 7],
    data: &'a [u8],
}

struct Object<'a> {
    sections: Vec<Section<'a>>,
}

impl<'a> Object<'a> {
    fn read(bytes: &'a [u8]) -> Option<Object<'a>> {
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let start = usize::try_from(number(bytes, 40, 8)?).ok()?;
        let count = usize::try_from(number(bytes, 60, 2)?).ok()?;
        let names = usize::try_from(number(bytes, 62, 2)?).ok()?;
        let header = |index: usize| bytes.get(start + index * 64..start + (index + 1) * 64);
        let content = |header: &[u8]| {
            let offset = usize::try_from(number(header, 24, 8)?).ok()?;
            let size = usize::try_from(number(header, 32, 8)?).ok()?;
            const NOTHING_IN_FILE: u64 = 8;
            match number(header, 4, 4)? {
                NOTHING_IN_FILE => Some(&bytes[..0]),
                _ => bytes.get(offset..offset.checked_add(size)?),
            }
        };
        let names = content(header(names)?)?;
        let sections = (0..count).map(|index| {
            let header = header(index)?;
            let name = string(names, number(header, 0, 4)?)?;
            let mut kind = [0; 7];
            let fields = [(4, 4), (8, 8), (16, 8), (40, 4), (44, 4), (48, 8), (56, 8)];
            for (field, (at, length)) in kind.iter_mut().zip(fields) {
                *field = number(header, at, length)?;
            }
            Some(Section {
                name: name.into_owned(),
                kind,
                data: content(header)?,
            })
        });
        Some(Object {
            sections: sections.collect::<Option<_>>()?,
        })
    }

    fn section(&self, name: &str) -> &'a [u8] {
        let found = self.sections.iter().find(|section| section.name == name);
        found.map_or(&[], |section| section.data)
    }

    fn same(&self, other: &Object<'_>) -> bool {
        self.sections.len() == other.sections.len()
            && self
                .sections
                .iter()
                .zip(&other.sections)
                .all(|(ours, theirs)| {
                    ours.name == theirs.name
                        && ours.kind == theirs.kind
                        && (ours.data == theirs.data
                            || match ours.name.as_str() {
                                ".debug_str" | ".debug_str.dwo" => {
                                    strings(ours.data) == strings(theirs.data)
                                }
                                ".debug_str_offsets.dwo" => {
                                    self.named_strings(ours.data)
                                        == other.named_strings(theirs.data)
                                }
                                name if name.starts_with(".rela.debug") => {
                                    self.references(ours.data) == other.references(theirs.data)
                                }
                                _ => false,
                            })
                })
    }

    /// Relocations, those that lead to debug strings with the string in place of its position.
    fn references(&self, data: &[u8]) -> Option<Vec<(u64, u64, String)>> {
        let entry = |entry: &[u8]| {
            let (at, what) = (number(entry, 0, 8)?, number(entry, 8, 8)?);
            let addend = number(entry, 16, 8)?;
            let target = if self.is_of_debug_strings(what >> 32)? {
                string(self.section(".debug_str"), addend)?.into_owned()
            } else {
                addend.to_string()
            };
            Some((at, what, target))
        };
        data.chunks(24).map(entry).collect()
    }

    fn is_of_debug_strings(&self, symbol: u64) -> Option<bool> {
        let symbol = usize::try_from(symbol).ok()?.checked_mul(24)?;
        let table = self.section(".symtab");
        let section = usize::try_from(number(table, symbol + 6, 2)?).ok()?;
        Some(
            self.sections
                .get(section)
                .is_some_and(|section| section.name == ".debug_str"),
        )
    }

    /// The strings a table of offsets names, after its header of eight bytes.
    fn named_strings(&self, data: &[u8]) -> Option<Vec<String>> {
        let strings = self.section(".debug_str.dwo");
        data.get(8..)?
            .chunks(4)
            .map(|entry| Some(string(strings, number(entry, 0, 4)?)?.into_owned()))
            .collect()
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)),
    )
}

fn string(bytes: &[u8], at: u64) -> Option<Cow<'_, str>> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let text = String::from_utf8_lossy(&rest[..end]);
    Some(match text.contains(OPTION) {
        true => text.replace(OPTION, "").into(),
        false => text,
    })
}

fn strings(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace(OPTION, "");
    let mut strings: Vec<String> = text.split('\0').map(str::to_owned).collect();
    strings.sort();
    strings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn compiled(options: &[&str], text: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.c"), text).unwrap();
        let done = Command::new("gcc")
            .args(options)
            .args(["-fdebug-prefix-map=/tmp=", "-c", "x.c", "-o", "x.o"])
            .arg(format!("-fdebug-prefix-map={}=.", folder.path().display()))
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(done.success());
        std::fs::read(folder.path().join("x.o")).unwrap()
    }

    #[test]
    fn only_the_producer_may_differ() {
        let text = "int counter_of_things; int function_with_name(int argument_name) { return argument_name + counter_of_things; }\n";
        let local = compiled(&["-g"], text);
        let ours = compiled(&["-g", "-fdirectives-only"], text);
        assert_ne!(local, ours);
        assert!(same_but_for_it(&local, &ours));
        for other in [
            compiled(&["-g", "-O2"], text),
            compiled(&["-g"], &text.replace("argument_name", "argument_gname")),
            compiled(&["-g"], &text.replace(") {", ")  {")),
            compiled(&[], text),
        ] {
            assert!(!same_but_for_it(&local, &other));
        }
    }

    #[test]
    fn assembly_text_is_compared_by_its_strings() {
        let text = |first: &str, second: &str| {
            format!("nop\n.LASF1:\n\t.string \"{first}\"\n.LASF0:\n\t.string \"{second}\"\n")
        };
        let swapped = "nop\n.LASF0:\n\t.string \"GNU C -O2\"\n.LASF1:\n\t.string \"x\"\n";
        let ours = text("x", "GNU C -fdirectives-only -O2");
        assert!(same_but_for_it(swapped.as_bytes(), ours.as_bytes()));
        let other = text("y", "GNU C -O2");
        assert!(!same_but_for_it(swapped.as_bytes(), other.as_bytes()));
    }
}
