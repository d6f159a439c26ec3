//! Cuts a piece out of a debug string of an object, and moves everything behind it as the assembler would have placed it.
//!
//! For 64-bit little-endian ELF with addends in the relocations. The object comes from another machine: every number is checked,
//! and an object whose layout is not the assembler's usual one (sections one after the other, each at the next multiple of its alignment, the
//! table of sections last) is refused, because nobody could say where things would have been.

const HEADER: usize = 64;
const SECTION: usize = 64;
const RELOCATION: usize = 24;
const SYMBOL: usize = 24;
/// `SHT_RELA`, `SHT_NOBITS`, `SHT_REL` and `SHT_SYMTAB` of the ELF specification.
const RELA: u32 = 4;
const NOBITS: u32 = 8;
const REL: u32 = 9;
const SYMTAB: u32 = 2;
/// `STT_SECTION`.
const SECTION_SYMBOL: u8 = 3;

/// One row of the table of sections.
#[derive(Clone, Copy, Debug)]
struct Section {
    kind: u32,
    offset: usize,
    size: usize,
    link: usize,
    alignment: usize,
}

/// `length` bytes at `at` must lie inside one string of `.debug_str`.
pub(super) fn cut_debug_string(object: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
    let sections = sections(object)?;
    let table = word(object, 40)?;
    let names = sections.get(usize::from(half(object, 62)?))?;
    let cut = sections.iter().position(|section| {
        section.kind != NOBITS
            && section.offset <= at
            && at + length <= section.offset + section.size
    })?;
    let strings = sections.get(cut)?;
    if name(object, names, table + cut * SECTION)? != b".debug_str" {
        return None;
    }
    // The layout is understood if it follows from the sizes.
    let (usual, end) = lay_out(&sections)?;
    if usual
        .iter()
        .zip(&sections)
        .any(|(offset, section)| *offset != section.offset)
        || end != table
        || table.checked_add(sections.len().checked_mul(SECTION)?)? != object.len()
    {
        return None;
    }
    let mut smaller = sections.clone();
    smaller.get_mut(cut)?.size -= length;
    let (offsets, new_table) = lay_out(&smaller)?;
    let mut result = vec![0; new_table + sections.len() * SECTION];
    put(&mut result, 0, object.get(..HEADER)?)?;
    put(
        &mut result,
        40,
        &u64::try_from(new_table).ok()?.to_le_bytes(),
    )?;
    for (index, (section, &offset)) in sections.iter().zip(&offsets).enumerate() {
        if index == cut {
            let end = section.offset + section.size;
            put(&mut result, offset, object.get(section.offset..at)?)?;
            put(
                &mut result,
                offset + at - section.offset,
                object.get(at + length..end)?,
            )?;
        } else if section.kind != NOBITS && index != 0 {
            put(
                &mut result,
                offset,
                object.get(section.offset..section.offset + section.size)?,
            )?;
        }
        let row = new_table + index * SECTION;
        put(
            &mut result,
            row,
            object.get(table + index * SECTION..)?.get(..SECTION)?,
        )?;
        if index != 0 {
            put(
                &mut result,
                row + 24,
                &u64::try_from(offset).ok()?.to_le_bytes(),
            )?;
        }
        if index == cut {
            put(
                &mut result,
                row + 32,
                &u64::try_from(section.size - length).ok()?.to_le_bytes(),
            )?;
        }
    }
    let place = Place {
        cut,
        position: at - strings.offset,
        length,
    };
    for (section, &offset) in sections.iter().zip(&offsets) {
        match section.kind {
            RELA => place.shift(object, &sections, section, &mut result, offset)?,
            REL => return None,
            SYMTAB => place.only_the_section_itself(object, section)?,
            _ => {}
        }
    }
    Some(result)
}

/// What is cut, as relocations see it.
struct Place {
    cut: usize,
    /// In the section.
    position: usize,
    length: usize,
}

impl Place {
    /// Moves the addends of references to strings behind the piece.
    fn shift(
        &self,
        object: &[u8],
        sections: &[Section],
        section: &Section,
        result: &mut [u8],
        offset: usize,
    ) -> Option<()> {
        let symbols = sections.get(section.link).filter(|s| s.kind == SYMTAB)?;
        for entry in (0..section.size).step_by(RELOCATION) {
            let from = section.offset + entry;
            let symbol = usize::try_from(long(object, from + 8)? >> 32).ok()?;
            if symbol.checked_add(1)?.checked_mul(SYMBOL)? > symbols.size {
                return None;
            }
            let symbol = symbols.offset + symbol * SYMBOL;
            if usize::from(half(object, symbol + 6)?) != self.cut {
                continue;
            }
            let addend = usize::try_from(long(object, from + 16)?).ok()?;
            if addend > self.position {
                if addend < self.position + self.length {
                    return None;
                }
                let moved = u64::try_from(addend - self.length).ok()?;
                put(result, offset + entry + 16, &moved.to_le_bytes())?;
            }
        }
        Some(())
    }

    /// A symbol inside the strings would have to move as well; no compiler makes one.
    fn only_the_section_itself(&self, object: &[u8], section: &Section) -> Option<()> {
        for entry in (0..section.size).step_by(SYMBOL) {
            let symbol = section.offset + entry;
            let inside = usize::from(half(object, symbol + 6)?) == self.cut;
            let is_section =
                object.get(symbol + 4)? & 15 == SECTION_SYMBOL && long(object, symbol + 8)? == 0;
            if inside && !is_section {
                return None;
            }
        }
        Some(())
    }
}

/// The table of sections, each within the object.
fn sections(object: &[u8]) -> Option<Vec<Section>> {
    // Magic, 64 bits, little-endian, version 1; relocatable; sizes of header and rows.
    let usual = object.get(..7)? == b"\x7fELF\x02\x01\x01"
        && half(object, 16)? == 1
        && usize::from(half(object, 52)?) == HEADER
        && half(object, 56)? == 0
        && usize::from(half(object, 58)?) == SECTION;
    let count = usize::from(half(object, 60)?);
    if !usual || count == 0 {
        return None;
    }
    let table = word(object, 40)?;
    (0..count)
        .map(|index| {
            let row = table.checked_add(index * SECTION)?;
            let section = Section {
                kind: u32::from_le_bytes(*object.get(row.checked_add(4)?..)?.first_chunk()?),
                offset: word(object, row.checked_add(24)?)?,
                size: word(object, row.checked_add(32)?)?,
                link: u32::from_le_bytes(*object.get(row.checked_add(40)?..)?.first_chunk()?)
                    .try_into()
                    .ok()?,
                alignment: word(object, row.checked_add(48)?)?,
            };
            let end = section.offset.checked_add(section.size)?;
            let inside = section.kind == NOBITS || end <= object.len();
            let whole = match section.kind {
                RELA => section.size.is_multiple_of(RELOCATION),
                SYMTAB => section.size.is_multiple_of(SYMBOL),
                _ => true,
            };
            (inside && whole && section.alignment <= 1 << 20).then_some(section)
        })
        .collect()
}

/// Where the sections lie in the file if placed one after the other in their present order, and where their table follows.
fn lay_out(sections: &[Section]) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<usize> = (1..sections.len()).collect();
    order.sort_by_key(|&index| (sections[index].offset, index));
    let mut offsets = vec![0; sections.len()];
    let mut end = HEADER;
    for index in order {
        let section = sections.get(index)?;
        let offset = end.checked_next_multiple_of(section.alignment.max(1))?;
        *offsets.get_mut(index)? = offset;
        end = match section.kind {
            NOBITS => offset,
            _ => offset.checked_add(section.size)?,
        };
    }
    Some((offsets, end.checked_next_multiple_of(8)?))
}

fn name<'a>(object: &'a [u8], names: &Section, row: usize) -> Option<&'a [u8]> {
    let at = u32::from_le_bytes(*object.get(row..)?.first_chunk()?);
    let table = object.get(names.offset..names.offset.checked_add(names.size)?)?;
    let name = table.get(usize::try_from(at).ok()?..)?;
    name.get(..memchr::memchr(0, name)?)
}

fn half(object: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*object.get(at..)?.first_chunk()?))
}

fn long(object: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*object.get(at..)?.first_chunk()?))
}

fn word(object: &[u8], at: usize) -> Option<usize> {
    usize::try_from(long(object, at)?).ok()
}

fn put(result: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    result
        .get_mut(at..at.checked_add(bytes.len())?)?
        .copy_from_slice(bytes);
    Some(())
}
