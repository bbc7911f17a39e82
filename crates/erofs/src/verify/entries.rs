//! A block of a directory, read as strictly as the writer writes it.
//!
//! ```text
//! [ number 8 | where its name is 2 | type 1 | zero 1 ] ... [ name ][ name ] ... zeros to the end of the block
//! ```

use crate::format::DIRENT;

/// An entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'b> {
    pub(super) name: &'b [u8],
    pub(super) file_type: u8,
    pub(super) number: u64,
}

struct Head {
    number: u64,
    name_at: usize,
    file_type: u8,
}

fn head(block: &[u8], at: usize) -> Option<Head> {
    let (number, rest) = block.get(at * DIRENT..)?.split_first_chunk()?;
    let [low, high, file_type, 0, ..] = *rest else { return None };
    let name_at = usize::from(u16::from_le_bytes([low, high]));
    Some(Head { number: u64::from_le_bytes(*number), name_at, file_type })
}

/// The entries of a block, which is the directory's last one or is filled with zeros. `None` for what is no such block.
pub(super) fn entries(block: &[u8], is_last: bool) -> Option<Vec<Entry<'_>>> {
    let names_at = head(block, 0)?.name_at;
    if names_at < DIRENT || names_at % DIRENT != 0 {
        return None;
    }
    let count = names_at / DIRENT;
    let mut entries = Vec::with_capacity(count.min(block.len() / DIRENT));
    let mut start = names_at;
    for at in 0..count {
        let Head { number, name_at, file_type } = head(block, at)?;
        // Nothing lies between names.
        if name_at != start {
            return None;
        }
        let end = match at + 1 == count {
            false => head(block, at + 1)?.name_at,
            true if is_last => block.len(),
            true => {
                let rest = block.get(start..)?;
                let (name, zeros) = rest.split_at(rest.iter().position(|b| *b == 0).unwrap_or(rest.len()));
                if zeros.iter().any(|b| *b != 0) {
                    return None;
                }
                start + name.len()
            }
        };
        // One that ends before it starts is none.
        let name = block.get(start..end)?;
        if name.is_empty() || name.len() > 255 || name.iter().any(|b| matches!(b, 0 | b'/')) {
            return None;
        }
        entries.push(Entry { name, file_type, number });
        start = end;
    }
    Some(entries)
}
