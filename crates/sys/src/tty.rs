//! Terminals: pseudo-terminal pairs, size, raw mode, controlling terminal.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::Result;
use crate::error::check;

/// A size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters a line.
    pub columns: u16,
}

/// Opens the peer (the program's side) of the pseudo-terminal `main` without any path, TIOCGPTPEER (since 4.13):
/// nothing that a container put on /dev/pts can come between.
///
/// # Errors
/// ENOTTY if `main` is no pseudo-terminal's main side.
pub fn open_peer(main: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags as a number and returns a new descriptor.
    let fd = unsafe { libc::ioctl(main.as_raw_fd(), libc::TIOCGPTPEER as _, flags) };
    check(fd.into(), "ioctl(TIOCGPTPEER)", String::new)?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Unlocks the pseudo-terminal, TIOCSPTLCK, so that its peer can be opened.
///
/// # Errors
/// ENOTTY if `main` is no pseudo-terminal's main side.
pub fn unlock(main: BorrowedFd<'_>) -> Result<()> {
    let zero: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    let done = unsafe { libc::ioctl(main.as_raw_fd(), libc::TIOCSPTLCK as _, std::ptr::from_ref(&zero)) };
    check(done.into(), "ioctl(TIOCSPTLCK)", String::new)?;
    Ok(())
}

/// The number of the pseudo-terminal in its devpts, TIOCGPTN.
///
/// # Errors
/// ENOTTY if `main` is no pseudo-terminal's main side.
pub fn number(main: BorrowedFd<'_>) -> Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int.
    let done = unsafe { libc::ioctl(main.as_raw_fd(), libc::TIOCGPTN as _, std::ptr::from_mut(&mut number)) };
    check(done.into(), "ioctl(TIOCGPTN)", String::new)?;
    Ok(number)
}

/// Makes `tty` the controlling terminal of this session, TIOCSCTTY.
///
/// # Errors
/// EPERM unless this process leads a session that has none.
pub fn make_controlling(tty: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes a number; 0 does not steal.
    let done = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    check(done.into(), "ioctl(TIOCSCTTY)", String::new)?;
    Ok(())
}

/// The size of a terminal, TIOCGWINSZ.
///
/// # Errors
/// ENOTTY if it is none.
pub fn size(tty: BorrowedFd<'_>) -> Result<Size> {
    let mut raw = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let done = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ as _, std::ptr::from_mut(&mut raw)) };
    check(done.into(), "ioctl(TIOCGWINSZ)", String::new)?;
    Ok(Size { rows: raw.ws_row, columns: raw.ws_col })
}

/// Sets the size of a terminal, TIOCSWINSZ; its foreground group gets SIGWINCH if it changed.
///
/// # Errors
/// ENOTTY if it is none.
pub fn resize(tty: BorrowedFd<'_>, size: Size) -> Result<()> {
    let raw = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize.
    let done = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ as _, std::ptr::from_ref(&raw)) };
    check(done.into(), "ioctl(TIOCSWINSZ)", String::new)?;
    Ok(())
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: isatty(3) takes a number.
    unsafe { libc::isatty(fd.as_raw_fd()) == 1 }
}

/// The settings of a terminal, to be put back later.
#[derive(Clone)]
pub struct Settings(libc::termios);

/// The settings of a terminal, tcgetattr(3).
///
/// # Errors
/// ENOTTY if it is none.
pub fn settings(tty: BorrowedFd<'_>) -> Result<Settings> {
    // SAFETY: termios is plain data, which tcgetattr fills.
    let mut raw: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is live and writable.
    check(unsafe { libc::tcgetattr(tty.as_raw_fd(), &mut raw) }.into(), "tcgetattr", String::new)?;
    Ok(Settings(raw))
}

/// Puts settings in force at once, tcsetattr(3).
///
/// # Errors
/// ENOTTY if it is no terminal.
pub fn apply(tty: BorrowedFd<'_>, settings: &Settings) -> Result<()> {
    // SAFETY: the struct came from tcgetattr.
    let done = unsafe { libc::tcsetattr(tty.as_raw_fd(), libc::TCSANOW, &settings.0) };
    check(done.into(), "tcsetattr", String::new)?;
    Ok(())
}

impl Settings {
    /// These settings made raw, cfmakeraw(3): every byte goes through as it is.
    #[must_use]
    pub fn raw(&self) -> Settings {
        let mut raw = self.0;
        // SAFETY: the struct is live and writable.
        unsafe { libc::cfmakeraw(&mut raw) };
        Settings(raw)
    }
}
