//! Ids of files on disk, as an image has them.

use taru_snapshot::Range;

/// Who owns what nobody of the image does.
pub(crate) const NOBODY: u32 = 65534;

/// The id in the image of one on disk.
pub(crate) fn inside(map: &[Range], outside: u32) -> Option<u32> {
    map.iter().find_map(|range| {
        let offset = outside.checked_sub(range.outside).filter(|offset| *offset < range.length)?;
        range.inside.checked_add(offset)
    })
}
