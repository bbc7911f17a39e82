//! Questions to whoever sits at the terminal: a line, and a line that is not shown.
//!
//! A secret is read with the terminal in raw mode: nothing is echoed, and Ctrl-C comes as a byte, so that the terminal is put
//! back whatever is typed.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::tty;

/// Bytes of an answer.
const LONGEST: usize = 64 << 10;

/// Asks for a line on standard error, reads it from standard input.
///
/// # Errors
/// [`Kind::Invalid`] at its end; any error of reading.
pub fn line(question: &str) -> Result<String> {
    ask(question)?;
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).context(|| "read the answer")?;
    match text.strip_suffix('\n') {
        Some(line) => Ok(line.trim().to_owned()),
        None => Err(given_up()),
    }
}

/// As [`line`], without showing what is typed.
///
/// # Errors
/// As [`line`]; Ctrl-C and Ctrl-D give up.
pub fn secret(question: &str) -> Result<String> {
    let what = || "ask on the terminal without echo";
    let stdin = std::io::stdin();
    let before = tty::settings(stdin.as_fd()).context(what)?;
    // Before it is asked: whoever is quick would see the first letters.
    tty::apply(stdin.as_fd(), &before.raw()).context(what)?;
    let answer = ask(question).and_then(|()| typed(&mut stdin.lock()));
    tty::apply(stdin.as_fd(), &before).context(what)?;
    ask("\n")?;
    answer
}

fn ask(text: &str) -> Result<()> {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes()).and_then(|()| err.flush()).context(|| "ask on the terminal")
}

fn given_up() -> Error {
    Error::new(Kind::Invalid, "no answer was given")
}

/// Keys up to the return key, with those that correct understood as a terminal does.
fn typed(keys: &mut impl Read) -> Result<String> {
    let mut text: Vec<u8> = Vec::new();
    let mut key = [0];
    loop {
        if keys.read(&mut key).context(|| "read the answer")? == 0 {
            return Err(given_up());
        }
        match key[0] {
            b'\r' | b'\n' => break,
            // Ctrl-C, Ctrl-D.
            3 | 4 => return Err(given_up()),
            // Backspace, whichever of the two the terminal sends: the last character, of several bytes in UTF-8.
            8 | 127 => while text.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            21 => text.clear(),
            _ if text.len() == LONGEST => {
                return Err(Error::new(Kind::Limit, "read the answer: it is too long"));
            }
            byte => text.push(byte),
        }
    }
    String::from_utf8(text).map_err(|_| Error::invalid("read the answer: it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_correct_what_was_typed() {
        let read = |keys: &str| typed(&mut keys.as_bytes()).ok();
        assert_eq!(read("secret\r").as_deref(), Some("secret"));
        assert_eq!(read("sé\u{7f}x\u{8}\u{8}\u{8}ab\n").as_deref(), Some("ab"));
        assert_eq!(read("wrong\u{15}right\r").as_deref(), Some("right"));
        assert_eq!(read("\r").as_deref(), Some(""));
        for given_up in ["ab\u{3}", "\u{4}", "ab"] {
            assert_eq!(read(given_up), None);
        }
    }
}
