//! Columns as runc prints them, since programs cut them by position.

/// The narrowest column, in characters.
const NARROWEST: usize = 12;
/// Blanks between two columns.
const GAP: usize = 3;

/// Rows of as many cells each, the heading first, as text. A column is as wide as its longest cell and
/// three blanks, at least twelve; the last is not padded.
///
/// Control characters are replaced, so that foreign text cannot drive a terminal.
pub(crate) fn to_text<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [NARROWEST; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count() + GAP);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let clean: String =
                cell.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
            text.push_str(&clean);
            if column + 1 < N {
                text.extend(std::iter::repeat_n(' ', width - clean.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_runcs_widths() {
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        let text = to_text(&[row("ID", "BUNDLE", "OWNER"), row("ctr1", "/tmp/cli/b", "ro\x1bot")]);
        assert_eq!(text, "ID          BUNDLE       OWNER\nctr1        /tmp/cli/b   ro\u{fffd}ot\n");
    }
}
