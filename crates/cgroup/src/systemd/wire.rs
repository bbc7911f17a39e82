//! The bytes of D-Bus messages: as much of the specification's marshalling as talking to systemd takes.
//!
//! ```text
//! endian type flags version | body length | serial | array of (code, variant) | padding to 8 | body
//! ```
//!
//! Every value is aligned to its own size, structs to eight, counted from the start of the message.

use taru_stdx::{Error, Result};

/// The byte order of this machine, as the first byte of a message has it.
pub(super) const ENDIAN: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// The longest message that is read. systemd's are far below; the specification allows 128 MiB.
const MESSAGE_LIMIT: usize = 4 << 20;

/// A value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Str(String),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    U32s(Vec<u32>),
    /// `as`
    Strs(Vec<String>),
    /// `a(ss)`
    Pairs(Vec<(String, String)>),
    /// `a(st)`
    Rates(Vec<(String, u64)>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Value::Bool(_) => "b",
            Value::I32(_) => "i",
            Value::U32(_) => "u",
            Value::I64(_) => "x",
            Value::U64(_) => "t",
            Value::Str(_) => "s",
            Value::Bytes(_) => "ay",
            Value::U32s(_) => "au",
            Value::Strs(_) => "as",
            Value::Pairs(_) => "a(ss)",
            Value::Rates(_) => "a(st)",
        }
    }
}

/// Bytes being written.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_ne_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_ne_bytes());
    }

    /// A string or an object path.
    pub(super) fn string(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array: its length in bytes, which does not count the padding before the first element.
    pub(super) fn array<T>(&mut self, align: usize, items: &[T], each: impl Fn(&mut Writer, &T)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        items.iter().for_each(|item| each(self, item));
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Bool(v) => self.u32((*v).into()),
            Value::I32(v) => self.u32(*v as u32),
            Value::U32(v) => self.u32(*v),
            Value::I64(v) => self.u64(*v as u64),
            Value::U64(v) => self.u64(*v),
            Value::Str(v) => self.string(v),
            Value::Bytes(v) => self.array(1, v, |w, byte| w.0.push(*byte)),
            Value::U32s(v) => self.array(4, v, |w, n| w.u32(*n)),
            Value::Strs(v) => self.array(4, v, |w, text| w.string(text)),
            Value::Pairs(v) => self.array(8, v, |w, (a, b)| {
                w.align(8);
                w.string(a);
                w.string(b);
            }),
            Value::Rates(v) => self.array(8, v, |w, (name, rate)| {
                w.align(8);
                w.string(name);
                w.u64(*rate);
            }),
        }
    }

    /// `a(sv)`
    pub(super) fn properties(&mut self, properties: &[(String, Value)]) {
        self.array(8, properties, |w, (name, value)| {
            w.align(8);
            w.string(name);
            w.variant(value);
        });
    }
}

/// A method to be called.
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    /// The types of the body.
    pub(super) signature: &'a str,
    pub(super) body: Writer,
}

impl Call<'_> {
    /// The whole message.
    pub(super) fn message(&self, serial: u32) -> Vec<u8> {
        const METHOD_CALL: u8 = 1;
        const VERSION: u8 = 1;
        let mut w = Writer(vec![ENDIAN, METHOD_CALL, 0, VERSION]);
        w.u32(self.body.0.len() as u32);
        w.u32(serial);
        // Code, type and value of each header field; `g` is a signature, `o` a path, `s` a string.
        let fields = [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
            (6, "s", self.destination),
            (8, "g", self.signature),
        ];
        let used: Vec<_> = fields.into_iter().filter(|(_, _, value)| !value.is_empty()).collect();
        w.array(8, &used, |w, (code, kind, value)| {
            w.align(8);
            w.0.push(*code);
            w.signature(kind);
            if *kind == "g" { w.signature(value) } else { w.string(value) }
        });
        w.align(8);
        w.0.extend(&self.body.0);
        w.0
    }
}

/// What came in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    /// 2: a reply, 3: an error, 4: a signal.
    pub(super) kind: u8,
    /// The call that it answers.
    pub(super) reply_to: u32,
    pub(super) member: String,
    /// The name of an error.
    pub(super) error: String,
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
}

/// The fixed beginning of a message, from which its length follows.
pub(super) const HEADER: usize = 16;

/// How long the rest of a message is whose first [`HEADER`] bytes are `header`.
pub(super) fn rest_length(header: &[u8; HEADER]) -> Result<usize> {
    if header[0] != ENDIAN {
        return Err(bad("of another byte order"));
    }
    let mut r = Reader { bytes: header, at: 4 };
    let body = r.u32()? as usize;
    r.at = 12;
    let fields = (r.u32()? as usize).next_multiple_of(8);
    let rest = fields.saturating_add(body);
    if rest > MESSAGE_LIMIT { Err(bad("too long")) } else { Ok(rest) }
}

/// Takes a whole message apart.
pub(super) fn parse(message: &[u8]) -> Result<Incoming> {
    let mut r = Reader { bytes: message, at: 0 };
    let mut incoming = Incoming { kind: *r.take(2)?.last().unwrap_or(&0), ..Incoming::default() };
    r.at = 4;
    let body = r.u32()? as usize;
    r.at = 12;
    let end = (r.u32()? as usize).saturating_add(HEADER);
    while r.at < end {
        r.align(8)?;
        let code = r.take(1)?[0];
        match (code, r.signature()?.as_str()) {
            (3, "s") => incoming.member = r.string()?,
            (4, "s") => incoming.error = r.string()?,
            (5, "u") => incoming.reply_to = r.u32()?,
            (8, "g") => incoming.signature = r.signature()?,
            (_, "s" | "o") => drop(r.string()?),
            (_, "u") => drop(r.u32()?),
            (_, "g") => drop(r.signature()?),
            _ => return Err(bad("with an unknown header field")),
        }
    }
    r.align(8)?;
    incoming.body = r.take(body)?.to_vec();
    Ok(incoming)
}

fn bad(why: &str) -> Error {
    Error::invalid(format!("read a D-Bus message: {why}"))
}

/// Bytes being read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end =
            self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or_else(|| bad("cut off"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<()> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.align(4)?;
        let bytes = self.take(4)?;
        Ok(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A string or an object path.
    pub(super) fn string(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(text)
    }

    fn signature(&mut self) -> Result<String> {
        let length = self.take(1)?[0].into();
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_laid_out_as_the_specification_says() {
        let mut body = Writer::default();
        body.string("a.scope");
        body.properties(&[
            ("PIDs".to_owned(), Value::U32s(vec![7])),
            ("Delegate".to_owned(), Value::Bool(true)),
        ]);
        let call =
            Call { destination: "d.e", path: "/p", interface: "i.f", member: "M", signature: "sa(sv)", body };
        let message = call.message(3);
        assert_eq!(message[..4], [ENDIAN, 1, 0, 1]);
        let header: [u8; HEADER] = message[..HEADER].try_into().unwrap();
        assert_eq!(rest_length(&header).unwrap() + HEADER, message.len());
        let parsed = parse(&message).unwrap();
        assert_eq!((parsed.kind, parsed.member.as_str(), parsed.signature.as_str()), (1, "M", "sa(sv)"));
        let mut r = Reader::new(&parsed.body);
        assert_eq!(r.string().unwrap(), "a.scope");
        // The array: after its length eight-byte alignment, which the length does not count.
        let length = r.u32().unwrap() as usize;
        r.align(8).unwrap();
        assert_eq!(parsed.body.len() - r.at, length);
        assert_eq!(r.string().unwrap(), "PIDs");
        assert_eq!(r.signature().unwrap(), "au");
        assert_eq!((r.u32().unwrap(), r.u32().unwrap()), (4, 7));
        r.align(8).unwrap();
        assert_eq!(r.string().unwrap(), "Delegate");
        assert_eq!((r.signature().unwrap().as_str(), r.u32().unwrap()), ("b", 1));
        assert_eq!(r.at, parsed.body.len());
    }

    #[test]
    fn every_cut_message_is_an_error_and_no_panic() {
        let mut body = Writer::default();
        body.string("x");
        let call = Call { destination: "d", path: "/", interface: "i", member: "M", signature: "s", body };
        let message = call.message(1);
        for end in 0..message.len() {
            assert!(parse(&message[..end]).is_err(), "{end}");
        }
        for at in 0..message.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = message.clone();
                changed[at] = byte;
                let _ = parse(&changed);
            }
        }
        let mut huge: [u8; HEADER] = message[..HEADER].try_into().unwrap();
        huge[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(rest_length(&huge).is_err());
    }
}
