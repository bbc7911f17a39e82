//! The supervisor's ends of a container's standard streams.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use taru_stdx::{Context, Result};
use taru_sys::fd;

use crate::log::Stream;

/// Pipes, or one terminal.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    outputs: Vec<(File, Stream)>,
    input: Option<File>,
    is_terminal: bool,
}

/// The container's ends of its standard streams; the null device stands for those missing.
pub(crate) type Theirs = [Option<OwnedFd>; 3];

/// What there was to read.
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize, Stream),
    /// Nothing now.
    Nothing,
    /// Nothing any more: it is closed.
    End,
}

impl Streams {
    /// Pipes for output, and for input if `interactive`.
    pub(crate) fn pipes(interactive: bool) -> Result<(Streams, Theirs)> {
        let pipe = || fd::pipe().context(|| "make a pipe");
        let ((out, out_theirs), (err, err_theirs)) = (pipe()?, pipe()?);
        let mut streams = Streams {
            outputs: vec![(out.into(), Stream::Stdout), (err.into(), Stream::Stderr)],
            ..Streams::default()
        };
        let mut theirs = [None, Some(out_theirs), Some(err_theirs)];
        if interactive {
            let (in_theirs, input) = pipe()?;
            theirs[0] = Some(in_theirs);
            fd::set_nonblocking(input.as_fd(), true).context(|| "prepare the container's input")?;
            streams.input = Some(input.into());
        }
        streams.nonblocking()?;
        Ok((streams, theirs))
    }

    /// A terminal, by its main side.
    pub(crate) fn terminal_of(main: OwnedFd) -> Result<Streams> {
        let streams =
            Streams { outputs: vec![(main.into(), Stream::Stdout)], input: None, is_terminal: true };
        streams.nonblocking()?;
        Ok(streams)
    }

    fn nonblocking(&self) -> Result<()> {
        for (output, _) in &self.outputs {
            fd::set_nonblocking(output.as_fd(), true).context(|| "prepare the container's output")?;
        }
        Ok(())
    }

    /// How many outputs are open.
    pub(crate) fn outputs(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.outputs.iter().map(|(file, _)| file.as_fd())
    }

    /// The terminal, if that is what it is.
    pub(crate) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.outputs.first().filter(|_| self.is_terminal).map(|(file, _)| file.as_fd())
    }

    /// Where input goes, if anywhere.
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.terminal().or_else(|| self.input.as_ref().map(AsFd::as_fd))
    }

    /// Reads from output `n` into `chunk`; closes it at its end.
    pub(crate) fn read(&mut self, n: usize, chunk: &mut [u8]) -> Got {
        let Some((file, stream)) = self.outputs.get_mut(n) else { return Got::End };
        match file.read(chunk) {
            Ok(length) if length > 0 => Got::Bytes(length, *stream),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Got::Nothing,
            // A pipe without writers gives 0, a terminal that nobody has open gives EIO.
            _ => {
                self.outputs.remove(n);
                Got::End
            }
        }
    }

    /// Writes input; how much was taken, `None` if there is nobody to take it.
    pub(crate) fn write_input(&mut self, data: &[u8]) -> Option<usize> {
        let file = match (self.is_terminal, self.outputs.first_mut()) {
            (true, Some((file, _))) => file,
            _ => self.input.as_mut()?,
        };
        match file.write(data) {
            Ok(written) => Some(written),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Some(0),
            Err(_) => {
                self.end_input();
                None
            }
        }
    }

    /// Ends the input of a container without a terminal.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// What is there now in the outputs, as text; they are closed.
    pub(crate) fn take_text(&mut self, limit: usize) -> String {
        let mut text = Vec::new();
        for (mut file, _) in self.outputs.drain(..) {
            let mut chunk = vec![0u8; limit];
            if let Ok(length) = file.read(&mut chunk) {
                text.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
