//! System call names and their numbers.

mod table;

use crate::arch::Arch;

/// One name and its numbers on each architecture. The name is stored in place, so that the table needs no
/// relocation when a position-independent executable starts.
struct Row {
    name: [u8; 32],
    numbers: [u16; 14],
}

/// No such call on that architecture.
const NONE: u16 = u16::MAX;

const fn row(name: &str, numbers: [u16; 14]) -> Row {
    let bytes = name.as_bytes();
    let mut padded = [0; 32];
    let mut i = 0;
    while i < bytes.len() {
        padded[i] = bytes[i];
        i += 1;
    }
    Row { name: padded, numbers }
}

/// The number of the system call `name` on `arch`, without the x32 bit; `None` if it has none there.
pub fn syscall_number(name: &str, arch: Arch) -> Option<u32> {
    Syscall::find(name)?.number(arch)
}

/// The name of the system call `number` (without the x32 bit) on `arch`. A linear search, for messages.
pub fn syscall_name(number: u32, arch: Arch) -> Option<&'static str> {
    table::TABLE.iter().find(|row| Syscall(row).number(arch) == Some(number)).map(Row::name)
}

/// The names of all known system calls, sorted.
pub fn syscall_names() -> impl Iterator<Item = &'static str> {
    table::TABLE.iter().map(Row::name)
}

impl Row {
    fn name(&self) -> &str {
        let text = std::str::from_utf8(&self.name).unwrap_or_default();
        text.trim_end_matches('\0')
    }
}

/// A system call that some architecture has.
#[derive(Clone, Copy)]
pub(crate) struct Syscall(&'static Row);

impl Syscall {
    /// The call of that name: a binary search.
    pub(crate) fn find(name: &str) -> Option<Syscall> {
        let mut padded = [0; 32];
        // One byte must stay zero, as in every row.
        padded[..31].get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let found = table::TABLE.binary_search_by(|row| row.name.cmp(&padded)).ok()?;
        table::TABLE.get(found).map(Syscall)
    }

    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        match *self.0.numbers.get(arch.column())? {
            NONE => None,
            // ARM's private calls begin at 0x0f0000.
            n if arch == Arch::Arm && n >= 0xf000 => Some(0x0f_0000 + u32::from(n - 0xf000)),
            n => Some(u32::from(n)),
        }
    }
}

/// A name that may go through a multiplexer: `socketcall` or `ipc`, and the first argument there.
///
/// Source: `linux/net.h` (SYS_SOCKET ...) and `linux/ipc.h` (SEMOP ...).
pub(crate) fn multiplexed(name: &str) -> Option<(&'static str, u32)> {
    const SOCKETCALL: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u32); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if let Some(at) = SOCKETCALL.iter().position(|n| *n == name) {
        return Some(("socketcall", at as u32 + 1));
    }
    IPC.iter().find(|(n, _)| *n == name).map(|(_, call)| ("ipc", *call))
}
